"""Where the results of a register tile go: through the epilogue into a buffer."""

from collections.abc import Callable
from dataclasses import dataclass

from codesign.targets.tvm.epilogue import Buffer, Epilogue, Expr
from codesign.targets.tvm.tir import Function, Registers

Index = tuple[Expr, ...]


@dataclass(frozen=True)
class Sink:
    """An epilogue with the buffers of its operands, and the buffer it stores to.

    A buffer that holds a part of the result only has its elements where `part` says: it gives the
    index into the buffer of what has an index in the whole result.
    """

    f: Function
    epilogue: Epilogue
    operands: tuple[Buffer, ...]
    out: Buffer
    part: Callable[[Index], Index] | None = None

    def store(self, acc: Registers, register: int, at: Index) -> None:
        """Store the vector number `register`, which begins at `at` in the whole result."""
        with self.f.vectorized(acc.lanes) as lane:
            index = (*at, lane)
            value = self.epilogue.apply(acc.element(register, lane), index, self.operands)
            self.f.store(self.out, value, index if self.part is None else self.part(index))
