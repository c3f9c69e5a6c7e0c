"""Targets, reached as `codesign.targets`; the compiler finds them by name in its plugin table."""

if __name__ != "codesign.targets":
    raise ImportError("import this package as codesign.targets, not as targets")

TABLE = {
    "cpu": "tvm.target:Cpu",
    "bitfusion": "spatial.target:BitFusion",
    "eyeriss": "spatial.target:Eyeriss",
    "eyeriss_v2": "spatial.target:EyerissV2",
    "finn": "xnor.target:Finn",
    "machine": "spatial.target:MachineFile",
    "systolic": "spatial.systolic:Systolic",
    "tpu_v1": "spatial.target:TpuV1",
    "xne": "xnor.shared.target:Xne",
}
