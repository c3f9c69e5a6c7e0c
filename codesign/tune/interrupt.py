"""Ctrl-C asks to come to an end; a second one ends at once."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """Within, the first Ctrl-C sets `asked`, any further one raises KeyboardInterrupt.

    So no measurement is torn apart by the first. Only the main thread hears of signals; where they
    are ignored they stay so.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> "Interrupt":
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
