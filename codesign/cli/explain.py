"""`codesign explain`: what was decided for each layer of an artifact, and why."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from codesign.cli import options
from codesign.cli.modelled import linked
from codesign.cli.output import console, result, settings
from codesign.cli.tables import count, ms, percent, show_table, size
from codesign.errors import UnknownNameError

Layer = Mapping[str, Any]


def explain_verb(
    artifact: options.Artifact,
    layer: Annotated[str | None, typer.Argument(metavar="[LAYER]", help="One layer.")] = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Tell kernel, schedule, predicted and measured time, alternatives and the passes' notes."""
    from codesign.runtime.artifact import open_artifact

    compiled = open_artifact(artifact, run=False)
    report = compiled.report
    layers = {entry["name"]: entry for entry in report["layers"]}
    if layer is None:
        if settings.json:
            result({key: report[key] for key in ("name", "target", "total", "layers", "build")})
        else:
            show_layers(report)
        return
    found = find(layer.removeprefix("%"), layers)
    mapping = compiled.explained(found["nodes"][0])
    if settings.json:
        result({**found, "mapping": mapping} if mapping else dict(found))
    else:
        show_layer(found)
        show_mapping(mapping)


def find(name: str, layers: Mapping[str, Layer]) -> Layer:
    """The layer of that name, or the one into which the node of that name was fused."""
    for entry in layers.values():
        if name == entry["name"] or name in entry["nodes"]:
            return entry
    raise UnknownNameError("layer", name, layers)


def show_layers(report: Mapping[str, Any]) -> None:
    """A row a layer."""
    total = report["total"]["measured_ms"] or report["total"]["latency_ms"]
    tuned = sum(layer["origin"] == "tuned" for layer in report["layers"])
    show_table(
        f"{report['name']} on {report['target']}",
        (
            ("layer", lambda x: f"%{x['name']}"),
            ("op", lambda x: x["op"] + (f" +{len(x['nodes']) - 1}" if x["nodes"][1:] else "")),
            ("kernel", lambda x: x["kernel"]),
            ("bound", lambda x: x["bound"]),
            ("MACs", lambda x: count(x["macs"] or None)),
            ("predicted ms", lambda x: ms(x["latency_ms"])),
            ("from", lambda x: x["origin"] if tuned else ""),
            ("measured ms", lambda x: ms(x["measured_ms"])),
            ("share", lambda x: percent(share(x, total))),
            ("notes", lambda x: str(len(x["notes"]) or "")),
        ),
        report["layers"],
        left=4,
    )
    out = console()
    measured = report["total"]["measured_ms"]
    out.print(
        f"total: predicted {ms(report['total']['latency_ms'])} ms"
        + (f", measured {ms(measured)} ms" if measured is not None else "")
    )
    for remark in report["total"].get("remarks", ()):
        out.print(remark, markup=False)
    if tuned:
        out.print(f"tuned: {tuned} layers have schedule and predicted time of a tuning record")
    out.print(linked(report), markup=False)


def share(layer: Layer, total: float) -> float | None:
    """The layer's part of the whole time."""
    took = layer["latency_ms"] if layer["measured_ms"] is None else layer["measured_ms"]
    return float(took) / total if total else None


def show_layer(layer: Layer) -> None:
    """Everything that is known about one layer."""
    out = console()

    def line(what: str, text: object) -> None:
        out.print(f"  {what:<12} {text}", markup=False)

    out.print(f"%{layer['name']} ({layer['op']}, output {layer['shape']})", markup=False)
    line("nodes", ", ".join(f"%{name}" for name in layer["nodes"]))
    line("kernel", layer["kernel"])
    if layer["schedule"]:
        line("schedule", ", ".join(f"{k}={v}" for k, v in layer["schedule"].items()))
    error = layer["error"]
    bar = "" if error is None else f" +- {percent(error)}"
    line("predicted", f"{ms(layer['latency_ms'])} ms{bar}, {percent(layer['utilization'])} of peak")
    model = layer["latency_ms"] if layer.get("model_ms") is None else layer["model_ms"]
    if layer["origin"] == "tuned":
        line(
            "from",
            f"a tuning record: kernel, schedule, predicted time; by the model {ms(model)} ms",
        )
    if layer["measured_ms"] is not None:
        line("measured", f"{ms(layer['measured_ms'])} ms")
    line("bound", layer["bound"])
    line("work", f"{count(layer['macs'])} MACs")
    for level, moved in layer["traffic_bytes"].items():
        line("traffic", f"{level} {size(moved)}")
    if layer["next_best"]:
        other = layer["alternatives"][layer["next_best"]]["latency_ms"]
        ratio = f", {other / model:.2f}x of {ms(model)} ms" if model else ""
        line("next best", f"{layer['next_best']}: {ms(other)} ms{ratio}, both by the model")
    refused = 0
    for kernel, other in layer["alternatives"].items():
        if "refusal" in other and not settings.verbose:
            refused += 1
        else:
            line("instead", f"{kernel}: {alternative(other)}")
    if refused:
        line("instead", f"{refused} other kernels do not take it (-v tells why)")
    for note in layer["notes"]:
        line("note", f"{note['pass']}: {'' if note['done'] else 'not done: '}{note['text']}")


def show_mapping(found: Mapping[str, Any]) -> None:
    """The loop nest of a layer on an array, what takes how long, what more resources would buy."""
    if not found:
        return
    out = console()
    for line in ("loop nest", *(f"  {text}" for text in found["loop_nest"])):
        out.print(f"  {line}", markup=False)
    out.print(f"  cycles: {cycles_of(found)}", markup=False)
    busy = ", ".join(f"{name} {count(cycles)}" for name, cycles in found["busy_cycles"].items())
    out.print(f"  busy cycles: {busy}", markup=False)
    for line in more_of(found["doubled"]):
        out.print(f"  {line}", markup=False)
    for line in foldings_of(found.get("foldings", ())):
        out.print(f"  {line}", markup=False)


def cycles_of(found: Mapping[str, Any]) -> str:
    """All cycles of a mapping, and what they follow: parts that add up are named as such."""
    total, bound = found["cycles"], found["bound"]
    if not found["waits"]:
        return f"{count(total)}, {bound} bounds them"
    waiting, waits = found["waiting"], " and ".join(found["waits"])
    return (
        f"{count(total)}: {count(total - waiting)} by {bound}, to which add {count(waiting)} of "
        f"transfers of {waits} that do not overlap with computing"
    )


def more_of(doubled: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What twice as much of each resource would buy: a line each, one for all that buy nothing."""
    idle = []
    for one in doubled:
        energy = "" if one["energy"] is None else f", {one['energy']:.3f}x the energy"
        if f"{one['latency']:.3f}" == "1.000" and energy in ("", ", 1.000x the energy"):
            idle.append(one["resource"])
        else:
            yield f"twice the {one['resource']}: {one['latency']:.3f}x the time{energy}"
    if idle:
        yield f"twice as much of these changes nothing: {', '.join(idle)}"


def foldings_of(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What other foldings of an engine would cost: a line each, the one chosen marked."""
    if found:
        yield "foldings, from slow to fast (* as it is):"
    for one in found:
        yield (
            f"{'*' if one['chosen'] else ' '} PE {one['pe']:>4}  SIMD {one['simd']:>4}  "
            f"{one['cycles']:>9} cycles  {one['luts']:>7} LUTs  {one['bram18']:>4} x 18 Kib  "
            f"{one['dsp']:>4} DSP  weights in {one['memory']} memory"
        )


def alternative(other: Mapping[str, Any]) -> str:
    """What another kernel would cost, or why it does not take the layer."""
    refusal = other.get("refusal")
    if refusal is None:
        return f"{ms(other['latency_ms'])} ms by the model"
    remedy = f"; {refusal['remedy']}" if refusal["remedy"] else ""
    return f"refuses: {refusal['demand']}, but {refusal['bound']}{remedy}"
