"""What is said of layers that cannot be mapped."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.published import Shape
from codesign.cost.operands import Widths
from codesign.machine.load import load_machine
from codesign.machine.machine import Machine, Memory
from codesign.mapping.gap import NoMappingError
from codesign.mapping.mapper import search
from codesign.mapping.refusal import Refusal
from tests.mapping.test_mapper import WIDTHS, machine

EYERISS = load_machine(Path("targets/spatial/machines/eyeriss.toml"))


def why(layer: Shape, device: Machine, widths: Widths = WIDTHS) -> Refusal:
    with pytest.raises(NoMappingError) as caught:
        search(layer.problem(), device, widths)
    return caught.value.refusal


def test_a_kernel_higher_than_the_array() -> None:
    found = why(Shape(1, 3, 8, 40, 31), EYERISS, Widths(16, 16, 16, 16))
    assert found.demand == "loop r has 31 iterations"
    assert found.bound == (
        "axis rows of eyeriss takes 12 of them, and no memory may go over the rest"
    )
    assert found.gap == "19 too many at a time"
    assert found.remedy == 'make axis rows longer, or name "r" in the loops of a memory'


def test_a_kernel_wider_than_the_scratch_pad() -> None:
    wide = replace(EYERISS, axes=(replace(EYERISS.axes[0], size=20), EYERISS.axes[1]))
    found = why(Shape(1, 3, 8, 40, 17), wide, Widths(16, 16, 16, 16))
    assert found.demand == "the smallest tile of input (s 17) takes 272 b"
    assert found.bound == "memory input spad of eyeriss has 192 b for it"
    assert found.gap == "80 b too few"
    assert "enlarge input spad.capacity, assign fewer bits" in found.remedy
    assert "80 b too few; enlarge" in str(found)


def test_memories_that_are_too_small_together() -> None:
    tight = machine(10, 8, 64)
    (outer, buffer, own) = tight.memories
    small = replace(tight, memories=(outer, replace(buffer, capacity=31), own))
    found = why(Shape(1, 2, 2, 4), small)
    assert (
        found.demand
        == "the smallest tile of input and weight and output (an element each) takes 32 b"
    )
    assert found.gap == "1 b too few"


def test_an_array_on_which_too_much_has_to_be_at_once() -> None:
    device = machine(1000, 8, 64)
    outer = replace(device.memories[0], loops=("y", "x", "s", "m"))
    inner = tuple(replace(m, loops=("y", "x", "s", "m")) for m in device.memories[1:2])
    both = replace(
        device,
        memories=(
            outer,
            *inner,
            Memory("own", ("weight",), 8, along=("rows", "columns"), loops=("y", "m")),
        ),
    )
    found = why(Shape(1, 2, 2, 4, 2), both)
    assert found.demand == "axis rows has to take c 2, r 2 at once"
    assert found.gap == "2 too few"
