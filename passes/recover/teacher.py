"""The original network, whose answers are taught."""

from collections.abc import Sequence

import torch
from torch import Tensor

from codesign.interpret.module import as_module
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.passes.simplify.fold_batch_norm import FoldBatchNorm
from codesign.rewrite.context import Context
from codesign.rewrite.rebatch import rebatch


class Teacher:
    """Answers of `graph` to batches of `size` samples; batch norms are folded to be fast."""

    def __init__(self, graph: Graph, size: int) -> None:
        folded = FoldBatchNorm().run(Program(graph), Context()).graph
        wide = rebatch(folded, size)
        assert wide is not None
        self.module = as_module(wide, ())
        for buffer in self.module.buffers():
            if buffer.dim() == 4:
                buffer.data = buffer.data.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def __call__(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The outputs, in order."""
        found: tuple[Tensor, ...] = self.module(*inputs)
        return found
