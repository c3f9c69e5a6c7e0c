"""Integer oracles in numpy for the 8-bit kernels, and how to run one kernel."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from hypothesis import assume
from hypothesis import strategies as st

from codesign.ir.fixedpoint import fixed_point
from codesign.runtime.amx import enable_amx
from codesign.targets.tvm.isa import ISAS, Isa
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.requantize import Scaling

Array = npt.NDArray[Any]


@cache
def runnable() -> tuple[str, ...]:
    """Names of the instruction sets that this CPU has and this process may use."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    flags = set(
        next((x for x in cpuinfo.splitlines() if x.startswith(("flags", "Feat"))), "").split()
    )
    arch = "x86_64" if "sse2" in flags else "aarch64"
    fits = [i for i in ISAS.values() if i.triple.startswith(arch) and flags >= set(i.requires)]
    return tuple(i.name for i in fits if i.dot != "amx" or enable_amx())


def call(func: object, isa: Isa, *arrays: Array) -> Array:
    """Compile, run, and return the last array as the kernel left it."""
    library = tvm.compile(tvm.IRModule({"kernel": func}), target=tvm.target.Target(isa.tvm_target))
    tensors = [tvm.runtime.tensor(a) for a in arrays]
    library["kernel"](*tensors)
    result: Array = tensors[-1].numpy()
    return result


def physical(codes: Array, seed: int = 0) -> Array:
    """[N, C, spatial...] channels last; garbage in the padding channels."""
    n, c, *spatial = codes.shape
    random = np.random.default_rng(seed)
    out = random.integers(0, 127, layout.activation(n, c, tuple(spatial))).astype(codes.dtype)
    out[:, 0, ..., :c] = np.moveaxis(codes, 1, -1)
    return out


def empty(shape: ConvShape, dtype: str = "uint8") -> Array:
    """A physical output full of a value that no test expects everywhere."""
    out = layout.activation(shape.n, shape.oc, shape.out_spatial)
    return np.full(out, 77).astype(dtype)


def logical(out: Array, channels: int) -> Array:
    """[N, C, spatial...] of a physical array."""
    return np.moveaxis(out[:, 0], -1, 1)[:, :channels]


def codes(random: np.random.Generator, shape: tuple[int, ...], extreme: bool) -> Array:
    """u8 codes; if `extreme`, only 0 and 255."""
    return (random.choice([0, 255], shape) if extreme else random.integers(0, 256, shape)).astype(
        "u1"
    )


def weights(random: np.random.Generator, shape: tuple[int, ...], extreme: bool) -> Array:
    """s8 weights; if `extreme`, only -128 and 127, and one channel of the former alone."""
    if not extreme:
        return random.integers(-128, 128, shape).astype("i1")
    values = random.choice([-128, 127], shape).astype("i1")
    values[0] = -128
    return values


def convolve(q: Array, w: Array, shape: ConvShape, zero: int) -> npt.NDArray[np.int64]:
    """Sums of q * w, taps outside the input reading `zero`."""
    padded = np.pad(q.astype(np.int64), ((0, 0), (0, 0), *shape.pads), constant_values=zero)
    out = np.zeros((shape.n, shape.oc, *shape.out_spatial), np.int64)
    for tap in np.ndindex(*shape.kernel):
        cut = [
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, s, o in zip(
                tap, shape.dilations, shape.strides, shape.out_spatial, strict=True
            )
        ]
        view, taps = padded[(slice(None), slice(None), *cut)], w[(..., *tap)].astype(np.int64)
        if shape.groups == 1:
            out += np.einsum("nc...,oc->no...", view, taps)
        else:
            out += view * taps.reshape(-1, *(1,) * len(tap))
    return out


def rescale(acc: npt.NDArray[np.int64], scaling: Scaling, other: Array | int = 0) -> Array:
    """The definition of requantization, on [N, C, ...]; `other` is (r - zr) * mr."""
    column = (-1, *(1,) * (acc.ndim - 2))
    bias, m, s = (
        np.broadcast_to(np.asarray(v, np.int64).reshape(-1), acc.shape[1]).reshape(column)
        for v in (scaling.bias, scaling.multiplier, scaling.shift)
    )
    shifted = ((acc + bias) * m + other + (np.int64(1) << (s - 1))) >> s
    clipped: Array = np.clip(shifted + scaling.zero, scaling.low, scaling.high)
    return clipped.astype(scaling.dtype)


def scalings(random: np.random.Generator, channels: int, reach: float) -> Scaling:
    """A scaling per channel that spreads sums of about `reach` over the codes."""
    fixed = fixed_point([random.uniform(0.2, 1.5, channels) * 100 / reach])
    (m,), s, zero = fixed.multipliers, fixed.shift, int(random.integers(0, 256))
    return Scaling(random.integers(-999, 999, channels), m, s, zero, 3, 250)


@st.composite
def convolutions(draw: st.DrawFn, most_ic: int = 40, most_oc: int = 70) -> ConvShape:
    """Odd shapes, strides, dilations and asymmetric pads, of one or two axes."""
    axes = draw(st.sampled_from([1, 2, 2, 2]))
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(axes))
    dilations = tuple(draw(st.sampled_from([1, 1, 2])) for _ in range(axes))
    pads = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes))
    spatial = tuple(
        draw(st.integers(max(1, (k - 1) * d + 1 - sum(p)), 14))
        for k, d, p in zip(kernel, dilations, pads, strict=True)
    )
    strides = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    ic, oc = draw(st.integers(1, most_ic)), draw(st.integers(1, most_oc))
    shape = ConvShape(draw(st.integers(1, 2)), ic, oc, spatial, kernel, strides, pads, dilations)
    assume(all(map(reaches, range(axes), [shape] * axes)))
    return shape


def reaches(axis: int, shape: ConvShape) -> bool:
    """Whether some window reads the input and not only its padding."""
    last = (shape.out_spatial[axis] - 1) * shape.strides[axis]
    reach = (shape.kernel[axis] - 1) * shape.dilations[axis]
    return last + reach >= shape.pads[axis][0]
