"""The simulator on mappings that the mapper finds, against the interpreter's integer meaning."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import busy
from codesign.cost.operands import Widths
from codesign.cost.problem import problem_of
from codesign.cost.schedule import Schedule
from codesign.cost.traffic import moves
from codesign.errors import DataError, RefusedError
from codesign.ir.dtype import DType
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.types import TensorType
from codesign.machine.load import load_machine
from codesign.machine.machine import OPERANDS, Axis, Datapath, Machine, Memory
from codesign.mapping.mapper import search
from codesign.targets.spatial.simulate.operands import Operands, unfolded
from codesign.targets.spatial.simulate.run import Run, simulate

EYERISS = load_machine(Path("targets/spatial/machines/eyeriss.toml"))
ALL = OPERANDS
WIDTHS = Widths(8, 8, 16, 8)


def systolic(stationary: Any, spread: tuple[str, str]) -> Machine:
    """An array of 4 x 3 that keeps an element of one operand in each place."""
    memories = (
        Memory("sram", ALL),
        Memory("register", (stationary,), along=("rows", "columns")),
    )
    axes = (Axis("rows", 4, (spread[0],), sums=True), Axis("columns", 3, (spread[1],)))
    return Machine("systolic", 1e9, memories, axes, Datapath(gate=("input", "weight")))


COLUMNS = Machine(
    "columns",
    1e9,
    (Memory("dram", ALL), Memory("sums", ("output",), along=("columns",))),
    (Axis("rows", 4, ("c", "r"), sums=True), Axis("columns", 3, ("m",))),
)
SCALAR = Machine("scalar", 1e9, (Memory("dram", ALL), Memory("cache", ALL)), ())
MACHINES = {
    "eyeriss": EYERISS,
    "weights stay": systolic("weight", ("c", "m")),
    "inputs stay": systolic("input", ("c", "y")),
    "outputs stay": systolic("output", ("y", "m")),
    "columns": COLUMNS,
    "scalar": SCALAR,
    "bitfusion": load_machine(Path("targets/spatial/machines/bitfusion.toml")),
    "tpu_v1": load_machine(Path("targets/spatial/machines/tpu_v1.toml")),
}


def conv(x: tuple[int, ...], w: tuple[int, ...], **options: Any) -> Any:
    rank = len(x) - 2
    every = {"strides": (1,) * rank, "dilations": (1,) * rank, "pads": ((0, 0),) * rank}
    return x, w, Conv(**{**every, **options})


LAYERS = {
    "plain": conv((2, 5, 9, 8), (7, 5, 3, 2), pads=((1, 1), (0, 1))),
    "strided": conv((1, 3, 15, 13), (8, 3, 5, 3), strides=(2, 3), pads=((2, 2), (1, 0))),
    "dilated": conv((1, 4, 12, 9), (6, 4, 3, 3), dilations=(2, 1), pads=((2, 2), (1, 1))),
    "pointwise strided": conv((1, 9, 8, 8), (10, 9, 1, 1), strides=(2, 2)),
    "grouped": conv((2, 6, 7, 7), (9, 2, 3, 3), groups=3, pads=((1, 1), (1, 1))),
    "depthwise": conv((1, 8, 9, 9), (8, 1, 3, 3), groups=8, pads=((1, 1), (1, 1))),
    "line": conv((2, 3, 17), (4, 3, 5), strides=(2,), pads=((2, 1),)),
    "volume": conv((1, 2, 5, 6, 4), (3, 2, 3, 2, 2), pads=((1, 1), (0, 0), (1, 0))),
    "one": conv((1, 1, 1, 1), (1, 1, 1, 1)),
    "linear": ((6, 33), (21, 33), Linear()),
    "row": ((40,), (10, 40), Linear()),
    "batched": ((3, 5, 14), (3, 14, 9), MatMul()),
    "dot": ((12,), (12,), MatMul()),
}


def layer(name: str, seed: int = 0, zero: int = 0) -> Any:
    """(problem, operands, exact sums); a channel of inputs and one of weights are dead."""
    xs, ws, op = LAYERS[name]
    random = np.random.default_rng(seed)
    x, w = random.integers(0, 256, xs), random.integers(-128, 128, ws)
    x[random.random(xs) < 0.5] = zero
    if len(xs) > 2 and xs[1] > 1:
        x[:, 0] = zero
        w[0] = 0
    types = TensorType(xs, DType.F32), TensorType(ws, DType.F32)
    y = op.infer(*types)
    problem = problem_of(op.loops(types, y), types, y)
    exact = op.evaluate(*(torch.from_numpy(a.astype(np.float64)) for a in (x - zero, w)))
    return problem, Operands(x, w, zero), exact.numpy().astype(np.int64)


def unfold(machine: Machine) -> bool:
    return machine.mapping.unfold != "none"


def mapping(problem: Any, machine: Machine) -> tuple[Any, Schedule]:
    problem = problem.unfolded() if unfold(machine) else problem
    problem = problem.padded() if machine.padding else problem
    if machine is SCALAR:
        held = tuple((x, 1 if x[0] in "ny" else bound) for x, bound in problem.bounds)
        return problem, Schedule((), (held,), (("m", "c"), ("r",)))
    return problem, search(problem, machine, WIDTHS, seconds=1.0).schedule


def agree(found: Run, problem: Any, machine: Machine, schedule: Schedule) -> None:
    candidates = Candidates.of(problem, machine, schedule)
    for want, have in zip(moves(candidates), found.moves, strict=True):
        for name in ("operand", "outer", "inner", "down", "filled", "up", "drained"):
            assert getattr(have, name) == getattr(want, name), (want, have)
    assert (found.busy, found.macs) == (busy(candidates)[0], problem.macs)


FEW = ("strided", "grouped", "linear", "one")
CASES = [(name, machine) for name in LAYERS for machine in MACHINES]
CHOSEN = [(x, y) for x, y in CASES if y in ("eyeriss", "columns") or x in FEW]
CHOSEN.remove(("volume", "eyeriss"))  # the chip has no place for kernels in three dimensions


@pytest.mark.parametrize(("name", "machine"), CHOSEN)
def test_mappings_that_are_found(name: str, machine: str) -> None:
    device = MACHINES[machine]
    problem, operands, exact = layer(name, zero=5)
    wide, schedule = mapping(problem, device)
    found = simulate(problem, device, schedule, WIDTHS, operands, unfold(device))
    assert np.array_equal(found.sums, exact)
    assert found.saturated == 0
    agree(found, wide, device, schedule)


@pytest.mark.parametrize("name", ["plain", "grouped", "linear"])
@pytest.mark.parametrize("gate", [("input",), ("weight",), ("input", "weight"), ()])
def test_gated_multiplications(name: str, gate: Any) -> None:
    device = replace(EYERISS, datapath=replace(EYERISS.datapath, gate=gate))
    problem, operands, _ = layer(name)
    _, schedule = mapping(problem, device)
    found = simulate(problem, device, schedule, WIDTHS, operands)
    assert found.gated == problem.macs - indicator(problem, operands, gate).sum()


def indicator(problem: Any, operands: Operands, gate: Any) -> Any:
    """Of each multiplication, whether no operand of `gate` is zero; padding is zero."""
    flat = unfolded(problem, operands)
    x = (flat.input != operands.zero) | ("input" not in gate)
    w = (flat.weight != 0) | ("weight" not in gate)
    if any(loop == "g" for loop, _ in problem.bounds):
        return np.einsum("ngc,gmc->ngm", x.astype(int), w.astype(int))
    return np.einsum("nc,mc->nm", x.astype(int), w.astype(int))


def test_compressed_inputs_come_back_and_are_smaller() -> None:
    problem, operands, exact = layer("plain")
    _, schedule = mapping(problem, EYERISS)
    found = simulate(problem, EYERISS, schedule, WIDTHS, operands)
    size = found.packed["dram", "input"]
    (down,) = (m.down for m in found.moves if m.outer == "dram" and m.operand == "input")
    assert size.plain == 8 * down
    assert size.moved < size.plain
    assert np.array_equal(found.sums, exact)


def test_how_axes_are_named_changes_no_mapping() -> None:
    """Elsewhere than on `partly` machines: the search and its bounds."""
    problem, operands, exact = layer("plain")
    memories = tuple(replace(m, along=m.along[::-1]) for m in EYERISS.memories)
    lanes = replace(EYERISS, axes=(*EYERISS.axes, Axis("lanes", 1, ("n",))))
    want = search(problem.padded(), EYERISS, WIDTHS)
    for device in (replace(EYERISS, memories=memories), lanes):
        found = search(problem.padded(), device, WIDTHS)
        assert found.mark == want.mark
        ran = simulate(problem, device, found.schedule, WIDTHS, operands)
        assert np.array_equal(ran.sums, exact)
        agree(ran, problem.padded(), device, found.schedule)


def test_sums_begin_where_they_are_told() -> None:
    problem, operands, exact = layer("plain")
    bias = np.arange(7).reshape(1, 7, 1, 1) * 100
    _, schedule = mapping(problem, EYERISS)
    begun = replace(operands, start=bias)
    assert np.array_equal(simulate(problem, EYERISS, schedule, WIDTHS, begun).sums, exact + bias)


def test_what_is_no_mapping_of_the_machine_is_refused() -> None:
    problem, operands, _ = layer("linear")
    _, schedule = mapping(problem, EYERISS)
    bad = replace(schedule, held=((("c", 33), ("m", 21), ("n", 6)), (("c", 33), ("m", 21))))
    with pytest.raises(RefusedError, match="does not fit"):
        simulate(problem, EYERISS, bad, WIDTHS, operands)
    uneven = replace(schedule, held=((("c", 8), ("m", 21), ("n", 6)), (("c", 3),)), unrolled=())
    with pytest.raises(RefusedError, match="must divide"):
        simulate(problem, EYERISS, uneven, WIDTHS, operands)
    wide = replace(schedule, unrolled=(("rows", (("c", 13),)),), held=((("c", 33),), ()))
    with pytest.raises(RefusedError, match="has 12 elements"):
        simulate(problem, EYERISS, wide, WIDTHS, operands)


def test_operands_that_are_not_the_layers_are_refused() -> None:
    problem, operands, _ = layer("linear")
    _, schedule = mapping(problem, EYERISS)
    for bad in (
        replace(operands, input=operands.input[:5]),
        replace(operands, weight=operands.weight.astype(np.float32)),
    ):
        with pytest.raises(DataError, match="integer codes of shape"):
            simulate(problem, EYERISS, schedule, WIDTHS, bad)
    with pytest.raises(DataError, match="8 bits do not hold"):
        simulate(problem, EYERISS, schedule, WIDTHS, replace(operands, weight=operands.weight * 4))
