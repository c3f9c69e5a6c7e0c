"""The shared engine's hardware on real inputs, layer by layer, beside the functional simulator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.ir.program import Program
from codesign.targets.xnor.maps import maps, streamed
from codesign.targets.xnor.rtl.jobs import Job, jobs_of
from codesign.targets.xnor.rtl.parts import pack
from codesign.targets.xnor.rtl.shared import SharedTop, make_shared
from codesign.targets.xnor.shared.kernel import shared_stage
from codesign.targets.xnor.shared.machine import THRESHOLD_BITS
from codesign.targets.xnor.stages import Stage

if TYPE_CHECKING:
    from codesign.targets.xnor.shared.target import Xne
    from codesign.targets.xnor.simulator import Simulator


@dataclass(frozen=True)
class Ran:
    """Of a layer: results of each image and head, as the functional simulator has them; cycles."""

    found: Sequence[np.ndarray]
    wanted: Sequence[np.ndarray]
    cycles: Sequence[int]
    modelled: int

    @property
    def exact(self) -> bool:
        """Whether every result is right."""
        return all(np.array_equal(a, b) for a, b in zip(self.found, self.wanted, strict=True))


def drive_shared(
    placed: Program, target: "Xne", inputs: Mapping[str, np.ndarray]
) -> dict[str, Ran]:
    """Each layer of each image on the hardware of a placed program, by name of the layer."""
    from amaranth.sim import Simulator as Clocked

    simulator, jobs = target.simulator(placed), jobs_of(placed, target)
    simulator(inputs)
    top, images = make_shared(list(jobs.values())), len(next(iter(inputs.values())))
    given = {n: _inputs(simulator, placed, n, job) for n, job in jobs.items()}
    host = _Host(top, jobs, given, images)
    clocked = Clocked(top.module)
    clocked.add_clock(1e-6)
    clocked.add_testbench(host.run)
    clocked.run()
    found = {}
    for name, job in jobs.items():
        wanted = _wanted(simulator, placed, name)
        heads = [np.stack(parts) for parts in zip(*host.results[name], strict=True)]
        found[name] = Ran(heads, wanted, host.cycles[name], job.cycles)
    return found


def _inputs(simulator: "Simulator", placed: Program, name: str, job: Job) -> list[list[int]]:
    """Words of each image: signs of each pixel in words of `lanes`."""
    value = placed.graph.by_name[name].operands[0]
    codes = streamed(simulator.code(value), maps(placed.graph)[value])
    if job.layer.window is None:
        codes = codes.reshape(len(codes), job.layer.vectors, job.layer.columns)
    lanes = job.machine.lanes
    return [
        [pack(pixel[i : i + lanes], 1) for pixel in image for i in range(0, len(pixel), lanes)]
        for image in codes
    ]


def _wanted(simulator: "Simulator", placed: Program, name: str) -> list[np.ndarray]:
    """[N, vectors, rows] of each head, sums last."""
    stage, known = shared_stage(placed.graph, name), maps(placed.graph)
    assert isinstance(stage, Stage)
    found = [streamed(simulator.code(h.value), known[h.value]) for h in stage.heads]
    if stage.sums:
        found.append(streamed(simulator.raw[name], known[name]))
    return found


class _Host:
    """Writes inputs, starts jobs, counts their cycles and reads what they leave."""

    def __init__(
        self,
        top: SharedTop,
        jobs: Mapping[str, Job],
        given: Mapping[str, list[list[int]]],
        images: int,
    ) -> None:
        self.ports, self.jobs, self.given, self.images = top.ports, jobs, given, images
        self.cycles: dict[str, list[int]] = {name: [] for name in jobs}
        self.results: dict[str, list[list[np.ndarray]]] = {name: [] for name in jobs}

    async def run(self, ctx: Any) -> None:
        """All layers of all images."""
        for image in range(self.images):
            for number, (name, job) in enumerate(self.jobs.items()):
                await self._write(ctx, self.given[name][image])
                self.cycles[name].append(await self._start(ctx, number))
                self.results[name].append(await self._read(ctx, job))

    async def _write(self, ctx: Any, words: list[int]) -> None:
        ctx.set(self.ports["input_write"], 1)
        for at, word in enumerate(words):
            ctx.set(self.ports["input_address"], at)
            ctx.set(self.ports["input_word"], word)
            await ctx.tick()
        ctx.set(self.ports["input_write"], 0)

    async def _start(self, ctx: Any, number: int) -> int:
        ctx.set(self.ports["job"], number)
        ctx.set(self.ports["start"], 1)
        await ctx.tick()
        ctx.set(self.ports["start"], 0)
        cycles = 0
        while ctx.get(self.ports["busy"]):
            await ctx.tick()
            cycles += 1
        return cycles

    async def _read(self, ctx: Any, job: Job) -> list[np.ndarray]:
        """[vectors, rows] of each head."""
        found = [np.zeros((job.layer.vectors, job.layer.rows), np.int64) for _ in job.layer.levels]
        at = first = 0
        for size in job.sizes:
            for pixel in range(job.layer.vectors):
                for head, level in enumerate(job.layer.levels):
                    words = []
                    for _ in range(-(-size * (level or THRESHOLD_BITS) // job.machine.lanes)):
                        ctx.set(self.ports["result_address"], at)
                        await ctx.tick()
                        words.append(ctx.get(self.ports["result_word"]))
                        at += 1
                    codes = _numbers(words, job.machine.lanes, level or THRESHOLD_BITS, size)
                    part = slice(first, first + size)
                    found[head][pixel, part] = codes if level else _sums(job, codes, part)
            first += size
        return found


def _sums(job: Job, sums: np.ndarray, rows: slice) -> np.ndarray:
    """Sums of multiples from those of signs."""
    signed = np.where(sums >> (THRESHOLD_BITS - 1), sums - (1 << THRESHOLD_BITS), sums)
    if not job.zeros:
        return signed
    whole: np.ndarray = (signed + job.weights[rows].sum(axis=1)) // 2
    return whole


def _numbers(words: list[int], lanes: int, bits: int, count: int) -> np.ndarray:
    """`count` numbers of `bits` that lie one behind the other in words."""
    whole = sum(word << (i * lanes) for i, word in enumerate(words))
    return np.array([whole >> (i * bits) & ((1 << bits) - 1) for i in range(count)], np.int64)
