"""What verbs say of artifacts that run on a simulator."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from codesign.cli.output import console, result, settings
from codesign.cli.tables import count, ms, percent, show_table

if TYPE_CHECKING:
    from codesign.runtime.compiled import Compiled

LAYER = ("name", "kernel", "bound", "macs", "cycles", "latency_ms", "energy_uj", "utilization")


def linked(report: Mapping[str, Any]) -> str:
    """What a compiled program was linked with, or on whose simulator it runs."""
    build = report["build"]
    return f"{'runs on' if build.get('simulated') else 'linked with'} {build['linked_with']}"


def in_words(found: Mapping[str, Any]) -> str:
    """Cycles, time, frames, energy and power of a run by the model."""
    energy = found["energy_uj"]
    parts = [f"{count(found['cycles'])} cycles", f"{ms(found['latency_ms'])} ms"]
    parts += [f"{found['frames_per_second']:.4g} frames/s"] if found["frames_per_second"] else []
    parts += [f"{count(energy)} uJ"] if energy is not None else []
    parts += [power(found)] if found["power_mw"] is not None else []
    return ", ".join(parts)


def power(found: Mapping[str, Any]) -> str:
    """The power of a run, of the chip alone too where the memory outside it is known."""
    chip, total = found["chip_power_mw"], count(found["power_mw"])
    if chip is None:
        return f"{total} mW"
    return f"{count(chip)} mW on the chip, {total} mW with {found['outside']}"


def show_run(found: Mapping[str, Any]) -> None:
    """What the simulator counted in a run, and what its machine would take."""
    spared = ((word, found[word]) for word in ("gated", "skipped", "spared") if word in found)
    zeros = "".join(f"{count(number)} {word}, " for word, number in spared)
    console().print(
        f"simulated on {found['modelled']['target']}: {count(found['macs'])} multiplications, "
        f"{zeros}{count(found['saturated'])} additions saturated; "
        f"modelled: {in_words(found['modelled'])} for each of {found['runs']} run(s)",
        markup=False,
    )


def bench_modelled(compiled: "Compiled", artifact: str, layers: bool) -> None:
    """The answer of `bench`: the model's figures, said to be such."""
    from codesign.runtime.modelled import modelled

    found = modelled(compiled)
    rows = [{key: layer[key] for key in LAYER} for layer in compiled.report["layers"]]
    if settings.json:
        result({"artifact": artifact, "modelled": True, **found, "layers": rows})
        return
    if layers:
        show_layers(compiled.manifest.name, rows)
    console().print(f"{artifact}: modelled, not measured: {in_words(found)}", markup=False)
    for remark in found["remarks"]:
        console().print(remark, markup=False)


def show_layers(name: str, rows: list[dict[str, Any]]) -> None:
    """A row a layer."""
    show_table(
        name,
        (
            ("layer", lambda r: f"%{r['name']}"),
            ("kernel", lambda r: r["kernel"]),
            ("bound", lambda r: r["bound"]),
            ("MACs", lambda r: count(r["macs"] or None)),
            ("cycles", lambda r: count(r["cycles"] or None)),
            ("ms", lambda r: ms(r["latency_ms"])),
            ("uJ", lambda r: count(r["energy_uj"])),
            ("utilization", lambda r: percent(r["utilization"])),
        ),
        rows,
        left=3,
    )
