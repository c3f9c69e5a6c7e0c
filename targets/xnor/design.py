"""From the stages of a graph and a folding of each layer to engines and streams.

Between two engines stands what their widths need: words are joined or cut, through a common
divisor where neither width divides the other. A value that several read goes through a fork. What
is joined to sums has the lanes of the wider operand.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, gcd, prod

from codesign.errors import RefusedError
from codesign.ir.graph import Graph
from codesign.ir.ops.pool import MaxPool
from codesign.targets.xnor.engine import (
    Add,
    Design,
    Engine,
    Fork,
    Map,
    Pool,
    Reduce,
    Sink,
    Source,
    Stream,
    Table,
    Width,
    Window,
)
from codesign.targets.xnor.layer import Fold, Layer, layer_of
from codesign.targets.xnor.maps import maps
from codesign.targets.xnor.stages import Stage

Two = tuple[int, int]


def make_design(
    graph: Graph, chosen: Sequence[Stage], folds: Mapping[str, Fold], port: float
) -> Design:
    """The engines of `chosen` stages, in the order of the graph; `port`: bits a cycle to the host.

    FIFOs have the least depth; see `timing.with_depths`.
    """
    maker = _Maker(graph, port, _readers(graph, chosen))
    for stage in chosen:
        maker.add(stage, folds)
    maker.finish()
    return Design(tuple(maker.engines), tuple(maker.streams.values()), tuple(maker.owners))


def _readers(graph: Graph, chosen: Sequence[Stage]) -> Counter[str]:
    """How many words-for-words readers each value between stages has, the host as one."""
    inside = {node.name for stage in chosen for node in stage.nodes}
    made = {v for stage in chosen for v in stage.values}
    found: Counter[str] = Counter()
    for stage in chosen:
        found.update(v for v in stage.anchor.operands if v not in graph.constants)
    for value in made:
        others = [n for n in graph.consumers[value] if n.name not in inside]
        found[value] += bool(others or value in graph.outputs)
    return found


@dataclass
class _Maker:
    graph: Graph
    port: float
    readers: Counter[str]
    owner: str = ""
    engines: list[Engine] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    streams: dict[str, Stream] = field(default_factory=dict)
    ready: dict[str, list[str]] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)

    def add(self, stage: Stage, folds: Mapping[str, Fold]) -> None:
        """The engines of a stage."""
        self.owner = stage.anchor.name
        match stage.kind:
            case "layer":
                self._layer(stage, folds[stage.anchor.name])
            case "wire":
                self._wire(stage)
            case "add":
                self._add(stage)
            case "table":
                self._table(stage)
            case "pool":
                value = stage.anchor.operands[0]
                stream = self.take(value, self.lanes(value))
                made = self._pool(
                    stage.anchor.op, stage.anchor.name, stream, maps(self.graph)[value]
                )
                self.offer(stage.anchor.name, made)
            case "mean":
                self._mean(stage)

    def finish(self) -> None:
        """What nobody has taken goes to the host."""
        self.owner = ""
        for value in list(self.ready):
            for name in self.ready[value]:
                stream = self.streams[name]
                pace = max(1, ceil(stream.width / self.port))
                self.put(Sink(f"{name}.out", (name,), (), stream.words, pace))

    def put(self, engine: Engine) -> None:
        """One more engine of the stage at hand."""
        self.engines.append(engine)
        self.owners.append(self.owner)

    def stream(self, name: str, count: int, lanes: int, bits: int, masked: int = 0) -> str:
        """A new stream."""
        self.streams[name] = Stream(name, count, lanes, bits, masked)
        return name

    def offer(self, value: str, stream: str) -> None:
        """`stream` holds `value`: forked, if several read it."""
        many, one = self.readers[value], self.streams[stream]
        if many < 2:
            self.ready[value] = [stream]
            return
        names = tuple(f"{value}.{i}" for i in range(many))
        for name in names:
            self.streams[name] = replace(one, name=name)
        self.put(Fork(f"{value}.fork", (stream,), names, one.words))
        self.ready[value] = list(names)

    def lanes(self, value: str) -> int:
        """Lanes in which `value` comes; 1 from the host, that is as wanted."""
        names = self.ready.get(value)
        return self.streams[names[0]].lanes if names else 1

    def take(self, value: str, lanes: int) -> str:
        """A stream of `value` in words of `lanes`; from the host, if no engine makes it."""
        if value not in self.ready:
            self._source(value, lanes)
        found = self.ready[value].pop(0)
        if not self.ready[value]:
            del self.ready[value]
        return self.converted(found, lanes)

    def _source(self, value: str, lanes: int) -> None:
        form, map_ = self.graph.types[value].grid, maps(self.graph)[value]
        assert form is not None
        name = self.stream(f"{value}.in", map_.count, lanes, form.code_bits)
        stream = self.streams[name]
        pace = max(1, ceil(stream.width / self.port))
        self.put(Source(f"{value}.source", (), (name,), stream.words, pace))
        self.offer(value, name)

    def converted(self, name: str, lanes: int) -> str:
        """The stream `name` in words of `lanes`."""
        have = self.streams[name].lanes
        common = gcd(have, lanes)
        for want in (common, lanes):
            have = self.streams[name].lanes
            if want == have:
                continue
            one = self.streams[name]
            made = self.stream(f"{name}.x{want}", one.count, want, one.bits, min(one.masked, want))
            narrow, wide = sorted((have, want))
            width = Width(
                f"{made}.width", (name,), (made,), narrow, wide, want > have,
                one.count // narrow, one.bits,
            )  # fmt: skip
            self.put(width)
            name = made
        return name

    def _layer(self, stage: Stage, fold: Fold) -> None:
        layer = layer_of(self.graph, stage)
        check_fold(layer, fold)
        value = stage.anchor.operands[0]
        if layer.window is None:
            given = self.take(value, fold.simd)
        else:
            given = self._window(layer, self.take(value, layer.lanes(fold.simd)), fold)
        outputs = tuple(
            self.stream(
                self._raw(stage, v), layer.rows * layer.vectors, fold.pe, bits or layer.sums
            )
            for v, bits in zip(stage.values, layer.levels, strict=True)
        )
        self.put(layer.mvtu(fold, (given,), outputs))
        for head, name in zip(stage.heads, outputs, strict=False):
            if stage.pool is not None:
                map_ = maps(self.graph)[stage.anchor.name]
                name = self._pool(stage.pool.op, stage.pool.name, name, map_)
            self.offer(head.value, name)
        if stage.sums:
            self.offer(stage.anchor.name, outputs[-1])

    def _raw(self, stage: Stage, value: str) -> str:
        return f"{value}.sums" if stage.sums and value == stage.anchor.name else f"{value}.codes"

    def _window(self, layer: Layer, given: str, fold: Fold) -> str:
        window = layer.windowed(fold.simd)
        assert window is not None
        name = self.stream(
            f"{window.name}s", window.read * window.lanes, window.lanes, layer.input_bits,
            layer.masked(fold.simd),
        )  # fmt: skip
        self.put(replace(window, inputs=(given,), outputs=(name,)))
        return self.converted(name, fold.simd)

    def _pool(self, op: object, name: str, given: str, map_: Map) -> str:
        """Engines of a maximum over windows."""
        assert isinstance(op, MaxPool)
        one = self.streams[given]
        kernel, strides, pads, dilations = flat(op)
        if kernel == strides and not any(map(any, pads)) and dilations == (1, 1):
            pool = Pool(f"{name}.pool", (given,), (), map_, kernel, one.lanes, one.bits)
            made = self.stream(f"{name}.codes", prod(pool.out) * map_.channels, one.lanes, one.bits)
            self.put(replace(pool, outputs=(made,)))
            return made
        window = Window(
            f"{name}.window", (given,), (), map_, kernel, strides, pads, dilations,
            one.lanes, one.bits,
        )  # fmt: skip
        taps = self.stream(
            f"{name}.taps",
            window.read * one.lanes,
            one.lanes,
            one.bits,
            one.lanes * any(map(any, pads)),
        )
        self.put(replace(window, outputs=(taps,)))
        windows, count = prod(window.out), prod(kernel)
        made = self.stream(f"{name}.codes", windows * map_.channels, one.lanes, one.bits)
        self.put(
            Reduce(
                f"{name}.max",
                (taps,),
                (made,),
                "max",
                windows,
                count,
                window.chunks,
                one.lanes,
                one.bits,
            )
        )
        return made

    def _mean(self, stage: Stage) -> None:
        value, name = stage.anchor.operands[0], stage.anchor.name
        given = self.take(value, self.lanes(value))
        one, map_, form = self.streams[given], maps(self.graph)[value], self.graph.types[name].grid
        assert form is not None
        made = self.stream(f"{name}.codes", map_.channels, one.lanes, form.code_bits)
        chunks = map_.channels // one.lanes
        self.put(
            Reduce(
                f"{name}.mean",
                (given,),
                (made,),
                "mean",
                1,
                map_.pixels,
                chunks,
                one.lanes,
                one.bits,
            )
        )
        self.offer(name, made)

    def _table(self, stage: Stage) -> None:
        value = next(v for v in stage.anchor.operands if v not in self.graph.constants)
        given = self.take(value, self.lanes(value))
        one, map_ = self.streams[given], maps(self.graph)[value]
        forms = [self.graph.types[h.value].grid for h in stage.heads]
        levels = tuple(form.code_bits for form in forms if form is not None)
        made = tuple(
            self.stream(f"{h.value}.codes", map_.count, one.lanes, bits)
            for h, bits in zip(stage.heads, levels, strict=True)
        )
        keys = keys_of(self.graph, stage)
        self.put(
            Table(
                f"{stage.anchor.name}.table",
                (given,),
                made,
                one.words,
                one.lanes,
                one.bits,
                levels,
                keys,
            )
        )
        for head, name in zip(stage.heads, made, strict=True):
            self.offer(head.value, name)

    def _add(self, stage: Stage) -> None:
        name, values = stage.anchor.name, stage.anchor.operands
        lanes = max(self.lanes(v) for v in values)
        given = tuple(self.take(v, lanes) for v in values)
        one, form = self.streams[given[0]], self.graph.types[name].grid
        assert form is not None
        made = self.stream(f"{name}.codes", one.count, lanes, form.code_bits)
        self.put(Add(f"{name}.add", given, (made,), one.words, lanes, form.code_bits))
        self.offer(name, made)

    def _wire(self, stage: Stage) -> None:
        value, name = stage.anchor.operands[0], stage.anchor.name
        lanes = self.lanes(value)
        self.offer(name, self.take(value, lanes))


def keys_of(graph: Graph, stage: Stage) -> int:
    """How many tables there are: one for all, or one for each channel (feature)."""
    sizes = [graph.types[v].size for n in stage.nodes for v in n.operands if v in graph.constants]
    return max((size for size in sizes if size > 1), default=1)


def flat(op: MaxPool) -> tuple[Two, Two, tuple[Two, Two], Two]:
    """Kernel, strides, pads and dilations of a pool over one or two axes, as over two."""
    if len(op.kernel) == 1:
        return (1, op.kernel[0]), (1, op.strides[0]), ((0, 0), op.pads[0]), (1, op.dilations[0])
    return (
        (op.kernel[0], op.kernel[1]),
        (op.strides[0], op.strides[1]),
        (op.pads[0], op.pads[1]),
        (op.dilations[0], op.dilations[1]),
    )


def check_fold(layer: Layer, fold: Fold) -> None:
    """RefusedError unless `fold` divides the matrix of `layer`."""
    for what, part, whole, of in (
        ("PE", fold.pe, layer.rows, "output channels"),
        ("SIMD", fold.simd, layer.columns, "inputs of a channel"),
    ):
        if part < 1 or whole % part:
            near = [d for d in range(1, whole + 1) if whole % d == 0]
            less = max((d for d in near if d <= part), default=1)
            more = min((d for d in near if d >= part), default=whole)
            raise RefusedError(
                f"%{layer.name}: {what} {part} does not divide its {whole} {of}, but each fold "
                f"takes as many, {whole % part if part > 0 else whole} are left over; take {less} "
                f"or {more}"
            )
