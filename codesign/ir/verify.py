"""The rules of a graph, rechecked after every pass."""

from codesign.errors import VerificationError
from codesign.ir.attributes import check_attributes
from codesign.ir.graph import Graph, Node
from codesign.ir.op import Op
from codesign.ir.types import TensorType


def verify_graph(graph: Graph) -> None:
    """Raise VerificationError, with the offending line and its neighbours, if `graph` is invalid.

    Every value is defined once, before its uses, with a type; shapes and element types are those
    that the op infers; encodings fit their tensors; constants have their type's shape; attributes
    are of the declared types; public names are unique.
    """
    defined = set(graph.inputs)
    _inputs(graph)
    for position, node in enumerate(graph.nodes):
        try:
            _node(graph, node, defined)
        except VerificationError as error:
            raise VerificationError(f"{error}\n{neighbours(graph, position)}") from None
        defined |= set(node.outputs)
    _outputs(graph, defined)


def neighbours(graph: Graph, position: int, around: int = 2) -> str:
    """The text lines around node number `position`, the line itself marked."""
    from codesign.ir.text import print_node

    first = max(0, position - around)
    shown = graph.nodes[first : position + around + 1]
    lines = (
        f"{'>>' if first + i == position else '  '} {print_node(graph, node)}"
        for i, node in enumerate(shown)
    )
    return "\n".join(lines)


def _inputs(graph: Graph) -> None:
    if len(set(graph.inputs)) < len(graph.inputs):
        raise VerificationError(f"two inputs have one name: {', '.join(graph.inputs)}")
    for name in (*graph.inputs, *graph.constants):
        if name not in graph.types:
            raise VerificationError(f"%{name} has no type")
        try:
            _type(graph.types[name])
        except VerificationError as error:
            raise VerificationError(f"%{name}: {error}") from None
    for name, const in graph.constants.items():
        kind = graph.types[name]
        if name in graph.inputs:
            raise VerificationError(f"%{name} is both an input and a constant")
        if const.shape != kind.shape or const.array.dtype != kind.dtype.numpy:
            raise VerificationError(
                f"constant %{name} is {const.array.dtype}{list(const.shape)}, its type says {kind}"
            )


def _outputs(graph: Graph, defined: set[str]) -> None:
    if len(graph.outputs) != len(graph.output_names):
        raise VerificationError(
            f"the graph has {len(graph.outputs)} outputs, but {len(graph.output_names)} names"
        )
    if len(set(graph.output_names)) < len(graph.output_names):
        raise VerificationError(f"two outputs have one name: {', '.join(graph.output_names)}")
    for value in graph.outputs:
        if value not in defined and value not in graph.constants:
            raise VerificationError(f"the graph returns %{value}, which nothing defines")


def _type(kind: TensorType) -> None:
    for encoding in kind.encodings:
        check_attributes(encoding)
    kind.check()


def _infer(graph: Graph, node: Node) -> tuple[TensorType, ...]:
    """What the op says of its results; arithmetic that fails on odd attributes is a refusal too."""
    check_attributes(node.op)
    _arity(node.op, node)
    try:
        return node.op.infer(*graph.input_types(node))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise VerificationError(
            f"{node.kind} cannot infer its results: {type(error).__name__}: {error}"
        ) from error


def _node(graph: Graph, node: Node, defined: set[str]) -> None:
    if not node.outputs or len(set(node.outputs)) < len(node.outputs):
        raise VerificationError(f"{node.kind} needs results of distinct names: {node.outputs}")
    for value in node.operands:
        if value not in defined and value not in graph.constants:
            raise VerificationError(f"%{node.name} reads %{value}, which is not defined before it")
    inferred = _infer(graph, node)
    if len(inferred) != len(node.outputs):
        raise VerificationError(
            f"{node.kind} has {len(inferred)} results, %{node.name} names {len(node.outputs)}"
        )
    for value, want in zip(node.outputs, inferred, strict=True):
        if value in defined or value in graph.constants:
            raise VerificationError(f"%{value} is defined twice")
        have = graph.types.get(value)
        if have is None or (have.shape, have.dtype) != (want.shape, want.dtype):
            raise VerificationError(f"%{value} has type {have}, but {node.kind} makes {want}")
        _type(have)


def _arity(op: Op, node: Node) -> None:
    roles = op.roles
    repeated = bool(roles) and roles[-1].endswith("*")
    if len(node.inputs) > len(roles) and not repeated:
        raise VerificationError(f"{op.kind} takes at most {len(roles)} inputs: {', '.join(roles)}")
    for i, role in enumerate(roles):
        optional = role[-1] in "?*"
        if not optional and (i >= len(node.inputs) or node.inputs[i] is None):
            raise VerificationError(f"{op.kind} %{node.name} lacks its input {role}")
