"""More small valid models to damage, one for each group of operators."""

import numpy as np
from onnx import ModelProto, TensorProto

from tests.frontends import qonnx_models as qonnx
from tests.frontends.onnx_models import graph_of, model_of, node, random, value

IMAGE = [value("x", [1, 4, 6, 6])]
INTS = np.int64


def models() -> list[ModelProto]:
    """Pools and resizing, shapes and gathers, norms, recurrence, reductions, dynamic 8 bits."""
    first = [image(), shapes(), norms(), recurrent(), reductions(), integers(), constants()]
    return [*first, loops(), few_bits()]


def image() -> ModelProto:
    """Pools, transposed convolution, resize, pad."""
    nodes = [
        node("AveragePool", "x", "a", kernel_shape=[3, 3], ceil_mode=1, strides=[2, 2]),
        node("ConvTranspose", "a w", "b", strides=[2, 2], output_padding=[1, 1], group=2),
        node("Resize", "b - scales", "c", mode="linear"),
        node("Pad", "c pads zero", "d", mode="reflect"),
        node("DepthToSpace", "d", "y", blocksize=2),
    ]
    weights = {
        "w": random(4, 2, 2, 2),
        "scales": np.array([1, 1, 1.5, 2], np.float32),
        "pads": np.array([0, 0, 1, 1, 0, 0, 0, 2], INTS),
        "zero": np.float32(0),
    }
    return model_of(nodes, IMAGE, ["y"], weights)


def shapes() -> ModelProto:
    """Slices, splits, gathers, scatters, tiles, expands."""
    nodes = [
        node("Slice", "x starts ends axes steps", "a"),
        node("Split", "a sizes", "b c", axis=1),
        node("Gather", "b index", "d", axis=2),
        node("Tile", "c repeats", "e"),
        node("Expand", "one shape", "f"),
        node("ScatterND", "f places updates", "g"),
        node("TopK", "d k", "h i", axis=-1),
        node("OneHot", "i depth values", "j"),
        node("Concat", "h h", "l", axis=0),
    ]
    weights = {
        "starts": np.array([5, 0], INTS),
        "ends": np.array([-9, 4], INTS),
        "axes": np.array([3, 1], INTS),
        "steps": np.array([-2, 1], INTS),
        "sizes": np.array([1, 3], INTS),
        "index": np.array([[0, -1]], INTS),
        "repeats": np.array([1, 2, 1, 1], INTS),
        "one": np.float32(1).reshape(1),
        "shape": np.array([3, 2], INTS),
        "places": np.array([[0], [2]], INTS),
        "updates": random(2, 2),
        "k": np.array([2], INTS),
        "depth": np.array(6, INTS),
        "values": np.array([0, 1], np.float32),
    }
    return model_of(nodes, IMAGE, ["g", "e", "l", "j"], weights)


def norms() -> ModelProto:
    """Normalizations, einsum, softmax, and functions of the standard."""
    nodes = [
        node("BatchNormalization", "x s s s v", "a", epsilon=1e-3),
        node("InstanceNormalization", "a s s", "b"),
        node("LRN", "b", "c", size=3),
        node("LayerNormalization", "c t", "d", axis=-1),
        node("Einsum", "d d", "e", equation="bchw,bcvw->bhv"),
        node("Softmax", "e", "f", axis=1),
        node("MeanVarianceNormalization", "c", "g"),
        node("Softplus", "g", "h"),
    ]
    weights = {"s": random(4), "v": np.abs(random(4)), "t": random(6)}
    return model_of(nodes, IMAGE, ["f", "h"], weights)


def recurrent() -> ModelProto:
    """LSTM and GRU."""
    nodes = [
        node("LSTM", "x w r b", "y h c", hidden_size=3, direction="bidirectional"),
        node("Squeeze", "h none", "s"),
        node("GRU", "x gw gr", "z", hidden_size=3, linear_before_reset=1),
    ]
    weights = {
        "w": random(2, 12, 5),
        "r": random(2, 12, 3),
        "b": random(2, 24),
        "gw": random(1, 9, 5),
        "gr": random(1, 9, 3),
        "none": np.array([1], INTS),
    }
    return model_of(nodes, [value("x", [4, 1, 5])], ["y", "s", "z"], weights)


def reductions() -> ModelProto:
    """Reductions, comparisons, casts, where."""
    nodes = [
        node("ReduceMean", "x axes", "a", keepdims=1),
        node("Greater", "x a", "b"),
        node("Where", "b x a", "c"),
        node("ArgMax", "c", "d", axis=1, keepdims=0),
        node("Cast", "d", "e", to=TensorProto.FLOAT),
        node("CumSum", "e axis", "f", reverse=1),
        node("ReduceLogSumExp", "f", "g"),
        node("Clip", "f low", "h"),
    ]
    weights = {
        "axes": np.array([2, 3], INTS),
        "axis": np.array(1, INTS),
        "low": np.float32(0),
    }
    return model_of(nodes, IMAGE, ["g", "h"], weights)


def integers() -> ModelProto:
    """Dynamic quantization and integer products."""
    nodes = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        node("ConvInteger", "q w z", "a", pads=[1, 1, 1, 1]),
        node("Cast", "a", "b", to=TensorProto.FLOAT),
        node("Mul", "b s", "y"),
    ]
    weights = {"w": np.arange(-36, 36, dtype=np.int8).reshape(2, 4, 3, 3)}
    return model_of(nodes, IMAGE, ["y"], weights)


def constants() -> ModelProto:
    """Constants computed while importing: ranges, fills, masks."""
    nodes = [
        node("Constant", "", "n", value_int=6),
        node("Range", "zero n one", "r"),
        node("ConstantOfShape", "shape", "f"),
        node("Trilu", "f", "t", upper=0),
        node("Cast", "r", "c", to=TensorProto.FLOAT),
        node("Add", "t c", "m"),
        node("Add", "x m", "y"),
    ]
    weights = {
        "zero": np.array(0, INTS),
        "one": np.array(1, INTS),
        "shape": np.array([6, 6], INTS),
    }
    return model_of(nodes, IMAGE, ["y"], weights)


def loops() -> ModelProto:
    """A loop and a scan of known length."""
    inner = [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("s", [4])]
    body = graph_of(
        [node("Mul", "s s", "t"), node("Identity", "go", "on"), node("Neg", "t", "row")],
        inner,
        ["on", "t", "row"],
    )
    step = graph_of(
        [node("Add", "s e", "n"), node("Identity", "n", "o")],
        [value("s", [4]), value("e", [4])],
        ["n", "o"],
    )
    nodes = [
        node("Loop", "count - x", "y rows", body=body),
        node("Scan", "y rows", "last all", body=step, num_scan_inputs=1),
    ]
    return model_of(nodes, [value("x", [4])], ["last", "all"], {"count": np.array(3, INTS)})


def few_bits() -> ModelProto:
    """Quantizers of QONNX: of an image, weights and a bias, truncation, thresholds."""
    nodes = [
        qonnx.node("Quant", "x s zero two", "a", signed=0, narrow=0, rounding_mode="FLOOR"),
        qonnx.node("BipolarQuant", "w ws", "v"),
        qonnx.node("IntQuant", "b s zero wide", "u", signed=1, narrow=1),
        node("Conv", "a v u", "c"),
        qonnx.node("BipolarQuant", "c one", "d"),
        node("MaxPool", "d", "e", kernel_shape=[2, 2]),
        qonnx.node("Trunc", "c s zero wide s two", "f", rounding_mode="ROUND"),
        qonnx.node(
            "MultiThreshold", "f steps", "g", out_scale=2.0, out_bias=-1.0, out_dtype="INT2"
        ),
        node("Flatten", "g", "h"),
        node("Flatten", "e", "i"),
        node("Concat", "h i", "y", axis=1),
    ]
    weights = {
        "s": np.float32(0.25),
        "zero": np.float32(0),
        "two": np.float32(2),
        "wide": np.float32(16),
        "one": np.float32(1),
        "w": random(3, 4, 3, 3),
        "b": random(3),
        "ws": np.abs(random(3, 1, 1, 1)),
        "steps": random(3, 1),
    }
    return qonnx.model_of(nodes, IMAGE, weights, version=2)
