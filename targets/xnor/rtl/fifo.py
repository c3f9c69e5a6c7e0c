"""A stream between two engines: a FIFO whose room is taken before its word arrives."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.memory import Memory

from codesign.targets.xnor.area import in_blocks
from codesign.targets.xnor.engine import Stream
from codesign.targets.xnor.rtl.parts import style


class Link:
    """The wires of a stream.

    Its writer takes room with `claim` where there is `room`, and `push`es `given` as many cycles
    later as it likes, in order. Its reader `take`s `word` where it is `there`. A word pushed in
    cycle t is there in t + 1, room for a word taken in cycle t in t + 1.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        wires: dict[str, Any] = {
            name: Signal(1 if name in ONE else stream.width, name=f"{plain(stream.name)}_{name}")
            for name in (*ONE, "given", "word")
        }
        self.room, self.claim, self.push = wires["room"], wires["claim"], wires["push"]
        self.there, self.take = wires["there"], wires["take"]
        self.given, self.word = wires["given"], wires["word"]

    @property
    def lanes(self) -> list[Any]:
        """The codes of the word that is there."""
        return lanes_of(self.word, self.stream)

    @property
    def masks(self) -> Any:
        """Bits that say which lanes of the word are padding."""
        return self.word[self.stream.lanes * self.stream.bits :]


ONE = ("room", "claim", "push", "there", "take")


def plain(name: str) -> str:
    """A name of letters, digits and underscores alone."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name)


def lanes_of(word: Any, stream: Stream) -> list[Any]:
    """The codes of a word of `stream`."""
    return [word[i * stream.bits : (i + 1) * stream.bits] for i in range(stream.lanes)]


def fifo(link: Link) -> Module:
    """The FIFO of a stream, of any depth."""
    m, depth, width = Module(), link.stream.depth, link.stream.width
    room, count = Signal(range(depth + 1), init=depth), Signal(range(depth + 1))
    head, tail, ahead = Signal(range(depth)), Signal(range(depth)), Signal(range(depth))
    m.d.sync += [
        room.eq(room - link.claim + link.take),
        count.eq(count + link.push - link.take),
        head.eq(ahead),
        tail.eq(_after(tail, link.push, depth)),
    ]
    m.d.comb += [
        link.room.eq(room != 0),
        link.there.eq(count != 0),
        ahead.eq(_after(head, link.take, depth)),
    ]
    block = in_blocks(link.stream)
    memory = Memory(shape=width, depth=depth, init=[], attrs=style(block))
    m.submodules.memory = memory
    write = memory.write_port()
    m.d.comb += [write.addr.eq(tail), write.data.eq(link.given), write.en.eq(link.push)]
    if block:
        read = memory.read_port(transparent_for=(write,))
        m.d.comb += [read.addr.eq(ahead), read.en.eq(1)]
    else:
        read = memory.read_port(domain="comb")
        m.d.comb += read.addr.eq(head)
    m.d.comb += link.word.eq(read.data)
    return m


def _after(at: Any, go: Any, depth: int) -> Any:
    """The place behind `at`, where `go`."""
    return Mux(go, Mux(at == depth - 1, 0, at + 1), at)
