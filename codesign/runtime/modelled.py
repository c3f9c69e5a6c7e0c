"""What a compiled program takes on a machine that is not at hand, by the target's model."""

from typing import Any

from codesign.runtime.compiled import Compiled


def modelled(compiled: Compiled) -> dict[str, Any]:
    """Cycles, ms, uJ, mW and frames per second of one run, as the report has them.

    A run takes one batch; frames are its samples. Energy and power are None where not known;
    `power_mw` is of all that the model knows, `chip_power_mw` without the memory `outside`. Where
    frames overlap in a pipeline, `interval_ms` of the build is the time between two of them.
    """
    total = compiled.report["total"]
    took, energy = total["latency_ms"], total["energy_uj"]
    parts = parts_uj(compiled)
    outside = compiled.report["build"].get("outside")
    inside = None if energy is None or outside not in parts else energy - parts[outside]
    shape = compiled.inputs[0].shape if compiled.inputs else ()
    batch = shape[0] if shape else 1
    pace = compiled.report["build"].get("interval_ms")  # of what takes a frame before the last left
    stream = batch * pace if pace else took
    return {
        "target": compiled.manifest.target,
        "cycles": total["cycles"],
        "latency_ms": took,
        "energy_uj": energy,
        "energy_parts_uj": parts,
        "power_mw": energy / stream if stream and energy is not None else None,
        "chip_power_mw": inside / stream if stream and inside is not None else None,
        "outside": outside,
        "batch": batch,
        "frames_per_second": batch / stream * 1e3 if stream else None,
        "remarks": total["remarks"],
    }


def parts_uj(compiled: Compiled) -> dict[str, float]:
    """The energy of all layers together, by memory, of multiplications and of what is idle."""
    found: dict[str, float] = {}
    for layer in compiled.report["layers"]:
        for part, uj in layer["energy_parts_uj"].items():
            found[part] = found.get(part, 0.0) + uj
    return found
