"""One thing that was checked of a target, and what came of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from codesign.errors import (
    CodesignError,
    MissingPackageError,
    PassError,
    ResourceError,
    foreign_code,
)

Outcome = Literal["ok", "refused", "not run", "failed"]


@dataclass(frozen=True)
class Row:
    """`check` on a sample and kernel (empty: none or all), and `why` it is not `ok`."""

    check: str
    sample: str
    kernel: str
    outcome: Outcome
    why: str = ""

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        what = " ".join(part for part in (self.check, self.sample, self.kernel) if part)
        return f"{what}: {self.outcome}" + (f": {self.why}" if self.why else "")


class BrokenError(CodesignError):
    """A target does not keep what every target promises."""


class DeclinedError(CodesignError):
    """A target does not take something, and says why."""


class NotRunError(CodesignError):
    """What was built cannot be run here."""


def tried(check: str, sample: str, kernel: str, test: Callable[[], str]) -> Row:
    """The row of `test`, which returns a remark or raises what is wrong.

    A target may decline and may build what cannot run here; whatever else is raised is its fault.
    """
    try:
        with foreign_code(lambda why: PassError(f"it raised {why}"), passing=(CodesignError,)):
            return Row(check, sample, kernel, "ok", test())
    except (ResourceError, MissingPackageError):
        raise
    except NotRunError as error:
        return Row(check, sample, kernel, "not run", str(error))
    except DeclinedError as error:
        return Row(check, sample, kernel, "refused", str(error))
    except CodesignError as error:
        return Row(check, sample, kernel, "failed", str(error) or type(error).__name__)
