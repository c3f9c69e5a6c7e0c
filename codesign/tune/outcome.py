"""What came of measuring one candidate."""

from dataclasses import dataclass

from codesign.tune.trial import Status


@dataclass(frozen=True)
class Outcome:
    """Seconds of each timed run if all went well, else why not."""

    status: Status
    seconds: tuple[float, ...] = ()
    message: str = ""
