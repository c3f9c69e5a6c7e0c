"""Convolutions, matrix products and attention of aten."""

from math import sqrt

import torch

from codesign.frontends.torch_ops.call import Call, Result
from codesign.ir.dtype import DType
from codesign.ir.ops import elementwise, logic, matmul, softmax
from codesign.ir.ops.convolution import Conv, ConvTranspose, Pads
from codesign.ir.ops.einsum import Einsum
from codesign.ir.ops.shape import ExpandDims, Squeeze, Transpose

LOWEST = float(torch.finfo(torch.float32).min)


def _batched(call: Call, rank: int) -> tuple[str, bool]:
    """`input` with a batch axis, and whether that had to be added."""
    x = call.value("input")
    if len(call.shape(x)) == rank + 2:
        return x, False
    return call.emit(ExpandDims((0,)), x, part="batch"), True


def _unbatched(call: Call, y: str, added: bool) -> str:
    return call.emit(Squeeze((0,)), y) if added else y


def _pads(call: Call, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> Pads:
    """Explicit pads of `padding`: ints, "same" (more after than before) or "valid"."""
    padding = call.get("padding")
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((pad, pad) for pad in call.integers("padding", len(kernel)))


def convolution(call: Call) -> Result:
    """conv1d, conv2d, conv3d and aten.convolution, transposed or not."""
    if call.get("transposed"):
        return transposed(call)
    kernel = call.type("weight").shape[2:]
    rank = len(kernel)
    strides, dilation = call.integers("stride", rank), call.integers("dilation", rank)
    op = Conv(strides, _pads(call, kernel, dilation), dilation, call.get("groups", 1))
    x, added = _batched(call, rank)
    return _unbatched(call, call.emit(op, x, call.value("weight"), call.optional("bias")), added)


def transposed(call: Call) -> Result:
    """conv_transpose1d, 2d and 3d."""
    kernel = call.type("weight").shape[2:]
    rank = len(kernel)
    dilation = call.integers("dilation", rank)
    op = ConvTranspose(
        call.integers("stride", rank),
        _pads(call, kernel, dilation),
        dilation,
        call.integers("output_padding", rank),
        call.get("groups", 1),
    )
    x, added = _batched(call, rank)
    return _unbatched(call, call.emit(op, x, call.value("weight"), call.optional("bias")), added)


def linear(call: Call) -> Result:
    """A fully connected layer."""
    if call.type("weight").rank == 1:
        raise call.refuse("with a weight vector; give it two axes")
    operands = call.value("input"), call.value("weight"), call.optional("bias")
    return call.emit(matmul.Linear(), *operands)


def product(call: Call) -> Result:
    """matmul, mm, bmm, mv, dot."""
    other = next(name for name in ("other", "mat2", "vec", "tensor") if name in call.arguments)
    return call.emit(matmul.MatMul(), call.value(), call.value(other))


def added_product(call: Call) -> Result:
    """addmm and baddbmm: beta * self + alpha * product."""
    names = ("mat1", "mat2") if "mat1" in call.arguments else ("batch1", "batch2")
    y = call.emit(matmul.MatMul(), *map(call.value, names), part="product")
    dtype, bias = call.result.dtype, call.value()
    if call.get("alpha", 1) != 1:
        alpha = call.scalar(call.get("alpha"), dtype, "alpha")
        y = call.emit(elementwise.Mul(), y, alpha, part="scaled")
    if call.get("beta", 1) == 0:
        return y
    if call.get("beta", 1) != 1:
        beta = call.scalar(call.get("beta"), dtype, "beta")
        bias = call.emit(elementwise.Mul(), bias, beta, part="bias")
    return call.emit(elementwise.Add(), y, bias)


def einsum(call: Call) -> Result:
    """Einstein summation."""
    operands = [call.as_value(tensor) for tensor in call.get("tensors")]
    return call.emit(Einsum(call.get("equation")), *operands)


def attention(call: Call) -> Result:
    """softmax(scale * Q K^T + mask) V (Vaswani et al., 2017), as a chain of five ops.

    A position that the mask excludes gets the lowest float32 instead of -inf, so that a row with
    no position left is uniform and not NaN.
    """
    q, k, v = (call.value(name) for name in ("query", "key", "value"))
    if call.get("dropout_p"):
        raise call.refuse("drops values at random; call .eval() on the model first")
    if call.get("enable_gqa") and call.shape(q)[-3:-2] != call.shape(k)[-3:-2]:
        raise call.refuse("with fewer key heads than query heads (enable_gqa)")
    rank, dtype = len(call.shape(k)), call.result.dtype
    turned = call.emit(Transpose((*range(rank - 2), rank - 1, rank - 2)), k, part="key_transposed")
    scores = call.emit(matmul.MatMul(), q, turned, part="scores")
    scale = call.get("scale") or 1 / sqrt(call.shape(q)[-1])
    factor = call.scalar(scale, dtype, "scale")
    scores = call.emit(elementwise.Mul(), scores, factor, part="scaled")
    bias = _attention_bias(call, call.shape(scores)[-2:], dtype)
    if bias is not None:
        scores = call.emit(elementwise.Add(), scores, bias, part="masked")
    weights = call.emit(softmax.Softmax(len(call.shape(scores)) - 1), scores, part="weights")
    return call.emit(matmul.MatMul(), weights, v)


def _attention_bias(call: Call, shape: tuple[int, ...], dtype: DType) -> str | None:
    """What is added to the scores: 0 where a position counts, very low where it does not."""
    if call.get("is_causal"):
        bias = torch.full(shape, LOWEST).triu(1).numpy().astype(dtype.numpy)
        return call.constant(bias, f"{call.name}.mask")
    if not call.given("attn_mask"):
        return None
    mask = call.value("attn_mask")
    if call.builder.types[mask].dtype is not DType.BOOL:
        return call.cast(mask, dtype)
    low = max(LOWEST, float(torch.finfo(getattr(torch, str(dtype.numpy))).min))
    zero, lowest = call.scalar(0, dtype, "kept"), call.scalar(low, dtype, "masked_out")
    return call.emit(logic.Where(), mask, zero, lowest, part="mask")
