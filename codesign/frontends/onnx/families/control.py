"""If with a known condition, Loop with a known length, Scan: written out step by step."""

from collections.abc import Sequence

import numpy as np

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.call import Call, NotConstantError, Table
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.value import Value
from codesign.ir.ops.join import Concat, Slice
from codesign.ir.ops.shape import ExpandDims, Squeeze

MAX_STEPS = 1024


def choose(call: Call) -> Sequence[Value]:
    """If: the branch that its condition, which must be known, takes."""
    branches = call.subgraph("then_branch"), call.subgraph("else_branch")
    what = f"its condition {call.node.input[0]!r}"
    taken = branches[0] if _known(call, call.x(), what) else branches[1]
    return call.run(taken, [], call.emit.label)


def _known(call: Call, condition: Value, what: str) -> bool:
    """The truth of a value that must be known while importing."""
    if condition.array is None:
        raise NotConstantError(
            f"{describe(call.node)} (operator {call.node.op_type}, domain 'ai.onnx') is not "
            f"supported: {what} is {{where}}; only branches and loops that shapes and constants "
            "decide can be imported",
            call.emit.sources(condition),
        )
    if condition.array.size != 1:
        raise InvalidModelError(f"{describe(call.node)}: {what} must be one truth value")
    return bool(condition.array.reshape(()))


def loop(call: Call) -> Sequence[Value]:
    """Loop: its body, as often as the trip count and the condition say."""
    body, label = call.subgraph("body"), call.emit.label
    limit = MAX_STEPS + 1
    if call.get(0) is not None:
        limit = int(call.float_of(0, "the trip count"))
    going = call.get(1) is None or _known(call, call.x(1), "its condition")
    state = [call.x(i) for i in range(2, len(call.inputs))]
    rows: list[list[Value]] = []
    step = 0
    while going and step < limit:
        _check_steps(call, step)
        number = call.emit.constant(np.array(step, np.int64))
        flag = call.emit.constant(np.array(True))
        results = call.run(body, [number, flag, *state], f"{label}.{step}")
        going = _known(call, results[0], "its condition")
        state, step = results[1 : len(state) + 1], step + 1
        rows.append(results[len(state) + 1 :])
    count = len(body.output) - 1 - len(state)
    if count and not rows:
        raise call.refuse("no steps, so that what they would give has no known type")
    return [*state, *(_stack(call, [row[i] for row in rows], 0) for i in range(count))]


def _check_steps(call: Call, step: int) -> None:
    if step >= MAX_STEPS:
        raise call.refuse(f"over {MAX_STEPS} steps")


def _stack(call: Call, parts: Sequence[Value], axis: int) -> Value:
    place = call.normal(axis, parts[0].rank + 1)
    lifted = [call.op(ExpandDims((place,)), part) for part in parts]
    return lifted[0] if len(lifted) == 1 else call.op(Concat(place), *lifted)


def scan(call: Call) -> Sequence[Value]:
    """Scan: its body once for each slice of the scanned inputs."""
    body, label = call.subgraph("body"), call.emit.label
    scanned = call.integer("num_scan_inputs")
    values = call.all()
    if not 1 <= scanned <= len(values):
        raise InvalidModelError(f"{describe(call.node)}: num_scan_inputs is {scanned}")
    state, inputs = values[:-scanned], values[-scanned:]
    count = len(body.output) - len(state)
    axes = call.integers("scan_input_axes", [0] * scanned)
    places = [call.normal(axis, x.rank) for axis, x in zip(axes, inputs, strict=True)]
    backwards = call.integers("scan_input_directions", [0] * scanned)
    turned = call.integers("scan_output_directions", [0] * count)
    steps = inputs[0].shape[places[0]]
    rows: list[list[Value]] = []
    for step in range(steps):
        _check_steps(call, step)
        at = [steps - 1 - step if back else step for back in backwards]
        parts = [_cut(call, *each) for each in zip(inputs, places, at, strict=True)]
        results = call.run(body, [*state, *parts], f"{label}.{step}")
        state = results[: len(state)]
        rows.append(results[len(state) :])
    if not rows:
        raise call.refuse("no steps, so that what they would give has no known type")
    outputs = call.integers("scan_output_axes", [0] * count)
    orders = [rows[::-1] if back else rows for back in turned]
    stacked = [_stack(call, [row[i] for row in orders[i]], outputs[i]) for i in range(count)]
    return [*state, *stacked]


def _cut(call: Call, x: Value, axis: int, place: int) -> Value:
    """Slice number `place` of `x` along `axis`, without that axis."""
    piece = call.op(Slice((axis,), (place,), (place + 1,), (1,)), x)
    return call.op(Squeeze((axis,)), piece)


TABLE: Table = {"If": {7: choose}, "Loop": {7: loop}, "Scan": {9: scan}}
