"""One spelling for each thing: identities dropped, chains joined, composite ops found again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from codesign.errors import UsageError
from codesign.ir.graph import Graph, Node
from codesign.ir.program import Program
from codesign.ir.types import TensorType
from codesign.passes.simplify import codes
from codesign.passes.simplify.rules import activations, identities, norms, shapes
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.pass_ import Pass

Rule = Callable[[Graph, Node, Edit], str | None]
RULES: dict[str, tuple[Rule, ...]] = {
    "add": (identities.neutral_operand, norms.linear_bias, norms.shifted_norm),
    "avg_pool": (shapes.global_average,),
    "cast": (identities.same_type,),
    "clip": (identities.unbounded_clip, activations.clipped),
    "concat": (identities.same_type,),
    "conv": (shapes.pad_into_conv,),
    "div": (identities.neutral_operand, activations.divided, norms.normalized),
    "expand": (identities.same_type,),
    "expand_dims": (identities.same_type, shapes.reshape_of_reshape),
    "flatten": (identities.same_type, shapes.reshape_of_reshape),
    "matmul": (norms.linear_layer,),
    "max": (activations.bounded,),
    "min": (activations.bounded,),
    "mul": (
        identities.neutral_operand,
        activations.multiplied,
        norms.normalized,
        norms.scaled_norm,
    ),
    "pad": (identities.empty_pad,),
    "pow": (identities.neutral_operand,),
    "reshape": (identities.same_type, shapes.reshape_of_reshape),
    "slice": (identities.same_type,),
    "squeeze": (identities.same_type, shapes.reshape_of_reshape),
    "sub": (identities.neutral_operand,),
    "transpose": (identities.still_transpose, shapes.transpose_of_transpose),
}


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Rewrite to one spelling until nothing changes, at most `rounds` times.

    Drops ops that change nothing, joins chains of reshapes and of transposes, moves zero pads into
    convolutions, and finds hard-swish, silu, gelu, layer norm and linear layers in their pieces.
    Codes of quantized models take the form that kernels compute with (see `codes`).

    Before:
        %s: tensor<4xf32> = sigmoid(%x)
        %y: tensor<4xf32> = mul(%x, %s)
    After:
        %y: tensor<4xf32> = silu(%x)
    """

    name: ClassVar[str] = "canonicalize"

    rounds: int = 20

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UsageError(f"{self.name}: rounds is {self.rounds}, expected at least 1")

    def run(self, program: Program, context: Context) -> Program:
        graph = codes.unify(program.graph, codes.reach_of(context.target))
        for _ in range(self.rounds):
            edit = Edit(graph)
            for node in graph.nodes:
                _rewrite(graph, node, edit, context)
            changed = edit.graph()
            if changed is graph:
                break
            graph = changed
        return program.with_graph(graph)


def _rewrite(graph: Graph, node: Node, edit: Edit, context: Context) -> None:
    """Replace `node` by the first rule that applies; what it makes is stored as the result was.

    A rule need not see that a constant broadcasts the result to another shape: then it is not
    taken.
    """
    for rule in RULES.get(node.kind, ()):
        value = rule(graph, node, edit)
        if value is not None and _fits(edit.type(value), graph.types[node.name]):
            if value not in graph.types:
                edit.set_type(value, graph.types[node.name])
            elif edit.type(value).element != graph.types[node.name].element:
                continue
            edit.replace(node.name, value)
            made = f"%{value}" if value in graph.types else f"{edit.kind(value)} {edit.type(value)}"
            context.note(node.name, f"{node.kind} became {made} ({rule.__name__})")
            return


def _fits(found: TensorType, wanted: TensorType) -> bool:
    return (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
