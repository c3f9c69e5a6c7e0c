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
    together exchange with the level below, in bits a cycle (none: as much as is asked for), by
    operand where it has a bus of its own, under "all" for the others together; reads and writes
    share it unless `ports` is 2. With `multicast` one read serves every element that needs the same
    data. Transfers of the operands in `overlap` are hidden behind computing. `packed` names
    operands that are kept compressed, and by what (`rlc`, `csc`).

    With `begins` sums begin at what this memory holds, such as a bias, and not at zero.
    With `sliding` the part of a window that the next one shares stays; with `reload` nothing does
    from one tile of the level above to the next. `loops` are those that may
    go over tiles inside one of this memory's (none: all), in an order that leaves the operand
    `stays` where it is, if one is named. `most` are the largest extents of a tile;
    loops that it names are cut no further than it asks. Memories of different operands that follow
    each other at the same places share a tiling, unless the later one is `apart`: its tiles then
    lie inside those of the one before.
    """

    name: str
    holds: tuple[Operand, ...]
    capacity: float = inf
    width: int = 1
    read: float = 0.0
    write: float = 0.0
    flow: Mapping[str, float] = field(default_factory=dict)
    ports: int = 1
    along: tuple[str, ...] = ()
    double: bool = False
    multicast: bool = True
    overlap: tuple[Operand, ...] = OPERANDS
    packed: Mapping[str, str] = field(default_factory=dict)
    begins: bool = False
    sliding: bool = False
    reload: bool = False
    loops: tuple[str, ...] = ()
    stays: Operand | None = None
    most: Mapping[str, int] = field(default_factory=dict)
    apart: bool = False

    @property
    def usable(self) -> float:
        """Bits that one tile of each operand may fill together."""
        return self.capacity / 2 if self.double else self.capacity


@dataclass(frozen=True)
class Axis:
    """One dimension of the array: `size` elements, among which loops of `unroll` are spread.

    Loops of `unroll` share it, each with a factor of its own. `sums` says
    that partial sums are added along the axis; without it each element's own goes up. Where
    operands are narrow, a `fused` axis has more elements (see `Datapath.parts`). With `whole` as
    many iterations of a loop are spread over it as there are, up to its size.
    """

    name: str
    size: int
    unroll: tuple[str, ...]
    sums: bool = False
    fused: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Datapath:
    """What one element computes with: operand widths it takes, its accumulator, how bits cost.

    `kind` is `parallel` (a multiplication a cycle at any width it takes), `serial` (as many cycles
    as the operands of `serial` have bits, after Judd et al., "Stripes", MICRO 2016) or `fused`
    (bricks of `brick` x `brick` bits form one multiplier of the widest operands or several of
    narrower ones, after Sharma et al., "Bit Fusion", ISCA 2018).

    Zeros of the operands in `gate` save energy, of the multiplication and of what else is read for
    it, those of operands in `skip` save cycles too. `mac` is the energy of a multiplication at the
    widest operands, `gated` that of a gated one. Between memories a partial sum has `partial` bits
    (0: as many as the accumulator).
    """

    kind: Literal["parallel", "serial", "fused"] = "parallel"
    input: tuple[int, ...] = (16,)
    weight: tuple[int, ...] = (16,)
    accumulator: int = 32
    serial: tuple[Operand, ...] = ()
    brick: int = 0
    gate: tuple[Operand, ...] = ()
    skip: tuple[Operand, ...] = ()
    partial: int = 0
    mac: float = 0.0
    gated: float = 0.0

    @property
    def spares(self) -> tuple[Operand, ...]:
        """The operands whose zeros spare a multiplication's energy, skipped or gated."""
        return tuple(dict.fromkeys((*self.gate, *self.skip)))

    @property
    def stored(self) -> int:
        """Bits of a partial sum between memories."""
        return self.partial or self.accumulator

    def parts(self, input_bits: int, weight_bits: int) -> float:
        """Multiplications that one fused multiplier does at a time (1 unless `kind` is fused).

        The widest operands up to 8 bits make one; wider ones take several cycles, a fraction each
        (Sharma et al., ISCA 2018, section III: 16 bits by four passes of 8).
        """
        if self.kind != "fused":
            return 1.0
        whole = min(8, max(*self.input, *self.weight))
        return whole / max(input_bits, self.brick) * whole / max(weight_bits, self.brick)

    def cycles(self, input_bits: int, weight_bits: int) -> float:
        """Cycles of one multiplication of an element: passes of wide operands, bits of serial ones.

        Several narrow ones at a time count as elements more, not as less than a cycle.
        """
        bits = {"input": input_bits, "weight": weight_bits}
        turns = prod(bits[operand] for operand in self.serial)
        return turns / min(1.0, self.parts(input_bits, weight_bits))

    def picojoules(self, input_bits: int, weight_bits: int, useful: float) -> float:
        """Energy of a multiplication, of which a share `useful` is not gated."""
        each = self.mac * useful + self.gated * (1 - useful)
        return each / self.parts(input_bits, weight_bits)


@dataclass(frozen=True)
class Timing:
    """Cycles that a pass costs beside its multiplications.

    A pass is the work on one tile of the operand that is `stationary` in the elements. `load`
    cycles bring that tile in, hidden behind the pass before if `hidden`; `skew` cycles fill and
    drain the array. Where nothing computes until the elements hold their first tiles of some
    operands, `first` is the flow of each, in bits a cycle.
    """

    stationary: Operand = "weight"
    load: int = 0
    skew: int = 0
    hidden: bool = False
    first: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """Which mappings a machine's own controller and compiler take, and which of them it prefers.

    Tiles of the loops in `divide` divide what they cut; those of loops in `powers` take 1, 2, 4,
    ... of what is inside them. With `square` tiles of maps are as wide as high. Windows are laid
    out beforehand (`unfold`), so that a convolution is a product of matrices, for a network's
    `first` layer, `all` or `none`. With `merge` several groups of a convolution may run as one,
    with zeros as the weights between them: as many as axes have room for.

    `order` are the aims, the first first: `latency`, `energy`, `edp`, `elements` (as many as can be
    in use), or a memory's name (the fewest bits it exchanges). Feature maps count as if they were
    compressed by `compress` there, which the choice does not know yet. Several images share a tile
    only where the axis `batch` holds all rows of one. Flows in `hidden` ("memory.operand") must not
    take longer than the multiplications where the best mapping that sees to that is faster than the
    best of all.
    """

    order: tuple[str, ...] = ("latency", "energy")
    divide: tuple[str, ...] = ()
    powers: tuple[str, ...] = ()
    square: bool = False
    unfold: Literal["none", "first", "all"] = "none"
    merge: bool = False
    compress: float = 1.0
    batch: str = ""
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """An accelerator: `memories` from the outermost to the innermost, the array, the datapath.

    `clock` in Hz, `technology` in nm, `area` in mm2, `idle` in mW (drawn all the time), `voltage`
    in V. With `padding` memories hold the zeros around a feature map too; with `whole_tiles` tiles
    at an edge take as long as others. `assumptions` says what the publication that `cite` names
    leaves open.
    """

    name: str
    clock: float
    memories: tuple[Memory, ...]
    axes: tuple[Axis, ...]
    datapath: Datapath = Datapath()
    timing: Timing = Timing()
    mapping: Policy = Policy()
    technology: float = 0.0
    voltage: float = 0.0
    area: float = 0.0
    idle: float = 0.0
    padding: bool = False
    whole_tiles: bool = False
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
