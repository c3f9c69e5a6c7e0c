"""Which function imports which aten op: one table, by the op's name without overload."""

from collections.abc import Callable
from functools import partial

from codesign.frontends.torch_ops import (
    activation,
    contract,
    elementwise,
    index,
    norm,
    pool,
    recurrent,
    reduce,
    shape,
)
from codesign.frontends.torch_ops.call import Call, Result
from codesign.ir.op import Op
from codesign.ir.ops import activation as act
from codesign.ir.ops import elementwise as ew
from codesign.ir.ops import logic, order, unary
from codesign.ir.ops import reduce as red
from codesign.ir.ops.softmax import LogSoftmax, Softmax

Importer = Callable[[Call], Result]


def _function(op: Op) -> Importer:
    return partial(elementwise.function, op=op)


def _bits(op: Op) -> Importer:
    def run(call: Call) -> Result:
        dtype = call.result.dtype
        return call.emit(op, call.number("self", dtype), call.number("other", dtype))

    return run


def _compare(op: Op) -> Importer:
    return partial(elementwise.comparison, op=op)


def _logical(op: Op) -> Importer:
    return partial(elementwise.logical, op=op)


CONTRACTIONS: dict[str, Importer] = {
    "addmm": contract.added_product,
    "baddbmm": contract.added_product,
    "bmm": contract.product,
    "conv1d": contract.convolution,
    "conv2d": contract.convolution,
    "conv3d": contract.convolution,
    "conv_transpose1d": contract.transposed,
    "conv_transpose2d": contract.transposed,
    "conv_transpose3d": contract.transposed,
    "convolution": contract.convolution,
    "dot": contract.product,
    "einsum": contract.einsum,
    "gru": recurrent.gru,
    "linear": contract.linear,
    "lstm": recurrent.lstm,
    "matmul": contract.product,
    "mm": contract.product,
    "mv": contract.product,
    "rnn_relu": recurrent.rnn_relu,
    "rnn_tanh": recurrent.rnn_tanh,
    "scaled_dot_product_attention": contract.attention,
}

NORMS_AND_POOLS: dict[str, Importer] = {
    "_native_batch_norm_legit": norm.batch_statistics,
    "_native_batch_norm_legit_functional": norm.batch_statistics,
    "_native_batch_norm_legit_no_training": norm.native_batch_norm,
    "adaptive_avg_pool1d": pool.adaptive_avg_pool,
    "adaptive_avg_pool2d": pool.adaptive_avg_pool,
    "adaptive_avg_pool3d": pool.adaptive_avg_pool,
    "adaptive_max_pool1d": pool.adaptive_max_pool,
    "adaptive_max_pool2d": pool.adaptive_max_pool,
    "avg_pool1d": pool.avg_pool,
    "avg_pool2d": pool.avg_pool,
    "avg_pool3d": pool.avg_pool,
    "batch_norm": norm.batch_norm,
    "group_norm": norm.group_norm,
    "instance_norm": norm.instance_norm,
    "layer_norm": norm.layer_norm,
    "max_pool1d": pool.max_pool,
    "max_pool2d": pool.max_pool,
    "max_pool2d_with_indices": pool.max_pool_with_indices,
    "max_pool3d": pool.max_pool,
    "max_pool3d_with_indices": pool.max_pool_with_indices,
    "native_group_norm": norm.native_group_norm,
    "native_layer_norm": norm.native_layer_norm,
    "rms_norm": norm.rms_norm,
    "_upsample_nearest_exact1d": partial(pool.upsample, mode="nearest"),
    "_upsample_nearest_exact2d": partial(pool.upsample, mode="nearest"),
    "_upsample_bicubic2d_aa": partial(pool.upsample, mode="cubic"),
    "_upsample_bilinear2d_aa": partial(pool.upsample, mode="linear"),
    "upsample_bicubic2d": partial(pool.upsample, mode="cubic"),
    "upsample_bilinear2d": partial(pool.upsample, mode="linear"),
    "upsample_linear1d": partial(pool.upsample, mode="linear"),
    "upsample_nearest1d": partial(pool.upsample, mode="nearest"),
    "upsample_nearest2d": partial(pool.upsample, mode="nearest"),
    "upsample_nearest3d": partial(pool.upsample, mode="nearest"),
    "upsample_trilinear3d": partial(pool.upsample, mode="linear"),
}

ACTIVATIONS: dict[str, Importer] = {
    "_log_softmax": partial(activation.soft_max, kind=LogSoftmax),
    "_softmax": partial(activation.soft_max, kind=Softmax),
    "celu": activation.celu,
    "elu": activation.elu,
    "gelu": activation.gelu,
    "glu": activation.glu,
    "hardshrink": partial(activation.shrink, soft=False),
    "hardsigmoid": _function(act.HardSigmoid(1 / 6, 0.5)),
    "hardswish": _function(act.HardSwish()),
    "hardtanh": elementwise.hardtanh,
    "leaky_relu": activation.leaky_relu,
    "log_sigmoid": activation.log_sigmoid,
    "log_softmax": partial(activation.soft_max, kind=LogSoftmax),
    "mish": _function(act.Mish()),
    "prelu": activation.prelu,
    "relu": activation.relu,
    "relu6": elementwise.relu6,
    "selu": _function(act.Selu()),
    "sigmoid": _function(act.Sigmoid()),
    "silu": _function(act.Silu()),
    "softmax": partial(activation.soft_max, kind=Softmax),
    "softplus": activation.softplus,
    "softshrink": partial(activation.shrink, soft=True),
    "tanh": _function(act.Tanh()),
    "threshold": activation.threshold,
}

ELEMENTWISE: dict[str, Importer] = {
    "abs": _function(unary.Abs()),
    "acos": _function(unary.Acos()),
    "acosh": _function(unary.Acosh()),
    "add": elementwise.add,
    "addcdiv": elementwise.addcdiv,
    "addcmul": elementwise.addcmul,
    "asin": _function(unary.Asin()),
    "asinh": _function(unary.Asinh()),
    "atan": _function(unary.Atan()),
    "atanh": _function(unary.Atanh()),
    "bitwise_and": _bits(logic.And()),
    "__and__": _bits(logic.And()),
    "bitwise_not": _function(logic.Not()),
    "bitwise_or": _bits(logic.Or()),
    "__or__": _bits(logic.Or()),
    "bitwise_xor": _bits(logic.Xor()),
    "ceil": _function(unary.Ceil()),
    "clamp": elementwise.clamp,
    "clamp_max": elementwise.clamp,
    "clamp_min": elementwise.clamp,
    "cos": _function(unary.Cos()),
    "cosh": _function(unary.Cosh()),
    "div": elementwise.div,
    "eq": _compare(logic.Equal()),
    "erf": _function(unary.Erf()),
    "exp": _function(unary.Exp()),
    "exp2": elementwise.exp2,
    "expm1": elementwise.expm1,
    "floor": _function(unary.Floor()),
    "floor_divide": elementwise.floor_divide,
    "fmod": _bits(ew.Mod(fmod=True)),
    "ge": _compare(logic.GreaterEqual()),
    "gt": _compare(logic.Greater()),
    "isinf": elementwise.is_inf,
    "isnan": elementwise.is_nan,
    "le": _compare(logic.LessEqual()),
    "lerp": elementwise.lerp,
    "log": _function(unary.Log()),
    "log10": partial(elementwise.log_base, base=10.0),
    "log1p": elementwise.log1p,
    "log2": partial(elementwise.log_base, base=2.0),
    "logical_and": _logical(logic.And()),
    "logical_not": elementwise.logical_not,
    "logical_or": _logical(logic.Or()),
    "logical_xor": _logical(logic.Xor()),
    "lt": _compare(logic.Less()),
    "masked_fill": elementwise.masked_fill,
    "maximum": _bits(ew.Maximum()),
    "minimum": _bits(ew.Minimum()),
    "mul": elementwise.mul,
    "ne": elementwise.not_equal,
    "neg": _function(unary.Neg()),
    "pow": elementwise.power,
    "reciprocal": _function(unary.Reciprocal()),
    "remainder": _bits(ew.Mod()),
    "round": elementwise.rounding,
    "rsqrt": _function(unary.Rsqrt()),
    "rsub": elementwise.rsub,
    "sign": _function(unary.Sign()),
    "sin": _function(unary.Sin()),
    "sinh": _function(unary.Sinh()),
    "sqrt": _function(unary.Sqrt()),
    "square": elementwise.square,
    "sub": elementwise.sub,
    "tan": _function(unary.Tan()),
    "trunc": _function(unary.Trunc()),
    "where": elementwise.where,
}

REDUCTIONS: dict[str, Importer] = {
    "all": partial(reduce.truth, every=True),
    "amax": partial(reduce.reduction, kind=red.ReduceMax),
    "amin": partial(reduce.reduction, kind=red.ReduceMin),
    "any": partial(reduce.truth, every=False),
    "argmax": partial(reduce.position, kind=order.ArgMax),
    "argmin": partial(reduce.position, kind=order.ArgMin),
    "cumsum": reduce.cumsum,
    "linalg_vector_norm": reduce.vector_norm,
    "logsumexp": partial(reduce.reduction, kind=red.ReduceLogSumExp),
    "max": partial(reduce.extreme, largest=True),
    "mean": partial(reduce.reduction, kind=red.ReduceMean),
    "min": partial(reduce.extreme, largest=False),
    "norm": reduce.vector_norm,
    "prod": partial(reduce.reduction, kind=red.ReduceProd),
    "sort": reduce.sort,
    "std": partial(reduce.variance, root=True),
    "sum": partial(reduce.reduction, kind=red.ReduceSum),
    "topk": reduce.topk,
    "var": partial(reduce.variance, root=False),
}

SHAPES: dict[str, Importer] = {
    "_to_copy": elementwise.cast,
    "_unsafe_view": shape.reshaped,
    "alias": elementwise.same,
    "cat": shape.cat,
    "channel_shuffle": shape.channel_shuffle,
    "chunk": shape.split,
    "clone": elementwise.same,
    "constant_pad_nd": shape.pad,
    "contiguous": elementwise.same,
    "detach": elementwise.same,
    "dropout": elementwise.dropout,
    "expand": shape.expand,
    "expand_as": shape.expand,
    "feature_dropout": elementwise.dropout,
    "flatten": shape.reshaped,
    "flip": shape.flip,
    "lift_fresh_copy": elementwise.same,
    "narrow": shape.narrow,
    "pad": shape.pad,
    "permute": shape.permute,
    "pixel_shuffle": shape.pixel_shuffle,
    "pixel_unshuffle": shape.pixel_unshuffle,
    "reflection_pad1d": shape.pad,
    "reflection_pad2d": shape.pad,
    "repeat": shape.repeat,
    "repeat_interleave": shape.repeat_interleave,
    "replication_pad1d": shape.pad,
    "replication_pad2d": shape.pad,
    "reshape": shape.reshaped,
    "roll": shape.roll,
    "select": shape.select,
    "slice": shape.slice_,
    "split": shape.split,
    "split_with_sizes": shape.split,
    "squeeze": shape.squeeze,
    "stack": shape.stack,
    "swapaxes": shape.transpose,
    "t": shape.transpose,
    "tile": shape.repeat,
    "to": elementwise.cast,
    "transpose": shape.transpose,
    "tril": partial(shape.triangle, upper=False),
    "triu": partial(shape.triangle, upper=True),
    "type_as": elementwise.cast,
    "unbind": shape.unbind,
    "unflatten": shape.reshaped,
    "unsqueeze": shape.unsqueeze,
    "view": shape.reshaped,
}

INDEXING: dict[str, Importer] = {
    "embedding": index.embedding,
    "gather": index.gather_,
    "index": index.index,
    "index_put": index.index_put,
    "index_select": index.index_select,
    "one_hot": index.one_hot,
    "scatter": index.scatter_,
    "scatter_add": index.scatter_,
    "scatter_reduce": index.scatter_,
}

ATEN: dict[str, Importer] = {
    **CONTRACTIONS,
    **NORMS_AND_POOLS,
    **ACTIVATIONS,
    **ELEMENTWISE,
    **REDUCTIONS,
    **SHAPES,
    **INDEXING,
}

# Results that depend on the traced shape and element type alone; computed at import.
FILLED: dict[str, float] = {
    "new_ones": 1,
    "new_zeros": 0,
    "ones_like": 1,
    "zeros_like": 0,
}
FILLED_WITH = ("full_like", "new_full")

# Checks that the tracer leaves behind; they have no result that is used.
CHECKS = frozenset(
    {"_assert_async", "_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range"}
)
