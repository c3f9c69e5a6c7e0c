"""A small builder of TIR functions: nested Python blocks become loops, statements go in order.

f = Function("scale")
x, y = f.argument("x", (n, 16), "float32"), f.argument("y", (n, 16), "float32")
with f.parallel(n) as i:
    f.store(y, load(x, (i, 0), 16) * splat(2.0, 16), (i, 0), 16)
primfunc = f.build()
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.ir.expr import Call
from tvm_ffi import VisitInterrupt, structural_walk

Expr = Any  # tvm.tirx.PrimExpr
Buffer = Any  # tvm.tirx.Buffer
PrimFunc = Any  # tvm.tirx.PrimFunc

WRITTEN = "codesign.written"  # attribute by which `pipeline` knows functions built here
ALIGNMENT = 64  # bytes; every buffer of a kernel starts at a multiple of it
_SERIAL, _PARALLEL, _VECTORIZED, _UNROLLED = range(4)  # tvm.tirx.ForKind


class Function:
    """One PrimFunc in the making. Statements are appended to the innermost open block."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._params: list[Buffer] = []
        self._blocks: list[list[Any]] = [[]]

    def argument(self, name: str, shape: Sequence[int], dtype: str) -> Buffer:
        """Declare the next parameter: a compact, 64-byte aligned buffer."""
        buffer = _buffer(name, shape, dtype)
        self._params.append(buffer)
        return buffer

    def local(self, name: str, shape: Sequence[int], dtype: str) -> Buffer:
        """Allocate working memory in the enclosing block.

        Up to 1,024 bytes lie on the stack, and in registers if all indices are constant; more
        comes from the runtime's workspace, at the price of a call (see `registers`).
        """
        buffer = _buffer(name, shape, dtype)
        self._append(tirx.AllocBuffer(buffer))
        return buffer

    def scratch(self, name: str, shape: Sequence[int], dtype: str) -> Buffer:
        """Allocate a larger working memory: the same as `local`, said for the reader."""
        return self.local(name, shape, dtype)

    def registers(self, name: str, count: int, lanes: int, dtype: str) -> "Registers":
        """Allocate `count` vectors of `lanes` elements that live in registers."""
        return Registers(
            self, tuple(self.local(f"{name}{i}", (lanes,), dtype) for i in range(count)), lanes
        )

    def serial(self, extent: Expr, name: str = "i", start: Expr = 0) -> Any:
        """A loop over [start, start + extent)."""
        return self._loop(_SERIAL, start, extent, name)

    def parallel(self, extent: Expr, name: str = "i") -> Any:
        """A loop whose iterations are spread over threads: outermost only."""
        return self._loop(_PARALLEL, 0, extent, name)

    def vectorized(self, extent: int, name: str = "lane") -> Any:
        """A loop that becomes vector operations: innermost, free of control flow.

        TVM refuses vectors of one element, and scalars of the C library's functions only where
        nothing is named around them: such loops are serial.
        """
        return self._loop(_VECTORIZED if extent > 1 else _SERIAL, 0, extent, name)

    def unrolled(self, extent: int, name: str = "i") -> Any:
        """A loop of constant extent that is written out."""
        return self._loop(_UNROLLED, 0, extent, name)

    @contextmanager
    def _loop(self, kind: int, start: Expr, extent: Expr, name: str) -> Iterator[Expr]:
        var = tirx.Var(name, "int32")
        with self._block() as body:
            yield var if isinstance(start, int) and start == 0 else start + var
        if body:
            whole = _sequence(body)
            if kind == _VECTORIZED and (_calls_library(whole) or _uniform(whole, var)):
                kind = _SERIAL
            self._append(tirx.For(var, 0, extent, kind, whole))

    @contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        """The enclosed statements run only if `condition` holds."""
        with self._block() as body:
            yield
        self._append(tirx.IfThenElse(condition, _sequence(body), None))

    @contextmanager
    def otherwise(self) -> Iterator[None]:
        """The other branch of the `when` that has just been closed."""
        with self._block() as body:
            yield
        then = self._blocks[-1].pop()
        self._append(tirx.IfThenElse(then.condition, then.then_case, _sequence(body)))

    def let(self, value: Expr, name: str = "v", dtype: str = "int32") -> Expr:
        """Name the value of an expression for the rest of the enclosing block."""
        var = tirx.Var(name, dtype)
        self._append(tirx.stmt.Bind(var, tirx.convert(value)))
        return var

    def store(self, buffer: Buffer, value: Expr, index: Sequence[Expr], lanes: int = 1) -> None:
        """Store `value` (of `lanes` elements along the last axis) at `index`."""
        self._append(tirx.BufferStore(buffer, value, _lanes(index, lanes)))

    def evaluate(self, call: Expr) -> None:
        """Run a call for its effect."""
        self._append(tirx.Evaluate(call))

    def prefetch(self, buffer: Buffer, offset: Expr) -> None:
        """Ask for the cache line at a linear offset, which may lie beyond the buffer's end."""
        element = load_flat(buffer, offset)
        hints = [tirx.const(value, "int32") for value in (0, 3, 1)]  # to read, often, data
        address = tirx.op.address_of(element)
        self.evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch.p0", address, *hints))

    def build(self) -> PrimFunc:
        """The finished function: no two buffers alias."""
        func = tirx.PrimFunc(self._params, _sequence(self._blocks[0]))
        attrs = {
            "global_symbol": self._name,
            "tirx.noalias": True,
            "s_tir": True,
            WRITTEN: True,
        }
        return func.with_attrs(attrs)

    @contextmanager
    def _block(self) -> Iterator[list[Any]]:
        self._blocks.append([])
        yield self._blocks[-1]
        self._blocks.pop()

    def _append(self, statement: Any) -> None:
        self._blocks[-1].append(statement)


def _uniform(statement: Any, var: Any) -> bool:
    """Whether `statement` stores one value at every `var`: TVM cannot repeat the names in it."""
    if not isinstance(statement, tirx.BufferStore):
        return False

    def visit(found: Any) -> Any:
        return VisitInterrupt(True) if found.same_as(var) else None

    return structural_walk(statement.value, (tirx.Var, visit)) is None


def _calls_library(statement: Any) -> bool:
    """Whether a function of the C library is called somewhere in `statement`."""

    def visit(call: Any) -> Any:
        found = getattr(call.op, "name", "").endswith("call_pure_extern")
        return VisitInterrupt(True) if found else None

    return structural_walk(statement, (Call, visit)) is not None


@dataclass(frozen=True)
class Registers:
    """Vectors in registers, one small buffer each: TVM puts larger ones on the heap."""

    function: Function
    buffers: tuple[Buffer, ...]
    lanes: int

    def load(self, number: int) -> Expr:
        """The vector `number`."""
        return load(self.buffers[number], (0,), self.lanes)

    def store(self, number: int, value: Expr) -> None:
        """Replace the vector `number`."""
        self.function.store(self.buffers[number], value, (0,), self.lanes)

    def clear(self) -> None:
        """Set all vectors to zero."""
        for number, buffer in enumerate(self.buffers):
            self.store(number, zeros(self.lanes, buffer.dtype))

    def element(self, number: int, lane: Expr) -> Expr:
        """One element, for use in a vectorized loop over `lane`."""
        return load(self.buffers[number], (lane,))


def load(buffer: Buffer, index: Sequence[Expr], lanes: int = 1, step: int = 1) -> Expr:
    """`lanes` elements of `buffer` from `index` on, along its last axis, `step` apart."""
    return tirx.BufferLoad(buffer, _lanes(index, lanes, step))


def splat(value: Expr, lanes: int) -> Expr:
    """A vector of `lanes` copies of a scalar; numbers become float32."""
    scalar = tirx.const(value, "float32") if isinstance(value, int | float) else value
    return tirx.Broadcast(scalar, lanes) if lanes > 1 else scalar


def load_flat(buffer: Buffer, offset: Expr, lanes: int = 1) -> Expr:
    """`lanes` consecutive elements from the linear `offset` of a compact buffer on.

    Cheaper to compile than an index an axis, where many elements lie around one offset.
    """
    return load(buffer, (*[0] * (len(buffer.shape) - 1), offset), lanes)


def dtype_of(x: Expr) -> str:
    """Element type of an expression, its lanes aside."""
    return str(x.ty.dtype).partition("x")[0]


def lanes_of(x: Expr) -> int:
    """Number of elements of an expression: 1 for a scalar."""
    return int(x.ty.dtype.lanes)


def zeros(lanes: int, dtype: str = "float32") -> Expr:
    """A vector of `lanes` zeros."""
    return splat(tirx.const(0, dtype), lanes)


def multiply_add(a: Expr, b: Expr, c: Expr) -> Expr:
    """a * b + c, in one instruction where the instruction set has one."""
    return tirx.op.fma(a, b, c)


def llvm(dtype: str, intrinsic: str, *arguments: Expr) -> Expr:
    """Call an LLVM intrinsic without side effects, by its full name."""
    return tirx.call_llvm_pure_intrin(dtype, intrinsic, *arguments)


def _buffer(name: str, shape: Sequence[int], dtype: str) -> Buffer:
    return tirx.decl_buffer(
        tuple(shape), dtype, name, scope="global", data_alignment=ALIGNMENT, layout=None
    )


def _lanes(index: Sequence[Expr], lanes: int, step: int = 1) -> list[Expr]:
    if lanes == 1:
        return list(index)
    return [*index[:-1], tirx.Ramp(tirx.convert(index[-1]), step, lanes)]


def _sequence(statements: list[Any]) -> Any:
    if len(statements) == 1:
        return statements[0]
    return tirx.SeqStmt(statements) if statements else tirx.Evaluate(0)
