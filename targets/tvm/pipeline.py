"""How kernels are lowered: TVM's own passes for scheduled functions, few for written ones.

A function from `tir.Function` is loops, loads and stores already. TVM's default pipeline spends
two thirds of the compile time on passes that find nothing to do there, so these functions skip
them; any other function in the same module takes the default pipeline.

    tvm.compile(module, target=..., tir_pipeline=pipeline.register())
"""

from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.tirx import compilation_pipeline

from codesign.targets.tvm.tir import WRITTEN

NAME = "codesign"


def register() -> str:
    """Make the pipeline known to TVM (again is harmless); returns the name to ask for."""
    compilation_pipeline.register_tir_pipeline(NAME, _factory)
    return NAME


def _factory() -> tuple[Any, Any, Any]:
    default, host, device = compilation_pipeline.get_tir_pipeline("s_tir")

    @tvm.transform.module_pass(opt_level=0, name="codesign.lower")  # type: ignore[untyped-decorator]
    def lower(module: Any, context: Any) -> Any:
        written = {v: f for v, f in module.functions.items() if WRITTEN in (f.attrs or {})}
        others = {v: f for v, f in module.functions.items() if v not in written}
        merged = tvm.IRModule({}, attrs=module.attrs)
        for functions, passes in ((written, _written_passes()), (others, default)):
            if functions:
                merged.update(passes(tvm.IRModule(functions, attrs=module.attrs)))
        return merged

    return lower, host, device


def _written_passes() -> Any:
    return tvm.ir.transform.Sequential(
        [
            tirx.transform.FlattenBuffer(),
            tirx.transform.BF16ComputeLegalize(),
            tirx.transform.NarrowDataType(32),
            tirx.transform.VectorizeLoop(True),
            tirx.transform.UnrollLoop(),
            tirx.transform.StmtSimplify(),
            s_tir.transform.RewriteUnsafeSelect(),
            tirx.transform.VerifyMemory(),
            tirx.transform.AnnotateEntryFunc(),
            tirx.transform.SplitHostDevice(),
            tirx.transform.MakePackedAPI(),
            tirx.transform.BF16StorageLegalize(),
        ]
    )
