"""How long work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[str, float], None]  # what is done now, and the share that is done


def silent(message: str, done: float) -> None:
    """Report no progress."""
