"""SCALE-Sim's compute cycles, as JSON; run by the Python that has `scalesim`.

python scalesim_peer.py ROWS COLUMNS < LAYERS > CYCLES

LAYERS is a list of products of matrices [m, k, n]; CYCLES has a list for each dataflow with the
number of cycles until the array has given its last output (the rows of the package's demand matrix
of outputs, in which nothing waits for memories).
"""

import importlib
import json
import sys
from typing import Any

FLOWS = ("ws", "is", "os")


def cycles(flow: str, array: tuple[int, int], product: tuple[int, int, int]) -> int:
    """Cycles of one product of [m, k] by [k, n]."""
    import numpy as np
    from scalesim.scale_config import scale_config

    config = scale_config()
    config.set_arr_dims(*array)
    config.valid_conf_flag = True
    m, k, n = product
    name = f"systolic_compute_{flow}"
    array_: Any = getattr(importlib.import_module(f"scalesim.compute.{name}"), name)()
    array_.set_params(
        config_obj=config,
        ifmap_op_mat=np.zeros((m, k)),
        filter_op_mat=np.zeros((k, n)),
        ofmap_op_mat=np.zeros((m, n)),
    )
    array_.create_ofmap_demand_mat()
    return len(array_.ofmap_demand_matrix)


def main(rows: str, columns: str) -> None:
    """Read products, write cycles."""
    products, array = json.load(sys.stdin), (int(rows), int(columns))
    found = {flow: [cycles(flow, array, tuple(p)) for p in products] for flow in FLOWS}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
