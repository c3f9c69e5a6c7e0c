"""Running one op on arrays, and checking that its results have the types it infers."""

import numpy as np
import torch

from codesign.interpret.arrays import to_numpy, to_torch
from codesign.ir.dtype import from_numpy
from codesign.ir.op import Op
from codesign.ir.types import TensorType


def types_of(arrays: tuple[np.ndarray | None, ...]) -> list[TensorType | None]:
    return [
        None if array is None else TensorType(array.shape, from_numpy(array.dtype))
        for array in arrays
    ]


def results(op: Op, *arrays: np.ndarray | None) -> list[np.ndarray]:
    """All results of `op`, whose shapes and element types must be the inferred ones."""
    inferred = op.infer(*types_of(arrays))
    with torch.no_grad():
        made = op.evaluate(*(None if array is None else to_torch(array) for array in arrays))
    tensors = made if isinstance(made, tuple) else (made,)
    assert len(tensors) == len(inferred)
    found = [to_numpy(t, kind.dtype) for t, kind in zip(tensors, inferred, strict=True)]
    for tensor, array, kind in zip(tensors, found, inferred, strict=True):
        assert tuple(tensor.shape) == kind.shape
        assert tensor.dtype == to_torch(array).dtype
    return found


def run(op: Op, *arrays: np.ndarray | None) -> np.ndarray:
    """The first result of `op`."""
    return results(op, *arrays)[0]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def f32(values: object) -> np.ndarray:
    return np.array(values, np.float32)


def i32(values: object) -> np.ndarray:
    return np.array(values, np.int32)


def i64(values: object) -> np.ndarray:
    return np.array(values, np.int64)


def u8(values: object) -> np.ndarray:
    return np.array(values, np.uint8)
