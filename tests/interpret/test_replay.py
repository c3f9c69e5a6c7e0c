from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codesign.interpret.evaluate import evaluate
from codesign.interpret.replay import Replay
from codesign.interpret.rounding import project, project_int
from codesign.ir.const import Const
from codesign.ir.encodings import Int
from tests.small import small_graph
from tests.strategies import inputs_of


def codes(scale: float) -> Int:
    return Int(4, Const(scale, "float32"), Const(3, "int32"), signed=False)


@pytest.mark.parametrize("values", [(), ("x",), ("first.relu",), ("second", "sum")])
@pytest.mark.parametrize("weights", [(), ("first",), ("second", "first")])
def test_a_replay_is_a_run_of_the_changed_graph(
    values: tuple[str, ...], weights: tuple[str, ...]
) -> None:
    graph = small_graph()
    inputs = inputs_of(graph, 3)
    names = {node: graph.by_name[node].operands[1] for node in weights}
    arrays = {w: np.round(graph.constants[w].array, 1) for w in names.values()}
    encodings = {value: codes(0.3) for value in values}
    replay = Replay(graph, inputs)
    (found,) = replay.changed({(n, w): arrays[w] for n, w in names.items()}, encodings)
    changed = replace(
        graph,
        constants={**graph.constants, **{w: Const(a) for w, a in arrays.items()}},
        types={
            **graph.types,
            **{v: graph.types[v].with_encoding(e) for v, e in encodings.items()},
        },
    )
    assert np.array_equal(found.numpy(), evaluate(changed, inputs)["out"])
    assert np.array_equal(replay.outputs[0].numpy(), evaluate(graph, inputs)["out"])


@given(st.integers(1, 16), st.booleans(), st.booleans(), st.integers(0, 999))
def test_rounding_without_gradients_is_the_same(
    width: int, signed: bool, by_channel: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    shape, axis = ((5,), 1) if by_channel else ((), None)
    low = -(1 << (width - 1)) if signed else 0
    zero = random.integers(low, low + (1 << width), shape).astype(np.int32)
    scale = random.uniform(1e-3, 3, shape).astype(np.float32)
    form = Int(width, Const(scale, "float32"), Const(zero, "int32"), signed, axis)
    sizes = 10.0 ** random.integers(-4, 9, (3, 5, 40))
    x = torch.from_numpy((random.standard_normal((3, 5, 40)) * sizes).astype(np.float32))
    x[0] = torch.from_numpy(scale * np.ones(5, np.float32))[:, None] * (torch.arange(40) - 20.5)
    x[1, :2, 0] = torch.tensor([float("inf"), -float("inf")])
    assert torch.equal(project(x, (form,)), project_int(x, form)[0])
