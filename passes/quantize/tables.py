"""Tables that are looked up (embeddings) in signed 8-bit codes, with one scale for each column."""

from collections.abc import Collection, Iterator

import numpy as np

from codesign.analysis.codes import row_codes, table_of
from codesign.ir.const import Const
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.encode import Decode
from codesign.ir.types import TensorType
from codesign.passes.quantize import scales
from codesign.passes.quantize.pays import TRIALS, predicted_ms
from codesign.passes.simplify import codes
from codesign.rewrite.context import Context, Target
from codesign.rewrite.edit import Edit

WORTH = 4096  # elements from which a table is stored in codes
LOST = 0.25  # share of a table's elements that may become zero
NOISE = 1.01  # times the predicted latency: what is no slower as far as a prediction can tell


def lookups(graph: Graph) -> dict[str, str]:
    """The table by lookup: nodes that read rows of a constant float matrix."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        table = table_of(node)
        if table is not None and table in graph.constants:
            kind = graph.types[table]
            if kind.rank == 2 and kind.dtype.is_float:
                found[node.name] = table
    return found


def in_codes(graph: Graph, left: Collection[str], context: Context, target: Target | None) -> Graph:
    """`graph` with its tables in codes, but those that the nodes `left` read.

    With a `target`, only as long as its prediction of the whole program stays within `NOISE`:
    all of them if that holds, else, of at most `TRIALS`, the largest that it holds for. Others are
    noted.
    """
    tables = list(_worth(graph, left, context))
    whole = _written(graph, tables)
    if not tables or target is None:
        return whole
    plain, coded = predicted_ms(target, graph), predicted_ms(target, whole)
    if plain is None or coded is None or coded <= plain * NOISE:
        return whole
    kept: list[str] = []
    for table in tables:
        if len(tables) <= TRIALS:
            coded = predicted_ms(target, _written(graph, [*kept, table]))
        if coded is not None and coded <= plain * NOISE:
            kept.append(table)
            continue
        text = f"its table stays in float: the program's {plain:.4f} ms would be {coded:.4f} ms"
        context.note(_readers(graph, table)[0].name, text, done=False)
    return _written(graph, kept)


def _worth(graph: Graph, left: Collection[str], context: Context) -> Iterator[str]:
    """The tables to store in codes, the largest first; why others are not is noted."""
    found = lookups(graph)
    kept = {found[name] for name in left if name in found}
    tables = dict.fromkeys(t for t in found.values() if t not in kept)
    for table in sorted(tables, key=lambda t: -graph.types[t].size):
        if graph.types[table].size < WORTH:
            continue
        if why := refusal(graph, table):
            context.note(_readers(graph, table)[0].name, why, done=False)
        else:
            yield table


def refusal(graph: Graph, table: str) -> str:
    """Why constant `table` [rows, columns] has no codes, "" if it can have."""
    kind, array = graph.types[table], graph.constants[table].array
    if kind.dtype != "f32" or kind.encodings:
        return f"its table is stored as {kind}"
    others = [n.name for n in graph.consumers[table] if table_of(n) != table]
    if others or table in graph.outputs:
        return f"its table is read in float by {', '.join(others) or 'the caller'} too"
    if not np.isfinite(array).all():
        return "its table holds values that are not finite"
    form = scales.table(array)
    zeros = float(((form.encode(array)["values"] == 0) & (array != 0)).mean())
    return f"{zeros:.0%} of its table's elements would become zero" if zeros > LOST else ""


def _readers(graph: Graph, table: str) -> list[Node]:
    """The lookups in `table`."""
    return [node for node in graph.consumers[table] if table_of(node) == table]


def _written(graph: Graph, tables: Collection[str]) -> Graph:
    """`graph` with `tables` in codes; element-wise readers decode, others read a decode node."""
    edit = Edit(graph)
    for table in tables:
        kind, array = graph.types[table], graph.constants[table].array
        form = scales.table(array)
        content = Const.share(form.decode(form.encode(array), array.shape))
        edit.replace(table, edit.constant(content, f"{table}.int8", (form,)))
        for node in _readers(graph, table):
            _retype(graph, node, kind.with_encoding(form), edit)
    return codes.unify(edit.graph())


def _retype(graph: Graph, node: Node, table: TensorType, edit: Edit) -> None:
    """Store the result of lookup `node` in the codes of its `table`."""
    kind = graph.types[node.name]
    form = row_codes(table, kind.rank)
    assert form is not None
    edit.set_type(node.name, kind.with_encoding(form))
    readers = graph.consumers[node.name]
    if node.name in graph.outputs or not all(reader.op.elementwise for reader in readers):
        edit.replace(node.name, edit.add(Decode(), node.name, name=f"{node.name}.plain"))
