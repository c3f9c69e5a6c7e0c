"""A placed program as hardware: Verilog with its memories' contents, and a report."""

from typing import TYPE_CHECKING, Any

from codesign.ir.program import Program
from codesign.mapping.emitted import Emitted
from codesign.targets.xnor.area import area, fifo
from codesign.targets.xnor.engine import Design, Engine, Mvtu, interval
from codesign.targets.xnor.rtl.contents import Contents, contents_of
from codesign.targets.xnor.rtl.jobs import jobs_of
from codesign.targets.xnor.rtl.mvtu import MatrixWords
from codesign.targets.xnor.rtl.shared import make_shared
from codesign.targets.xnor.rtl.top import make_top
from codesign.targets.xnor.rtl.verilog import TOP, verilog
from codesign.targets.xnor.timing import timed

if TYPE_CHECKING:
    from codesign.targets.xnor.shared.target import Xne
    from codesign.targets.xnor.target import Finn


def emit_streaming(placed: Program, target: "Finn") -> Emitted:
    """The engines of a streaming design, as they are folded."""
    design = target.design(placed)
    held = contents_of(placed, target, design)
    top, times = make_top(design, held), timed(design)
    text = verilog(top.module, [wire for port in top.ports.values() for wire in port.signals])
    report: dict[str, Any] = {
        "target": target.name,
        "device": target.board.name,
        "clock_mhz": target.board.clock / 1e6,
        "latency_cycles": times.latency,
        "interval_cycles": times.interval,
        "engines": [_engine(e, times.first[e.name], times.last[e.name]) for e in design.engines],
        "fifos": [
            {"name": s.name, "depth": s.depth, "bits": s.width, "luts": fifo(s).luts}
            for s in design.streams
        ],
        "ports": {
            name: {"wires": p.name, "bits": p.stream.width, "lanes": p.stream.lanes,
                   "words": p.stream.words, "element_bits": p.stream.bits, "input": p.given}
            for name, p in top.ports.items()
        },
    }  # fmt: skip
    lines = (
        *(_line(e) for e in design.engines if isinstance(e, Mvtu)),
        f"an image in {times.latency} cycles, the next ones every {times.interval}",
    )
    return Emitted({f"{TOP}.v": text, **_memories(design, held)}, report, lines)


def _engine(engine: Engine, first: int, last: int) -> dict[str, Any]:
    """An engine for the report."""
    found = {
        "name": engine.name,
        "kind": engine.kind,
        "interval_cycles": interval(engine),
        "first_word_cycle": first,
        "last_step_cycle": last,
        "modelled_luts": area(engine).luts,
    }
    if isinstance(engine, Mvtu):
        found |= {"pe": engine.pe, "simd": engine.simd, "memory": engine.style}
    return found


def _line(engine: Mvtu) -> str:
    return f"%{engine.name}: PE {engine.pe}, SIMD {engine.simd}, {engine.cycles} cycles an image"


def _memories(design: Design, held: Contents) -> dict[str, str]:
    """Weights and first thresholds of matrix units in hexadecimal, a word a line."""
    found = {}
    for engine in design.engines:
        one = held.held.get(engine.name)
        if not isinstance(engine, Mvtu) or not isinstance(one, MatrixWords):
            continue
        name = engine.name.replace("/", "_")
        width = engine.pe * engine.simd * one.weight_bits
        found[f"{name}.weights.hex"] = _hex(one.words, width)
        for number, search in enumerate(one.searches):
            if search is not None:
                width = search.rows * (search.width + 1)
                found[f"{name}.thresholds{number}.hex"] = _hex(search.first, width)
    return found


def _hex(words: tuple[int, ...] | list[int], bits: int) -> str:
    return "".join(f"{word:0{-(-bits // 4)}x}\n" for word in words)


def emit_shared(placed: Program, target: "Xne") -> Emitted:
    """The shared engine, with the weights and thresholds of all layers that run on it."""
    jobs = jobs_of(placed, target)
    top = make_shared(list(jobs.values()))
    text = verilog(top.module, list(top.ports.values()))
    layers = [
        {"name": name, "job": number, "cycles": job.cycles, "blocks": len(job.sizes)}
        for number, (name, job) in enumerate(jobs.items())
    ]
    report = {
        "target": target.name,
        "engine": target.engine.name,
        "clock_mhz": target.engine.clock / 1e6,
        "lanes": target.engine.lanes,
        "input_words": top.words[0],
        "result_words": top.words[1],
        "cycles": sum(job.cycles for job in jobs.values()),
        "layers": layers,
    }
    files = {f"{TOP}.v": text}
    for name, job in jobs.items():
        plain = name.replace("/", "_")
        files[f"{plain}.weights.hex"] = _hex(job.weight_words(), target.engine.lanes)
        if job.steps:
            files[f"{plain}.thresholds.hex"] = _hex(job.threshold_words(), target.engine.lanes)
    lines = tuple(f"%{layer['name']}: {layer['cycles']} cycles" for layer in layers)
    return Emitted(files, report, lines)
