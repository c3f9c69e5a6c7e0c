"""ZigZag's accelerators, layers and mappings in the terms of codesign.

ZigZag (Mei et al., "ZigZag: Enlarging Joint Architecture-Mapping Design Space Exploration for DNN
Accelerators", IEEE TC 2021; package `zigzag-dse`) describes an accelerator in YAML. `machine_text`
writes the same one as a machine file of codesign. What the two do not mean alike:

* ZigZag bills whole words: reading a value of 16 bits through a port of 24 costs what 24 bits do.
  So the width of an element's own memory is that of the values which one word holds.
* Operands of multiplications stay at the output pins of the innermost memory for as long as the
  innermost loops leave them there; each element gets a register of one value and no energy for
  inputs and for weights that says this. Sums are read and written for every multiplication.
* Any operand may go to, and any sum be added along, any dimension that a memory serves: both axes
  add sums up.
* An axis unrolls the loop that the mapping file names for it, as many as there are; any loop if it
  names none. ZigZag puts one loop on an axis, codesign may put several.
* ZigZag takes what neighbouring windows share as never read twice, in both directions and at every
  level. Here the memories that hold inputs are `sliding`: what two windows share stays only from
  one tile to the next in the innermost direction. So inputs cost more here than there.
* Where a mapping does not divide a layer, ZigZag counts a fraction of an element; here tiles at
  edges are shorter.
* Transfers are hidden behind computing at the rate of the ports to the level below; ZigZag adds
  loading before the first multiplication, what storing the last result takes, and stalls where a
  tile fills more than half of its memory (it cannot be exchanged meanwhile).
* Memories that lie side by side share a tiling here (`levels_of`), ZigZag cuts each operand's loops
  at a place of its own. `nested` prices such mappings nevertheless.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from codesign.cost.problem import Follow, Problem
from codesign.errors import DataError

OPERANDS = {"I1": "input", "I2": "weight", "O": "output"}
LOOPS = {
    "B": "n",
    "D": "n",
    "G": "g",
    "K": "m",
    "C": "c",
    "OY": "y",
    "OX": "x",
    "FY": "r",
    "FX": "s",
}
ALL = ("n", "g", "m", "c", "y", "x", "r", "s")
BITS = {"input": 8, "weight": 8, "output": 16}  # what ZigZag takes operands of ONNX models for


def machine_text(
    hardware: Mapping[str, Any], spatial: Mapping[str, Sequence[str]] | None = None
) -> str:
    """The machine file of an accelerator, given as ZigZag's YAML says it.

    `spatial` names the loops of each dimension of the array (none: any loop). DataError if the
    accelerator has what is not converted.
    """
    array = hardware["operational_array"]
    axes = list(zip(array["dimensions"], array["sizes"], strict=True))
    names = [name for name, _ in axes]
    memories = sorted(hardware["memories"].items(), key=_place)
    tables = [_memory(name, memory, names, n == 0) for n, (name, memory) in enumerate(memories)]
    pins = [_pin(operand, names) for operand in ("input", "weight")]
    rows = [_axis(name, size, (spatial or {}).get(name, ())) for name, size in axes]
    head = (
        f'[machine]\nname = "{hardware["name"]}"\nclock = "1 GHz"\n'
        'cite = "zigzag-dse, inputs/hardware"\n'
    )
    path = (
        "[datapath]\ninput = 8\nweight = 8\naccumulator = 16\n"
        f'mac = "{float(array["unit_energy"]):g} pJ"\n'
    )
    return "\n".join([head, *tables, *pins, *rows, path, '[mapping]\norder = ["edp"]\n'])


def _place(entry: tuple[str, Mapping[str, Any]]) -> tuple[bool, float, bool]:
    """The order from the outermost memory inwards: shared ones first, the largest first."""
    memory = entry[1]
    return not memory["served_dimensions"], -memory["size"], "O" in memory["operands"]


def _memory(name: str, memory: Mapping[str, Any], axes: Sequence[str], outermost: bool) -> str:
    holds = [OPERANDS[operand] for operand in memory["operands"]]
    along = [axis for axis in axes if axis not in memory["served_dimensions"]]
    if along and along != list(axes):
        raise DataError(f"memory {name} serves some dimensions of the array; expected all or none")
    ports = memory["ports"]
    wide = max(port["bandwidth_max"] for port in ports)
    shared = all(port["type"] == "read_write" for port in ports)
    width = _words(wide, [BITS[operand] for operand in holds]) if along else wide
    room = "unlimited" if outermost else f"{memory['size']} b"
    lines = [
        "[[memory]]",
        f'name = "{name}"',
        f"holds = {_quoted(holds)}",
        f'capacity = "{room}"',
        f'width = "{width} b"',
        f'read = "{float(memory["r_cost"]):g} pJ"',
        f'write = "{float(memory["w_cost"]):g} pJ"',
    ]
    if along:
        lines.append(f"along = {_quoted(along)}")
        if memory["size"] < 2 * min(BITS[operand] for operand in holds):
            lines.append("apart = true")
    else:
        lines.append(f'flow = "{wide} b/cycle"')
        lines.append(f"ports = {1 if shared else 2}")
    if "input" in holds and not outermost:
        lines.append("sliding = true")
    return "\n".join([*lines, ""])


def _words(wide: int, bits: Sequence[int]) -> int:
    """Bits of the values that fit into a word of `wide` bits."""
    widest = max(bits)
    if wide < widest:
        raise DataError(f"a port of {wide} b cannot pass a value of {widest} b")
    return wide // widest * widest


def _pin(operand: str, axes: Sequence[str]) -> str:
    return "\n".join(
        [
            "[[memory]]",
            f'name = "{operand} pin"',
            f'holds = ["{operand}"]',
            f'capacity = "{BITS[operand]} b"',
            f"width = {BITS[operand]}",
            f"along = {_quoted(axes)}",
            *(["apart = true"] if operand == "input" else []),
            "",
        ]
    )


def _axis(name: str, size: int, loops: Sequence[str]) -> str:
    fixed = [LOOPS[loop] for loop in loops]
    lines = [
        "[[axis]]",
        f'name = "{name}"',
        f"size = {size}",
        f"unroll = {_quoted(fixed or ALL)}",
        "sums = true",
    ]
    return "\n".join([*lines, *(["whole = true"] if fixed else []), ""])


def _quoted(words: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def spatial_of(mapping: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The loops that a mapping file's default entry names for each dimension of the array."""
    default = next(entry for entry in mapping if entry["name"] == "default")
    given = default.get("spatial_mapping") or {}
    return {axis: tuple(p.split(",")[0].strip() for p in pairs) for axis, pairs in given.items()}


def problem_of_layer(layer: Mapping[str, Any]) -> Problem:
    """The loops of a layer that `zigzag_peer` describes.

    `sizes` by ZigZag's names of loops, `strides` and `dilations` [x, y], `offsets` [x, y] (minus
    the zeros before the first element) and `extents` [x, y] of the input.
    """
    sizes = {LOOPS[loop]: size for loop, size in layer["sizes"].items()}
    listed = tuple((loop, sizes[loop]) for loop in ALL if sizes.get(loop, 1) > 1)
    known = dict(listed)

    def axes(loops: str) -> tuple[Follow, ...]:
        return tuple(Follow(((loop, 1),), 0, known[loop]) for loop in loops if loop in known)

    window = tuple(_window(layer, known, number, out, tap) for number, out, tap in WINDOWS)
    windows = window if layer.get("extents") else ()
    return Problem(listed, (*axes("ngc"), *windows), axes("gmcrs"), axes("ngmyx"))


WINDOWS = ((1, "y", "r"), (0, "x", "s"))


def _window(
    layer: Mapping[str, Any], known: Mapping[str, int], number: int, out: str, tap: str
) -> Follow:
    if not layer.get("extents"):
        return Follow((), 0, 1)
    steps = ((out, layer["strides"][number]), (tap, layer["dilations"][number]))
    terms = tuple((loop, step) for loop, step in steps if loop in known)
    return Follow(terms, layer["offsets"][number], layer["extents"][number])
