"""What came of measuring one candidate."""

from dataclasses import dataclass
from typing import Literal

from codesign.errors import CodesignError, lacking
from codesign.tune.trial import Status


@dataclass(frozen=True)
class Outcome:
    """Seconds of each timed run if all went well, else why not.

    Two are no trials, since nothing can be said about the candidate: `lost`, the device went away;
    `unable`, this machine lacks room, memory or a permission, as it would for any other.
    """

    status: Status | Literal["lost", "unable"]
    seconds: tuple[float, ...] = ()
    message: str = ""


def failure(error: Exception, status: Status = "failed") -> Outcome:
    """`status`, with what `error` says; `unable` where the machine is to blame."""
    lack = lacking(error)
    if lack is not None:
        return Outcome("unable", message=str(lack))
    known = isinstance(error, CodesignError)
    text = str(error) if known else f"{type(error).__name__}: {error}"[:500]
    return Outcome(status, message=text)
