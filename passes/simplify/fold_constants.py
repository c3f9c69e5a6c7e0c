"""Computing while compiling what depends on constants alone."""

from dataclasses import dataclass
from typing import ClassVar

from codesign.errors import UsageError
from codesign.ir.const import Const
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.pass_ import Pass


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Replace nodes whose inputs are all constants by their results.

    Results of more than `max_elements` elements that are larger than what they are made of stay
    computed, so that an expanded constant does not swell the artifact.

    Before:
        const %c: tensor<f32> = f32:4.0
        %a: tensor<f32> = sqrt(%c)
        %y: tensor<2xf32> = mul(%x, %a)
    After:
        const %a: tensor<f32> = f32:2.0
        %y: tensor<2xf32> = mul(%x, %a)
    """

    name: ClassVar[str] = "fold-constants"

    max_elements: int = 1 << 20

    def __post_init__(self) -> None:
        if self.max_elements < 1:
            raise UsageError(f"fold-constants: max_elements is {self.max_elements}, expected >= 1")

    def run(self, program: Program, context: Context) -> Program:
        from codesign.interpret.arrays import to_numpy, to_torch
        from codesign.interpret.step import compute

        graph = program.graph
        edit = Edit(graph)
        known: dict[str, Const] = dict(graph.constants)
        for node in graph.nodes:
            if not all(v in known for v in node.operands):
                continue
            made = sum(t.size for t in graph.output_types(node))
            if made > max(self.max_elements, sum(known[v].array.size for v in node.operands)):
                context.note(node.name, f"its {made} constant elements are computed", done=False)
                continue
            given = [None if v is None else to_torch(known[v].array) for v in node.inputs]
            for value, result in zip(node.outputs, compute(graph, node, given), strict=True):
                kind = graph.types[value]
                known[value] = Const.share(to_numpy(result, kind.dtype))
                edit.replace(value, edit.constant(known[value], value, kind.encodings))
        return program.with_graph(edit.graph())
