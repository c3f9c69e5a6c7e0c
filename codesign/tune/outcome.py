"""What came of measuring one candidate."""

from dataclasses import dataclass
from typing import Literal

from codesign.tune.trial import Status


@dataclass(frozen=True)
class Outcome:
    """Seconds of each timed run if all went well, else why not.

    `lost` is no trial: the device went away before anything could be said about the candidate.
    """

    status: Status | Literal["lost"]
    seconds: tuple[float, ...] = ()
    message: str = ""
