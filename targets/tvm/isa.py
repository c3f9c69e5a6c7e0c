"""What the CPU kernels must know about an instruction set: vector width, registers, integer dots.

Kernels choose instructions from the `Isa` of the *target*, never from the machine that builds.
Figures are from the vendors' public instruction-set manuals.
"""

from dataclasses import dataclass
from typing import Literal

from codesign.errors import UnknownNameError
from codesign.runtime.host import architecture

Dot = Literal["none", "vnni", "amx", "sdot"]


@dataclass(frozen=True)
class Isa:
    """One instruction set. `vector_bits` is the width of a register, `registers` their number.

    `dot` names the 8-bit integer dot product: `vnni` (u8 x s8, 4 deep), `sdot` (s8 x s8, 4 deep),
    `amx` (VNNI plus 16x64-byte tiles), `none` (widen to 16 bits and multiply-add).
    `popcount` says that one instruction counts the bits of each 64-bit lane of a vector.
    `requires` are the CPU features (as spelled in /proc/cpuinfo) without which code built for it
    must not be opened. An empty `triple` is the machine that compiles.
    """

    name: str
    triple: str
    mcpu: str
    mattr: tuple[str, ...]
    vector_bits: int
    registers: int
    dot: Dot
    requires: tuple[str, ...]
    popcount: bool = False

    @property
    def architecture(self) -> str:
        """The machine it is for, as in `codesign.runtime.host`: that of the triple, or any."""
        return self.triple.partition("-")[0] or architecture()

    @property
    def f32_lanes(self) -> int:
        """Number of 32-bit lanes in one vector register."""
        return self.vector_bits // 32

    @property
    def tvm_target(self) -> dict[str, object]:
        """The TVM target of this instruction set as the JSON object that TVM takes."""
        target: dict[str, object] = {"kind": "llvm"}
        if self.triple:
            target |= {"mtriple": self.triple, "mcpu": self.mcpu}
        if self.mattr:
            target["mattr"] = list(self.mattr)
        return target


_X86 = "x86_64-unknown-linux-gnu"
_ARM = "aarch64-unknown-linux-gnu"
_AVX2 = ("avx2", "fma", "f16c", "bmi2")
_AVX512 = (*_AVX2, "avx512f", "avx512bw", "avx512dq", "avx512vl")
_VNNI = (*_AVX512, "avx512_vnni")
_POPCOUNT = ("avx512_vpopcntdq", "avx512_bitalg")

ISAS: dict[str, Isa] = {
    isa.name: isa
    for isa in (
        Isa(
            "avx512-amx",
            _X86,
            "sapphirerapids",
            ("-prefer-256-bit",),
            512,
            32,
            "amx",
            (*_VNNI, *_POPCOUNT, "avx512vbmi", "amx_int8", "amx_tile"),
            True,
        ),
        Isa(
            "avx512-popcnt",
            _X86,
            "icelake-server",
            ("-prefer-256-bit",),
            512,
            32,
            "vnni",
            (*_VNNI, *_POPCOUNT, "avx512vbmi"),
            True,
        ),
        Isa("avx512-vnni", _X86, "cascadelake", ("-prefer-256-bit",), 512, 32, "vnni", _VNNI),
        Isa("avx512", _X86, "skylake-avx512", ("-prefer-256-bit",), 512, 32, "none", _AVX512),
        Isa("avx2", _X86, "haswell", (), 256, 16, "none", _AVX2),
        Isa("x86", _X86, "x86-64-v2", (), 128, 16, "none", ("sse4_2", "ssse3")),
        Isa("arm-dot", _ARM, "neoverse-n1", ("+dotprod",), 128, 32, "sdot", ("asimd", "asimddp")),
        # LLVM for "generic" gets some 8-bit convolutions wrong (24 sums in registers)
        Isa("arm", _ARM, "cortex-a72", ("+neon",), 128, 32, "none", ("asimd",)),
        Isa("generic", "", "", (), 128, 16, "none", ()),
    )
}


def isa(name: str) -> Isa:
    """Return the instruction set called `name`; UnknownNameError lists the known ones."""
    if name not in ISAS:
        raise UnknownNameError("instruction set", name, ISAS)
    return ISAS[name]
