"""What a result was measured on: the processor and the versions of everything that took part."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
FLAGS_OF_INTEREST = (
    "sse4_2",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "avx512_vpopcntdq",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "asimdhp",
    "i8mm",
    "sve",
)
PACKAGES = (
    "apache-tvm",
    "apache-tvm-ffi",
    "codesign",
    "networkx",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "scipy",
    "torch",
)


def describe_machine(cpuinfo: Path = CPUINFO) -> dict[str, object]:
    """Processor, its instruction sets of interest, cores this process may use, memory, system."""
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    present = set(_field(text, "flags|Features").split())
    return {
        "cpu": _field(text, "model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "flags": [flag for flag in FLAGS_OF_INTEREST if flag in present],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Python's version and that of each package that is installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _field(text: str, names: str) -> str:
    match = re.search(rf"^(?:{names})\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1).strip() if match else ""


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
