"""Ctrl-C that is not lost: KeyboardInterrupt is raised again where a callback swallowed it.

Python drops what is raised in a weak reference's callback, in `__del__` or in a function that C
calls (`sys.unraisablehook`), and an interrupt that arrives there with it; loading a model of torch
runs many of those.
"""

import _thread
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

AGAIN_SECONDS = 0.02  # until then the callback has returned


class Interrupts:
    """Within, in the main thread, an interrupt that was swallowed comes again, and silently so."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._before: Callable[[Any], Any] = sys.unraisablehook

    def __enter__(self) -> "Interrupts":
        self._before = sys.unraisablehook
        sys.unraisablehook = self._hear
        return self

    def __exit__(self, *exception: object) -> None:
        sys.unraisablehook = self._before
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()

    def _hear(self, ignored: Any) -> None:
        """What was raised where nobody can catch it."""
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            self._before(ignored)
            return
        self._timer = threading.Timer(AGAIN_SECONDS, _thread.interrupt_main, (signal.SIGINT,))
        self._timer.daemon = True
        self._timer.start()


def interrupted(error: BaseException) -> bool:
    """Whether `error` is what other code has made of an interrupt."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt) or "KeyboardInterrupt" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
