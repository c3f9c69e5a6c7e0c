"""What an accelerator is made of. Sizes in bits, flows in bits a cycle, energies in pJ.

A machine is a tree of memories over an array of processing elements. Operands are called `input`,
`weight` and `output` whatever the op: for a matrix product the left one is the input. Loops are
called as those of a convolution: batch `n`, groups `g`, output and input channels of a group `m`
and `c`, output rows, columns and depth `y x z`, the kernel's `r s t`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, prod
from typing import Literal

Operand = Literal["input", "weight", "output"]
OPERANDS: tuple[Operand, ...] = ("input", "weight", "output")
LOOPS = ("n", "g", "m", "c", "y", "x", "z", "r", "s", "t")


@dataclass(frozen=True)
class Memory:
    """A level of memory.

    There is one of it, or one for each place on the axes `along`: all axes make it a memory of
    each element's own. `capacity` is what one holds for `holds` together; with `double` one half
    is filled while the other is used.

    An access moves `width` bits and takes `read` or `write` pJ. `flow` is what all instances
    together exchange with the level below, in bits a cycle (0: as much as is asked for); reads and
    writes share it unless `ports` is 2. With `multicast` one read serves every element that needs
    the same data. Where transfers from this level are not hidden behind computing, `overlap` is
    false. `packed` names operands that are kept compressed, and by what (`rlc`, `csc`).
    """

    name: str
    holds: tuple[Operand, ...]
    capacity: float = inf
    width: int = 1
    read: float = 0.0
    write: float = 0.0
    flow: float = 0.0
    ports: int = 1
    along: tuple[str, ...] = ()
    double: bool = False
    multicast: bool = True
    overlap: bool = True
    packed: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> float:
        """Bits that one tile of each operand may fill together."""
        return self.capacity / 2 if self.double else self.capacity


@dataclass(frozen=True)
class Axis:
    """One dimension of the array: `size` elements, among which loops of `unroll` are spread.

    An entry of `unroll` is a loop or several that are flattened into one ("c*r*s"). `sums` says
    that partial sums are added along the axis; without it each element's own goes up.
    """

    name: str
    size: int
    unroll: tuple[str, ...]
    sums: bool = False


@dataclass(frozen=True)
class Datapath:
    """What one element computes with: operand widths it takes, its accumulator, how bits cost.

    `kind` is `parallel` (a multiplication a cycle at any width it takes), `serial` (as many cycles
    as the operands of `serial` have bits, after Judd et al., "Stripes", MICRO 2016) or `fused`
    (bricks of `brick` x `brick` bits form one multiplier of the widest operands or several of
    narrower ones, after Sharma et al., "Bit Fusion", ISCA 2018).

    Zeros of the operands in `gate` save energy, those of operands in `skip` save cycles too.
    `mac` is the energy of a multiplication at the widest operands, `gated` that of a gated one.
    """

    kind: Literal["parallel", "serial", "fused"] = "parallel"
    input: tuple[int, ...] = (16,)
    weight: tuple[int, ...] = (16,)
    accumulator: int = 32
    serial: tuple[Operand, ...] = ()
    brick: int = 0
    gate: tuple[Operand, ...] = ()
    skip: tuple[Operand, ...] = ()
    mac: float = 0.0
    gated: float = 0.0


@dataclass(frozen=True)
class Timing:
    """Cycles that a pass costs beside its multiplications.

    A pass is the work on one tile of the operand that is `stationary` in the elements. `load`
    cycles bring that tile in, hidden behind the pass before if `hidden`; `skew` cycles fill and
    drain the array.
    """

    stationary: Operand = "weight"
    load: int = 0
    skew: int = 0
    hidden: bool = False


@dataclass(frozen=True)
class Machine:
    """An accelerator: `memories` from the outermost to the innermost, the array, the datapath.

    `clock` in Hz, `technology` in nm, `area` in mm2, `idle` in mW (drawn all the time), `voltage`
    in V. `assumptions` says what the publication that `cite` names leaves open.
    """

    name: str
    clock: float
    memories: tuple[Memory, ...]
    axes: tuple[Axis, ...]
    datapath: Datapath = Datapath()
    timing: Timing = Timing()
    technology: float = 0.0
    voltage: float = 0.0
    area: float = 0.0
    idle: float = 0.0
    cite: str = ""
    assumptions: tuple[str, ...] = ()

    @property
    def elements(self) -> int:
        """Processing elements of the array."""
        return prod(axis.size for axis in self.axes)

    def instances(self, memory: Memory) -> int:
        """How many of `memory` there are."""
        return prod(axis.size for axis in self.axes if axis.name in memory.along)

    def levels(self, operand: Operand) -> tuple[Memory, ...]:
        """The memories that hold `operand`, outermost first."""
        return tuple(memory for memory in self.memories if operand in memory.holds)
