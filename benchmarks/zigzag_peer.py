"""ZigZag on one accelerator and one network, as JSON; run by the Python that has `zigzag-dse`.

python zigzag_peer.py HARDWARE MAPPING NETWORK OUTPUT [LIMIT]

Names are those of files in the package's `inputs`, so nothing of codesign is needed, nor imported.
OUTPUT gets `seconds` (of the search alone: reading the network and its files included, importing
not), `energy` in pJ, `latency` in cycles, and each layer with the mapping that was chosen for the
least product of the two: loop sizes, strides, what surrounds it, and `temporal[operand][level]`,
pairs of a loop and its size, from the innermost level and loop on. LIMIT is ZigZag's `lpf_limit`, 6
unless given: into how many loops it cuts a layer at most.
"""

import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main(hardware: str, mapping: str, network: str, output: str, limit: str = "6") -> None:
    """Search, and write what was found."""
    import zigzag
    from zigzag.api import get_hardware_performance_zigzag

    inputs = Path(zigzag.__file__).parent / "inputs"
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        energy, latency, found = get_hardware_performance_zigzag(
            str(inputs / "workload" / f"{network}.onnx"),
            str(inputs / "hardware" / f"{hardware}.yaml"),
            str(inputs / "mapping" / f"{mapping}.yaml"),
            opt="EDP",
            lpf_limit=int(limit),
            dump_folder=folder,
            loma_show_progress_bar=False,
        )
        seconds = time.perf_counter() - start
    layers = [describe(each) for each, _ in found[0][1]]
    result = {"seconds": seconds, "energy": energy, "latency": latency, "layers": layers}
    Path(output).write_text(json.dumps(result), encoding="utf-8")


def describe(found: Any) -> dict[str, Any]:
    """A layer and its mapping."""
    layer = found.layer
    sizes = {str(dim): int(size) for dim, size in layer.layer_dim_sizes.data.items()}
    steps = {str(dim): [int(f) for _, f in of] for dim, of in layer.pr_scaling_factors.items()}
    axes = ("IX", "IY") if steps else ()
    pads = {str(dim): list(pad) for dim, pad in layer.padding.data.items()}
    extents = {str(dim): int(size) for dim, size in layer.pr_layer_dim_sizes.items()}
    return {
        "name": layer.name,
        "sizes": sizes,
        "strides": [steps[axis][0] for axis in axes],
        "dilations": [steps[axis][1] for axis in axes],
        "offsets": [-pads.get(axis, [0, 0])[0] for axis in axes],
        "extents": [extents[axis] for axis in axes],
        "energy": float(found.energy_total),
        "latency": float(found.latency_total2),
        "computing": float(found.ideal_temporal_cycle),
        "stalls": float(found.stall_slack_comb),
        "around": float(found.data_onloading_cycle + found.data_offloading_cycle),
        "spatial": {
            str(axis): {str(dim): float(size) for dim, size in of.items()}
            for axis, of in layer.spatial_mapping.items()
        },
        "temporal": {
            str(operand): [[[str(dim), float(size)] for dim, size in level] for level in levels]
            for operand, levels in found.temporal_mapping.mapping_dic_origin.items()
        },
        "accesses": {
            str(operand): [
                {str(way): float(count) for way, count in level.data.items()} for level in levels
            ]
            for operand, levels in found.memory_word_access.items()
        },
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
