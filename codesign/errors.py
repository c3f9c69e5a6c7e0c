"""Every error that codesign raises on purpose, with the exit code of the command line."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class CodesignError(Exception):
    """Base of all: a message that says what was given, what was expected and what would help."""

    exit_code = 1


class CodesignWarning(UserWarning):
    """What is done is perhaps not what was meant."""


class UsageError(CodesignError):
    """The request itself is wrong: an unknown option, a bad value, a missing file."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is in no table; the message offers the nearest ones."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        hint = hint if names else "there are none"
        super().__init__(f"unknown {what} {name!r}; {hint}")
        self.name = name


class MissingPackageError(UsageError):
    """A package that only some uses need is not installed."""


class UnsupportedModelError(CodesignError):
    """The model holds something that cannot be imported or compiled, named in the message."""

    exit_code = 4


class InvalidModelError(CodesignError):
    """The model file or graph is broken: truncated, cyclic, ill-typed, NaN weights."""

    exit_code = 1


class VerificationError(CodesignError):
    """A graph or program breaks one of the rules of the IR."""


class RefusedError(CodesignError):
    """A kernel, pass or target refuses: demand, bound, gap and what would make it fit."""


class PassError(CodesignError):
    """A pass failed in a way that it did not foresee, or returned no program."""


class ArtifactError(CodesignError):
    """An artifact is damaged, of another version, or built for other instructions."""


class TuningError(CodesignError):
    """Tuning cannot go on; what was measured is kept."""


class StoreError(CodesignError):
    """A tuning database cannot be opened, read or written; what it holds was left as it is."""


class MachineError(UsageError):
    """A machine description is wrong: the message names the key, the unit and what would do."""


class DataError(UsageError):
    """Calibration, validation or input data does not match the model."""


class GoalNotMetError(CodesignError):
    """A goal (latency, accuracy) was not reached; the best so far is saved."""

    exit_code = 3


EXTRAS = {"torch": "torch", "onnx": "onnx", "xgboost": "tune", "onnxruntime": "demo"}


def missing_package(error: ImportError) -> MissingPackageError | None:
    """What to install where an import failed with `error`; None if no extra holds the package."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS or not isinstance(error, ModuleNotFoundError):
        return None
    return MissingPackageError(
        f"this needs the package {package}, which is not installed; "
        f"{how_to_install(EXTRAS[package])}"
    )


def how_to_install(extra: str) -> str:
    """The command that installs what an extra of codesign needs, and keeps the installation."""
    return f'pip install -c constraints.txt -e ".[{extra}]" in the checkout of codesign'


@contextmanager
def foreign_code(
    blame: Callable[[str], CodesignError], passing: tuple[type[CodesignError], ...] = ()
) -> Iterator[None]:
    """Within, what somebody else's code raises, sys.exit included, becomes `blame` of it in words.

    Errors of the types `passing` stay as they are, and a package that is missing is named.
    """
    try:
        yield
    except passing:
        raise
    except SystemExit as error:
        raise blame(f"it called sys.exit({error.code!r})") from error
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (missing := missing_package(error)):
            raise missing from None
        raise blame(f"{type(error).__name__}: {error}") from error
