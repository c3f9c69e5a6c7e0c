"""Matrix products."""

from codesign.frontends.onnx.call import Call, Table
from codesign.frontends.onnx.families.shape import expanded, reshaped, transposed
from codesign.frontends.onnx.value import Value
from codesign.ir.ops import elementwise
from codesign.ir.ops.einsum import Einsum
from codesign.ir.ops.matmul import Linear, MatMul


def product(call: Call, a: Value, b: Value) -> Value:
    """a times b; a constant matrix b makes it a fully connected layer."""
    if b.constant and b.rank == 2 and a.rank >= 2 and not a.constant:
        return call.op(Linear(), a, transposed(call, b, (1, 0)))
    return call.op(MatMul(), a, b)


def matmul(call: Call) -> Value:
    """MatMul."""
    return product(call, call.x(), call.x(1))


def _times(call: Call, x: Value, factor: float) -> Value:
    return x if factor == 1.0 else call.op(elementwise.Mul(), x, call.emit.scalar(factor, x))


def gemm(call: Call) -> Value:
    """Gemm: alpha * a b + beta * c, as a fully connected layer."""
    a, b, c = call.x(), call.x(1), call.get(2)
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    if not a.dtype.is_float and (alpha != 1.0 or beta != 1.0):
        raise call.refuse(f"alpha={alpha}, beta={beta} for {a.dtype}", "alpha")
    a = transposed(call, a, (1, 0)) if call.integer("transA", 0) else a
    weight = b if call.integer("transB", 0) else transposed(call, b, (1, 0))
    bias = None if c is None or beta == 0.0 else _times(call, c, beta)
    if alpha != 1.0:
        weight = _times(call, weight, alpha) if weight.constant else weight
        a = a if weight.constant else _times(call, a, alpha)
    if bias is None or not weight.rank or not _is_row(bias, weight.shape[0]):
        y = call.op(Linear(), a, weight)
        return y if bias is None else call.op(elementwise.Add(), y, bias)
    row = reshaped(call, bias, (bias.type.size,))
    return call.op(Linear(), a, weight, expanded(call, row, (weight.shape[0],)))


def _is_row(bias: Value, columns: int) -> bool:
    """Whether `bias` is the same for every row: [N], [1, N] or one number."""
    return bias.rank <= 2 and bias.type.size in (1, columns) and bias.shape[:-1] in ((), (1,))


def einsum(call: Call) -> Value:
    """Einsum."""
    return call.op(Einsum(call.text("equation")), *call.all())


TABLE: Table = {
    "Einsum": {7: einsum},
    "Gemm": {7: gemm},
    "MatMul": {7: matmul},
}
