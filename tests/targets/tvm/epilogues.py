"""An epilogue that reads its operands at the output's own index, with the operands."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue, Operand
from codesign.targets.tvm.kernels.shapes import ConvShape

Array = NDArray[np.float32]


def relu_and_residual(shape: ConvShape) -> tuple[Epilogue, Array, Array]:
    """relu(conv + bias) + residual; bias [OC blocks, b] and residual as the blocked output."""
    r = np.random.default_rng(1)
    bias = r.standard_normal((shape.oc_blocks, shape.block)).astype(np.float32)
    residual = r.standard_normal(shape.blocked_output).astype(np.float32)

    def apply(acc: Any, index: tuple[Any, ...], buffers: tuple[Any, ...]) -> Any:
        biased = acc + tirx.BufferLoad(buffers[0], [index[1], index[4]])
        return tirx.max(biased, tirx.const(0, "float32")) + tirx.BufferLoad(buffers[1], list(index))

    operands = (
        Operand("bias", bias.shape, "float32"),
        Operand("residual", residual.shape, "float32"),
    )
    return Epilogue(operands, "float32", apply), bias, residual
