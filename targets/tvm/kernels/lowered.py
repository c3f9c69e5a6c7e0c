"""Kernels from TVM's operator library, scheduled here: parallel outside, vectorized inside."""

from collections.abc import Sequence
from math import prod
from typing import Any

from tvm import s_tir, te

from codesign.targets.tvm.isa import Isa

Tensor = Any  # tvm.te.Tensor


def emit(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], isa: Isa) -> Any:
    """The function that computes `outputs`, which depend on the placeholders `inputs`."""
    function = te.create_prim_func([*inputs, *outputs]).with_attr("global_symbol", name)
    schedule = s_tir.Schedule(function.with_attr("tirx.noalias", True))
    for block in schedule.get_child_blocks(schedule.get_sblock("root")):
        _spread(schedule, block, isa.f32_lanes)
    return schedule.mod["main"]


def _spread(schedule: Any, block: Any, lanes: int) -> None:
    """Run the outer spatial loops of `block` in parallel and the last one by vectors."""
    loops = schedule.get_loops(block)
    kinds = [str(v.iter_type) for v in schedule.get(block).iter_vars]
    spatial = loops[: kinds.index("2")] if "2" in kinds else loops
    if not spatial or len(kinds) != len(loops):
        return
    whole = len(spatial) == len(loops)
    last = int(schedule.get(spatial[-1]).extent)
    if whole and last % lanes == 0:
        *spatial, inner = spatial
        outer, vector = schedule.split(inner, [None, lanes])
        schedule.vectorize(vector)
        spatial = [*spatial, outer]
    if prod(int(schedule.get(loop).extent) for loop in spatial) > 1:
        schedule.parallel(schedule.fuse(*spatial))
