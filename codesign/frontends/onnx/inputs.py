"""Shapes of a graph's inputs: declared ones, bound ones, and free dimensions refused."""

from collections.abc import Mapping, Sequence
from math import prod

from onnx import TypeProto, ValueInfoProto

from codesign.errors import UnknownNameError, UnsupportedModelError, UsageError
from codesign.frontends.onnx.call import NotConstantError
from codesign.frontends.onnx.tensor import NARROW, numpy_dtype, type_name
from codesign.ir.dtype import from_numpy
from codesign.ir.types import TensorType

MAX_INPUT_BYTES = 1 << 36
Shapes = Mapping[str, Sequence[int]]


def input_types(
    inputs: Sequence[ValueInfoProto], shapes: Shapes, readers: Mapping[str, str]
) -> dict[str, TensorType]:
    """Static type of each of the graph's `inputs`, with `shapes` bound by name.

    A symbol bound through one input ("batch") holds for the others. UsageError for a binding that
    fits no input; UnsupportedModelError for a dimension that stays free, naming it. `readers` says
    for messages which node reads an input.
    """
    names = [value.name for value in inputs]
    for name in shapes:
        if name not in names:
            raise UnknownNameError("graph input", name, names)
    named = {name: f"input {name!r} of {readers.get(name, 'no node')}" for name in names}
    declared = {value.name: _declared(value, named[value.name]) for value in inputs}
    symbols = _symbols(declared, shapes)
    return {
        value.name: _bind(
            value, named[value.name], declared[value.name], shapes.get(value.name), symbols
        )
        for value in inputs
    }


def _declared(value: ValueInfoProto, what: str) -> list[int | str] | None:
    """Extents, or symbols of free ones (possibly ""); None if the rank is unknown too."""
    if value.type.WhichOneof("value") != "tensor_type":
        kind = (value.type.WhichOneof("value") or "no type").replace("_", " ")
        raise UnsupportedModelError(f"{what} has {kind}; only tensors are supported")
    tensor: TypeProto.Tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    found: list[int | str] = []
    for dim in tensor.shape.dim:
        fixed = dim.WhichOneof("value") == "dim_value" and dim.dim_value >= 0
        found.append(dim.dim_value if fixed else dim.dim_param)
    return found


def _symbols(declared: Mapping[str, list[int | str] | None], shapes: Shapes) -> dict[str, int]:
    """What the bound shapes say about symbolic dimensions.

    A symbol bound to two extents ("?" in some exporters' files) is no symbol.
    """
    found: dict[str, set[int]] = {}
    for name, shape in shapes.items():
        dims = declared[name]
        if dims is None or len(dims) != len(shape):
            continue
        for symbol, extent in zip(dims, shape, strict=True):
            if isinstance(symbol, str) and symbol:
                found.setdefault(symbol, set()).add(extent)
    return {symbol: extents.pop() for symbol, extents in found.items() if len(extents) == 1}


def _bind(
    value: ValueInfoProto,
    what: str,
    dims: list[int | str] | None,
    shape: Sequence[int] | None,
    symbols: Mapping[str, int],
) -> TensorType:
    element = value.type.tensor_type.elem_type
    dtype = numpy_dtype(element, what)
    if element in NARROW:
        raise NotConstantError(
            f"{what} has element type {type_name(element)}, which only constants may have",
            [value.name],
        )
    known = _given(value.name, dims, shape) if shape is not None else dims
    if known is None:
        raise UnsupportedModelError(
            f"input {value.name!r} has no shape; give one: --input-shape {value.name}=1,3,224,224"
        )
    extents = tuple(_extent(value.name, known, axis, symbols) for axis in range(len(known)))
    if prod(extents) * dtype.itemsize > MAX_INPUT_BYTES or len(extents) > 32:
        raise UnsupportedModelError(
            f"input {value.name!r} of shape {list(extents)} is larger than "
            f"{MAX_INPUT_BYTES >> 30} GiB"
        )
    return TensorType(extents, from_numpy(dtype))


def _given(name: str, dims: list[int | str] | None, shape: Sequence[int]) -> list[int | str]:
    if any(extent < 1 for extent in shape):
        raise UsageError(f"input shape {name}={list(shape)} has an extent below 1")
    if dims is not None and len(dims) != len(shape):
        raise UsageError(
            f"input shape {name}={','.join(map(str, shape))} has {len(shape)} dimensions; "
            f"the model's input {name!r} has {len(dims)}: {dims}"
        )
    return list(shape)


def _extent(name: str, dims: Sequence[int | str], axis: int, symbols: Mapping[str, int]) -> int:
    extent = dims[axis]
    if isinstance(extent, int):
        return extent
    if extent in symbols:
        return symbols[extent]
    guesses = (1, 3, 224, 224) if len(dims) == 4 else (1,) * len(dims)
    known = (d if isinstance(d, int) else guess for d, guess in zip(dims, guesses, strict=True))
    example = ",".join(map(str, known))
    symbol = f" ({extent!r})" if extent else ""
    raise UnsupportedModelError(
        f"input {name!r} has a free dimension {axis}{symbol}; shapes are static here, "
        f"so bind it: --input-shape {name}={example}"
    )
