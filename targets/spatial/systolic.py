"""Systolic arrays of any size and dataflow, as SCALE-Sim (Samajdar et al., 2018) times them."""

import re
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import ClassVar, Literal

from codesign.errors import UsageError
from codesign.machine.machine import OPERANDS
from codesign.machine.units import FLOW, SIZE, quantity
from codesign.targets.spatial.target import Spatial

# What stays in the elements, what rows and columns take of the product, whether rows add up.
DATAFLOWS = {
    "ws": ("weight", "c", "m", True),
    "is": ("input", "c", "n", True),
    "os": ("output", "n", "m", False),
}
LEAST = 2 * 32 * len(OPERANDS)  # bits of the buffer: two sums in each third of it
BUFFER = """
[[memory]]
name = "{operand} buffer"
holds = ["{operand}"]
capacity = "{third} B"
width = "64 b"
read = "49.2 pJ"
write = "37.2 pJ"
double = true
"""
TEXT = """
[machine]
name = "systolic"
clock = "1 GHz"
cite = "Samajdar, Zhu, Whatmough, Mattina, Krishna, SCALE-Sim, 2018"
assumptions = [
    "convolutions are products of matrices, their windows laid out in DRAM beforehand",
    "each operand has a third of the buffer; energies are those of Sparseloop's 45 nm tables",
]

[[memory]]
name = "dram"
holds = ["input", "weight", "output"]
capacity = "unlimited"
width = "64 b"
read = "512 pJ"
write = "512 pJ"
flow = "{flow}"

{buffers}
[[memory]]
name = "register"
holds = ["{stationary}"]
capacity = "{register} b"
width = {register}
read = "0.1 pJ"
write = "0.1 pJ"
along = ["rows", "columns"]

[[axis]]
name = "rows"
size = {rows}
unroll = ["{first}"]
sums = {sums}
whole = true

[[axis]]
name = "columns"
size = {columns}
unroll = ["{second}"]
whole = true

[datapath]
input = 8
weight = 8
accumulator = 32
mac = "0.55 pJ"

[timing]
stationary = "{stationary}"
load = {load}
skew = {skew}

[mapping]
order = ["latency", "energy"]
unfold = "all"
"""


@dataclass(frozen=True)
class Systolic(Spatial):
    """A systolic array (SCALE-Sim, 2018): `array` rows x columns, a `glb` of so many bytes in all.

    Convolutions are products of matrices: their windows are laid out in DRAM, and read from there.
    `dataflow` says what stays: weights (`ws`), outputs (`os`) or inputs (`is`); `flow` is what
    DRAM gives.
    """

    name: ClassVar[str] = "systolic"

    array: str = "32x32"
    dataflow: Literal["ws", "os", "is"] = "ws"
    glb: str = "256KiB"
    flow: str = "64B/cycle"

    @property
    def where(self) -> str:
        return f"target {self.spec}"

    @cached_property
    def text(self) -> str:
        found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", self.array)
        if found is None:
            raise UsageError(
                f"target systolic: array is {self.array!r}, expected rows x columns such as 32x32"
            )
        rows, columns = int(found[1]), int(found[2])
        stationary, first, second, sums = DATAFLOWS[self.dataflow]
        third = _third(self.glb)
        quantity(self.flow, FLOW, "target systolic: flow")
        return TEXT.format(
            buffers="".join(BUFFER.format(operand=o, third=third) for o in OPERANDS),
            flow=self.flow,
            stationary=stationary,
            register=32 if stationary == "output" else 8,
            rows=rows,
            columns=columns,
            first=first,
            second=second,
            sums=str(sums).lower(),
            load=0 if stationary == "output" else rows,
            skew=rows + columns - 2,
        )


def _third(text: str) -> int:
    """Bytes that each operand has of a buffer of a size such as 256KiB."""
    size = quantity(text, SIZE, "target systolic: glb")
    if not LEAST <= size < inf:
        raise UsageError(
            f"target systolic: glb is {text!r}, expected at least {LEAST // 8} B, such as 256KiB"
        )
    return int(size // 8) // 3
