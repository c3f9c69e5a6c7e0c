"""What has to be said of a streaming design as a whole."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from codesign.ir.program import Program
from codesign.targets.xnor.area import design_area
from codesign.targets.xnor.costs import Costs, batch_of
from codesign.targets.xnor.engine import interval
from codesign.targets.xnor.kernel import Host

if TYPE_CHECKING:
    from codesign.targets.xnor.target import Finn


def remarks(program: Program, target: "Finn", costs: Costs) -> Iterator[str]:
    """In words: pace and latency, the slowest engine, what is taken, what the host does."""
    device, times = target.board, costs.times
    slow = costs.slowest
    yield f"cycles, times and energies are those of a model of {device.name}, not measured"
    yield (
        f"all engines work at once: an image every {times.interval} cycles "
        f"({device.clock / times.interval:.6g} images/s), the first after {times.latency}"
    )
    owner = costs.owner(slow)
    where = f"%{owner}" if owner else "the port to the host"
    yield f"the slowest is {where}: {slow.kind} {slow.name}, {interval(slow)} cycles an image"
    if batch_of(program) > 1:
        yield f"the time of a batch beyond its first image is put down to {where}"
    taken = design_area(costs.design)
    luts, blocks = taken.luts + device.shell_luts, taken.bram18 + device.shell_bram18
    yield (
        f"takes {luts} of {device.luts} LUTs, {blocks / 2:g} of {device.bram18 / 2:g} block RAMs, "
        f"{taken.dsp} of {device.dsp} DSP slices of {device.name}, the shell included"
    )
    yield "energy is that of an image in a stream of them, without the shell"
    others = sorted(
        {program.graph.by_name[a.nodes[0]].kind for a in program.placement if a.kernel == Host.name}
    )
    if others:
        yield f"left to the host, at no cost that is counted: {', '.join(others)}"
