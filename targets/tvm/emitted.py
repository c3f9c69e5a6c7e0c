"""What a kernel hands to the builder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Argument = str | np.ndarray  # a value of the graph by name, or a constant packed for the kernel


@dataclass(frozen=True)
class Emitted:
    """A function and what it is called with, in buffer order, results last.

    `make(name)` builds the TIR PrimFunc; None for a group that only names its operand's buffer
    anew (a view): then the arguments are the operand and the result.
    """

    make: Callable[[str], Any] | None
    arguments: tuple[Argument, ...]
