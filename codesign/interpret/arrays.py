"""Numpy arrays as torch tensors and back, and the check of what a graph is given."""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from codesign.errors import DataError
from codesign.ir.dtype import DType
from codesign.ir.graph import Graph
from codesign.ir.ops.operands import carrier

_WRAP = {DType.U16: 0xFFFF, DType.U32: 0xFFFFFFFF}


def to_torch(array: np.ndarray) -> Tensor:
    """`array` as a tensor that shares its memory where torch has its element type; not written to.

    u16, u32 and u64 become the wider signed types that carry them.
    """
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int32 if array.dtype == np.uint16 else np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))


def to_numpy(tensor: Tensor, dtype: DType) -> np.ndarray:
    """A copy of `tensor` as elements of `dtype`."""
    return np.array(tensor.detach().numpy(), dtype=dtype.numpy, copy=True)


def carried(tensor: Tensor, dtype: DType) -> Tensor:
    """`tensor` as the carrier of `dtype` holds it, wide unsigned integers reduced modulo 2^bits."""
    tensor = tensor.to(carrier(dtype))
    return tensor & _WRAP[dtype] if dtype in _WRAP else tensor


def check_inputs(graph: Graph, inputs: Mapping[str, np.ndarray]) -> None:
    """Raise DataError unless `inputs` has exactly the graph's inputs, of their shapes and types."""
    if set(inputs) != set(graph.inputs):
        raise DataError(
            f"given inputs {_names(inputs)}, but the model takes {_names(graph.inputs)}"
        )
    for name in graph.inputs:
        want, have = graph.types[name], np.asarray(inputs[name])
        if have.shape != want.shape or have.dtype != want.dtype.numpy:
            raise DataError(
                f"input {name!r} is {have.dtype}{list(have.shape)}, but the model takes "
                f"{want.dtype.numpy}{list(want.shape)}"
            )


def _names(names: Mapping[str, object] | tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"
