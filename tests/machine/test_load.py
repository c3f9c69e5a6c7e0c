"""Machine files: what they say, and what is said of wrong ones."""

from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import CodesignError, MachineError
from codesign.machine import units
from codesign.machine.check import AIMS
from codesign.machine.load import load_machine, parse_machine
from codesign.machine.units import quantity

SMALL = """
[machine]
name = "small"
clock = "200 MHz"
technology = "65 nm"
assumptions = ["the bus is as wide as an access"]

[[memory]]
name = "DRAM"
holds = ["input", "weight", "output"]
capacity = "unlimited"
width = "64 b"
read = "512 pJ"
write = "0.5 nJ"
flow = "8 B/cycle"
overlap = false
packed = {input = "rlc"}

[[memory]]
name = "GLB"
holds = ["input", "output"]
capacity = "108 KiB"
width = 64

[[memory]]
name = "spad"
holds = ["weight"]
capacity = "448 B"
along = ["rows", "columns"]

[[axis]]
name = "rows"
size = 12
unroll = ["r", "c", "s"]
sums = true

[[axis]]
name = "columns"
size = 14
unroll = ["y"]

[datapath]
input = 16
weight = [8, 16]
gate = "input"
mac = "2 pJ"
gated = "66 fJ"
"""


def test_a_file_is_read_with_its_units(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    machine = load_machine(path)
    dram, buffer, spad = machine.memories
    assert (machine.clock, machine.technology, machine.elements) == (200e6, 65.0, 168)
    assert (dram.capacity, dram.flow["all"], dram.read, dram.write) == (inf, 64.0, 512.0, 500.0)
    assert (dram.overlap, dram.packed) == ((), {"input": "rlc"})
    assert (buffer.capacity, buffer.width) == (108 * 1024 * 8, 64)
    assert (machine.instances(buffer), machine.instances(spad)) == (1, 168)
    assert [memory.name for memory in machine.levels("weight")] == ["DRAM", "spad"]
    assert machine.datapath.weight == (8, 16)
    assert (machine.datapath.gate, machine.datapath.gated) == (("input",), 0.066)


WRONG = {
    "a frequency beyond measure": (
        '"200 MHz"',
        '"1e300 GHz"',
        ["machine.clock", "1 Hz to 1e+12 Hz"],
    ),
    "no clock": ('"200 MHz"', '"0 Hz"', ["machine.clock", "1 Hz to"]),
    "no flow": ('"8 B/cycle"', '"0 b/cycle"', ["memory DRAM.flow", "a flow of 1e-06 b/cycle to"]),
    "hardly any flow": ('"8 B/cycle"', '"1e-300 b/cycle"', ["memory DRAM.flow", "1e-06 b/cycle"]),
    "an energy beyond measure": (
        '"512 pJ"',
        '"1e308 pJ"',
        ["memory DRAM.read", "an energy of 0 or"],
    ),
    "no energy": ('"2 pJ"', '"2 W"', ["datapath.mac", "an energy with its unit"]),
    "idle beyond measure": ('"65 nm"', '"65 nm"\nidle = "1e300 W"', ["machine.idle", "a power of"]),
    "a first flow of nothing": (
        "[datapath]",
        '[timing]\nfirst = {weight = "0 b/cycle"}\n[datapath]',
        ["timing.first.weight", "a flow of 1e-06 b/cycle"],
    ),
    "an unlimited access": ("width = 64\n", 'width = "unlimited"\n', ["GLB.width", "1 to 1048576"]),
    "an access beyond measure": ("width = 64\n", 'width = "1 GB"\n', ["GLB.width", "1 to 1048576"]),
    "an inner memory without end": ('capacity = "448 B"', "", ["memory spad.capacity is missing"]),
    "an inner memory without a price": (
        'capacity = "448 B"',
        'capacity = "unlimited"\nread = "1 pJ"',
        ["memory spad.capacity", "write write too"],
    ),
    "a line in a name": ('"GLB"', '"GL\\nB"', ["memory 1.name", "printable"]),
    "a terminal's code in a name": ('"GLB"', '"\\u001b[31mGLB"', ["memory 1.name", "control"]),
    "a terminal's code in a text": ('["the bus', '["\\u001b[31mbus', ["assumptions", "control"]),
    "digits of another script": (
        '"108 KiB"',
        '"١٠٨ KiB"',
        ["memory GLB.capacity", "expected a size"],
    ),
    "an integer of many digits": ("size = 14", f"size = {'9' * 6000}", ["integer", "64 bits"]),
    "an integer of more bits": ("size = 14", f"size = 0x{'f' * 6000}", ["integer", "64 bits"]),
    "a unit of another kind": ('clock = "200 MHz"', 'clock = "200 nm"', ["machine.clock", "MHz"]),
    "no unit": ('clock = "200 MHz"', "clock = 200", ["machine.clock", '"200 Hz"']),
    "a negative size": ('"108 KiB"', '"-108 KiB"', ["memory GLB.capacity", "1 b to 1e+18 b"]),
    "a size that is no number": ('"108 KiB"', '"many KiB"', ["memory GLB.capacity", "108 KiB"]),
    "a flow by the second": ('"8 B/cycle"', '"8 GB/s"', ["memory DRAM.flow", "b/cycle"]),
    "an unknown key": ('capacity = "108 KiB"', 'capcity = "108 KiB"', ["memory GLB.capacity"]),
    "a misspelt key": ("technology", "technologie", ["machine.technology"]),
    "a missing key": ('name = "small"', "", ["machine.name is missing"]),
    "a missing table": ("[[axis]]", "[[axes]]", ["axis"]),
    "an unknown operand": (
        'holds = ["weight"]',
        'holds = ["bias"]',
        ["memory spad.holds", "weight"],
    ),
    "no memory for an operand": (
        'holds = ["input", "weight", "output"]',
        'holds = ["input", "weight"]',
        ["output", "GLB", "unlimited"],
    ),
    "a level too small": ('"448 B"', '"1 B"', ["memory spad.capacity", "16 b", "8 b more"]),
    "an unknown axis": (
        'along = ["rows", "columns"]',
        'along = ["row"]',
        ["along", "columns, rows"],
    ),
    "two of one name": ('name = "GLB"', 'name = "DRAM"', ["two tables [[memory]]", "DRAM"]),
    "an unlimited loop": ('unroll = ["y"]', "unroll = []", ["axis columns.unroll"]),
    "a loop twice": ('"c", "s"]', '"c", "c"]', ["axis rows.unroll", "each once"]),
    "loops as one": ('"c", "s"]', '"c*s"]', ["axis rows.unroll", '["c", "r"]']),
    "an unknown loop": ('unroll = ["y"]', 'unroll = ["q"]', ["axis columns.unroll", "q"]),
    "an array of no elements": ("size = 14", "size = 0", ["axis columns.size"]),
    "no operand": ("weight = [8, 16]", "weight = []", ["datapath.weight"]),
    "serial without kind": ('gate = "input"', 'serial = "input"', ["datapath.serial", "parallel"]),
    "bricks that do not fit": ('gate = "input"', 'kind = "fused"\nbrick = 3', ["16 bits", "of 3"]),
    "gating that costs": ('"66 fJ"', '"3 pJ"', ["datapath.gated", "datapath.mac"]),
    "an unknown code": ('"rlc"', '"zip"', ["packed.input", "rlc"]),
    "a code for what is not held": ("width = 64", 'packed = {weight = "csc"}', ["GLB", "weight"]),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named(what: str) -> None:
    old, new, words = WRONG[what]
    assert old in SMALL
    with pytest.raises(CodesignError) as caught:
        parse_machine(SMALL.replace(old, new), "small.toml")
    assert str(caught.value).startswith("small.toml: ")
    assert caught.value.exit_code == 2
    for word in words:
        assert word in str(caught.value)


def test_what_is_no_file_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"x\.toml cannot be read: No such file"):
        load_machine(tmp_path / "x.toml")
    (tmp_path / "y.toml").write_text("[machine\n")
    with pytest.raises(MachineError, match=r"y\.toml is no TOML: .*line 1"):
        load_machine(tmp_path / "y.toml")
    (tmp_path / "z.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(MachineError, match=r"z\.toml cannot be read"):
        load_machine(tmp_path / "z.toml")


KINDS = [kind for kind in vars(units).values() if isinstance(kind, units.Kind)]


@given(st.sampled_from(KINDS), st.floats(0, 1), st.data())
def test_every_unit_is_a_multiple_of_the_one_kept(
    kind: units.Kind, share: float, data: st.DataObject
) -> None:
    unit = data.draw(st.sampled_from(sorted(kind.units)))
    number = kind.low ** (1 - share) * kind.high**share * (1 - 1e-12) / kind.units[unit]
    if number * kind.units[unit] >= kind.low:
        assert quantity(f"{number!r} {unit}", kind, "x") == number * kind.units[unit]
        assert quantity(f"{number!r}{unit}", kind, "x") == number * kind.units[unit]
    assert quantity(kind.example, kind, "x") > 0 and kind.units[kind.kept] == 1


@given(st.sampled_from(KINDS), st.sampled_from([0.0, 1e-300, -1.0, 1e300, 1e308]))
def test_what_is_out_of_range_is_told_with_the_range(kind: units.Kind, number: float) -> None:
    text = f"{number!r} {kind.kept}"
    if number == 0 and kind.none:
        assert quantity(text, kind, "x") == 0
        return
    with pytest.raises(MachineError) as caught:
        quantity(text, kind, "x.y")
    assert str(caught.value) == f"x.y is {text!r}, expected {kind.a} of {kind.range}"
    assert f"{kind.high:g} {kind.kept}" in kind.range


@given(
    st.text(st.characters(exclude_categories=["Nd"]), max_size=8)
    | st.none()
    | st.integers()
    | st.floats()
    | st.booleans()
)
def test_anything_else_is_refused(value: object) -> None:
    for kind in KINDS:
        with pytest.raises(MachineError, match=r"^key is "):
            quantity(value, kind, "key")


def test_constraints_that_contradict_each_other() -> None:
    limited = SMALL.replace("overlap = false", 'overlap = false\nloops = ["m", "c"]')
    limited = limited.replace("width = 64\n", 'width = 64\nloops = ["m"]\n')
    parse_machine(limited)  # its last memory goes over all loops
    closed = limited.replace('capacity = "448 B"', 'capacity = "448 B"\nloops = ["m"]')
    with pytest.raises(MachineError, match=r"no memory goes over loop n and no axis takes it"):
        parse_machine(closed)
    halves = SMALL.replace("[machine]", "[machine]\nwhole_tiles = true", 1)
    with pytest.raises(MachineError, match=r"memory GLB\.sliding .* leave one of them out"):
        parse_machine(halves.replace("width = 64\n", "width = 64\nsliding = true\n"))
    rows = SMALL + '\n[mapping]\nbatch = "rows"\n'
    with pytest.raises(MachineError, match=r'hold all rows of an image.*does not have "y"'):
        parse_machine(rows)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "[" + "a." * 3_000 + "a]\nb = 1"])
def test_a_file_nested_too_deep_is_told(text: str) -> None:
    with pytest.raises(MachineError, match=r"^m\.toml"):
        parse_machine(text, "m.toml")


def test_a_byte_order_mark_is_taken(tmp_path: Path) -> None:
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load_machine(tmp_path / "bom.toml") == parse_machine(SMALL)


TAKEN = (*AIMS, "mac", "idle", "array", "hidden", "compute", "fill and drain", "host", "DRAM.input")


@pytest.mark.parametrize("name", TAKEN)
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(MachineError, match=f"a memory is called {name!r}.*call it something else"):
        parse_machine(SMALL.replace('"GLB"', f'"{name}"'))
    parse_machine(SMALL.replace('"GLB"', f'"my {name}"'))


def test_an_unlimited_inner_memory_is_asked_for_with_its_energy() -> None:
    priced = 'capacity = "unlimited"\nread = "3 pJ"\nwrite = "4 pJ"'
    text = SMALL.replace("[machine]", '[machine]\nenergies = "horowitz-45nm"', 1)
    inner = parse_machine(text.replace('capacity = "448 B"', priced)).memories[-1]
    assert (inner.capacity, inner.read, inner.write) == (inf, 3.0, 4.0)
