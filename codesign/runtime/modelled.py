"""What a compiled program takes on a machine that is not at hand, by the target's model."""

from typing import Any

from codesign.runtime.compiled import Compiled


def modelled(compiled: Compiled) -> dict[str, Any]:
    """Cycles, ms, uJ, mW and frames per second of one run, as the report has them.

    A run takes one batch; frames are its samples. Energy and power are None where not known.
    """
    total = compiled.report["total"]
    took, energy = total["latency_ms"], total["energy_uj"]
    shape = compiled.inputs[0].shape if compiled.inputs else ()
    batch = shape[0] if shape else 1
    return {
        "target": compiled.manifest.target,
        "cycles": total["cycles"],
        "latency_ms": took,
        "energy_uj": energy,
        "power_mw": energy / took if took and energy is not None else None,
        "batch": batch,
        "frames_per_second": batch / took * 1e3 if took else None,
        "remarks": total["remarks"],
    }
