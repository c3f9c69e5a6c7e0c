"""ZigZag's descriptions in our terms; nothing here needs ZigZag."""

from typing import Any

import pytest

from benchmarks.zigzag import inputs_of
from benchmarks.zigzag_machines import machine_text, problem_of_layer, spatial_of
from benchmarks.zigzag_mappings import price
from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import evaluate
from codesign.cost.operands import Widths
from codesign.cost.schedule import Schedule, levels_of
from codesign.errors import DataError, UsageError
from codesign.machine.load import parse_machine

WIDTHS = Widths(8, 8, 16, 8)


def memory(size: int, operands: list[str], ports: list[tuple[str, int]], *served: str) -> Any:
    return {
        "size": size,
        "r_cost": 2.0,
        "w_cost": 3,
        "operands": operands,
        "ports": [{"type": kind, "bandwidth_max": wide} for kind, wide in ports],
        "served_dimensions": list(served),
    }


def hardware() -> dict[str, Any]:
    both = ("D1", "D2")
    return {
        "name": "small",
        "memories": {
            "own W": memory(1024, ["I2"], [("read", 8), ("write", 8)]),
            "own O": memory(16, ["O"], [("read", 24), ("write", 24)]),
            "sram": memory(1 << 20, ["I1", "O"], [("read", 256), ("write", 256)], *both),
            "dram": memory(10**10, ["I1", "I2", "O"], [("read_write", 64)], *both),
        },
        "operational_array": {"unit_energy": 0.5, "dimensions": ["D1", "D2"], "sizes": [4, 2]},
    }


MAPPING = [{"name": "default", "spatial_mapping": {"D1": ["K, 4"], "D2": ["C, 2"]}}]


def layer() -> dict[str, Any]:
    """8 filters of 6 x 3 x 3, padded by one, with stride 2; 4 x 4 outputs."""
    order = [["FX", 3], ["FY", 3], ["C", 3], ["OX", 4], ["OY", 4], ["K", 2]]
    return {
        "name": "one",
        "sizes": {"B": 1, "G": 1, "K": 8, "C": 6, "OX": 4, "OY": 4, "FX": 3, "FY": 3},
        "strides": [2, 2],
        "dilations": [1, 1],
        "offsets": [-1, -1],
        "extents": [8, 8],
        "spatial": {"D1": {"K": 4.0}, "D2": {"C": 2.0}},
        "temporal": {
            "O": [order[:3], order[3:], []],
            "W": [order[:5], order[5:]],
            "I": [order, []],
        },
    }


def test_an_accelerator_is_the_same_one() -> None:
    machine = parse_machine(machine_text(hardware(), spatial_of(MAPPING)))
    names = [[m.name for m in level] for level in levels_of(machine)]
    assert names == [["dram"], ["sram"], ["own W"], ["own O"], ["input pin", "weight pin"]]
    dram, sram, weights, sums, *_ = machine.memories
    assert (dram.flow, dram.ports, dram.along) == ({"all": 64}, 1, ())
    assert (sram.flow, sram.ports, sram.capacity) == ({"all": 256}, 2, 1 << 20)
    assert (weights.along, weights.capacity, weights.width) == (("D1", "D2"), 1024, 8)
    assert sums.width == 16  # a word of 24 b holds one sum
    assert [(a.size, a.unroll, a.whole) for a in machine.axes] == [
        (4, ("m",), True),
        (2, ("c",), True),
    ]
    assert machine.datapath.mac == 0.5


def test_a_port_too_narrow_and_partly_served_arrays_are_refused() -> None:
    narrow = hardware()
    narrow["memories"]["own O"]["ports"] = [{"type": "read", "bandwidth_max": 8}]
    with pytest.raises(DataError, match="8 b cannot pass a value of 16 b"):
        machine_text(narrow)
    partly = hardware()
    partly["memories"]["sram"]["served_dimensions"] = ["D1"]
    with pytest.raises(DataError, match="memory sram serves some dimensions"):
        machine_text(partly)


def test_a_layer_has_its_padding_and_stride() -> None:
    problem = problem_of_layer(layer())
    assert dict(problem.bounds) == {"m": 8, "c": 6, "y": 4, "x": 4, "r": 3, "s": 3}
    assert problem.elements("input") == 6 * 8 * 8
    assert problem.input[-1].terms == (("x", 2), ("s", 1))
    assert problem.input[-1].offset == -1


def test_a_mapping_costs_what_it_costs_as_a_schedule() -> None:
    machine = parse_machine(machine_text(hardware(), spatial_of(MAPPING)))
    problem = problem_of_layer(layer())
    own = (("c", 3), ("r", 3), ("s", 3))
    held = (
        (("c", 6), ("m", 8), ("r", 3), ("s", 3), ("y", 4), ("x", 4)),
        (*own, ("y", 4), ("x", 4)),
        own,
        (),
    )
    orders = (("m",), ("m",), ("y", "x"), ("c", "r", "s"), ())
    schedule = Schedule((("D1", (("m", 4),)), ("D2", (("c", 2),))), held, orders)
    want = evaluate(Candidates.of(problem, machine, schedule), WIDTHS)
    have = price(problem, machine, layer(), WIDTHS)
    assert have.cycles == want.latency[0]
    for name, picojoules in have.energy.items():
        assert picojoules == pytest.approx(float(want.energy[name][0])), name


def test_without_zigzag_it_says_what_is_missing() -> None:
    with pytest.raises(UsageError, match="cannot be run"):
        inputs_of("/nowhere/python")
