"""All engines of a streaming design, the streams between them, ports to the host."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Signal

from codesign.targets.xnor.engine import (
    Add,
    Design,
    Engine,
    Fork,
    Mvtu,
    Pool,
    Reduce,
    Sink,
    Source,
    Stream,
    Table,
    Width,
    Window,
)
from codesign.targets.xnor.rtl.contents import Contents
from codesign.targets.xnor.rtl.fifo import Link, fifo, plain
from codesign.targets.xnor.rtl.lookup import lookup
from codesign.targets.xnor.rtl.merge import Order, pool, reduce_max
from codesign.targets.xnor.rtl.move import fork, sink, source, width
from codesign.targets.xnor.rtl.mvtu import MatrixWords, mvtu
from codesign.targets.xnor.rtl.scale import Scaled, add, reduce_mean
from codesign.targets.xnor.rtl.window import window


class Port:
    """Words to or from the host: one passes in each cycle in which it is valid and ready."""

    def __init__(self, name: str, stream: Stream, given: bool) -> None:
        self.name, self.stream, self.given = plain(name), stream, given
        self.data: Any = Signal(stream.width, name=f"{self.name}_data")
        self.valid: Any = Signal(name=f"{self.name}_valid")
        self.ready: Any = Signal(name=f"{self.name}_ready")

    @property
    def signals(self) -> list[Any]:
        """Its wires."""
        return [self.data, self.valid, self.ready]


@dataclass(frozen=True)
class Top:
    """The hardware of a design: its module, and its ports by the engine that they belong to."""

    module: Module
    ports: dict[str, Port]


def make_top(design: Design, held: Contents) -> Top:
    """Engines, FIFOs and ports."""
    m, streams = Module(), design.by_stream
    links = {name: Link(stream) for name, stream in streams.items()}
    ports: dict[str, Port] = {}
    for name, link in links.items():
        m.submodules[f"fifo_{plain(name)}"] = fifo(link)
    for engine in design.engines:
        into, out = [links[n] for n in engine.inputs], [links[n] for n in engine.outputs]
        if isinstance(engine, Source | Sink):
            (link,) = (*into, *out)
            ports[engine.name] = Port(engine.name, link.stream, isinstance(engine, Source))
        m.submodules[plain(engine.name)] = _made(engine, held, into, out, ports)
    return Top(m, ports)


def _made(
    engine: Engine, contents: Contents, into: list[Link], out: list[Link], ports: dict[str, Port]
) -> Module:
    held, blocks = contents.held.get(engine.name), contents.blocks[engine.name]
    match engine:
        case Source():
            return source(engine.pace, ports[engine.name], out[0])
        case Sink():
            return sink(engine.pace, into[0], ports[engine.name])
        case Window():
            return window(engine, blocks, into[0], out[0])
        case Mvtu():
            assert isinstance(held, MatrixWords)
            return mvtu(engine, held, into[0], out)
        case Pool():
            assert isinstance(held, Order)
            return pool(engine, held, blocks, into[0], out[0])
        case Reduce(what="max"):
            assert isinstance(held, Order)
            return reduce_max(engine, held, blocks, into[0], out[0])
        case Reduce():
            assert isinstance(held, Scaled)
            return reduce_mean(engine, held, blocks, into[0], out[0])
        case Add():
            assert isinstance(held, Scaled)
            return add(held, into, out[0])
        case Table():
            assert isinstance(held, tuple)
            return lookup(engine, held, into[0], out)
        case Width():
            return width(engine, into[0], out[0])
        case Fork():
            return fork(into[0], out)
    raise AssertionError(engine)
