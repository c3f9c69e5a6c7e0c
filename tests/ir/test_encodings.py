"""Every nest of encodings: round trips, exact sizes, refusals; single ones against oracles."""

from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from codesign.errors import VerificationError
from codesign.ir import encoding as enc
from codesign.ir.const import Const
from codesign.ir.dtype import DType
from codesign.ir.encodings import (
    ENCODINGS,
    NM,
    TT,
    Binary,
    Bitmap,
    Block,
    Codebook,
    Csr,
    Int,
    Minifloat,
    Pow2,
    Ternary,
    Tiled,
)
from codesign.ir.packing import pack, packed_size, unpack
from codesign.ir.types import TensorType
from tests.ir.encodings_strategies import SHAPES, encodings

FLOATS = st.floats(-1e4, 1e4, width=32)


@settings(deadline=None, max_examples=150)
@given(st.data(), SHAPES)
def test_stored_parts_have_the_promised_size(data: st.DataObject, shape: tuple[int, ...]) -> None:
    """What is stored, packed, plus the constants of the type, is exactly `stored_bits`."""
    nest = data.draw(encodings(shape))
    array = data.draw(hnp.arrays(np.float32, shape, elements=FLOATS))
    enc.check(nest, shape)
    parts = enc.encode(nest, array)
    widths = enc.part_widths(nest, 32)
    assert set(widths) == set(parts)
    total = sum(part.size * widths[name] for name, part in parts.items())
    constants = 0
    for e in nest:
        for name in ("scale", "table"):
            constants += getattr(e, name).array.size * 32 if hasattr(e, name) else 0
        constants += e.zero.array.size * e.width if isinstance(e, Int) else 0
    assert total + constants == enc.stored_bits(nest, shape, 32)
    for name, part in parts.items():
        if part.dtype.kind in "iu":
            packed = pack(part, widths[name])
            np.testing.assert_array_equal(
                unpack(packed, widths[name], part.shape, part.dtype), part
            )


@settings(deadline=None, max_examples=150)
@given(st.data(), SHAPES)
def test_projecting_twice_changes_nothing(data: st.DataObject, shape: tuple[int, ...]) -> None:
    nest = data.draw(encodings(shape))
    array = data.draw(hnp.arrays(np.float32, shape, elements=FLOATS))
    once = enc.project(nest, array)
    assert once.shape == shape
    assert once.dtype == np.float32
    if any(isinstance(e, TT) for e in nest):
        if len(nest) == 1:  # a train of given ranks is found again, up to rounding
            size = np.abs(once).max(initial=0)
            np.testing.assert_allclose(enc.project(nest, once), once, atol=size * 1e-5, rtol=0)
    else:
        assert np.isfinite(once).all()
        np.testing.assert_array_equal(enc.project(nest, once), once)


def nearest(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Distance of each x to the nearest of `values`."""
    distance: np.ndarray = np.abs(values[:, None] - x.astype(np.float64))
    least: np.ndarray = distance.min(axis=0)
    return least


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(np.float32, 20, elements=st.floats(-300, 300, width=32)),
    st.sampled_from(
        [
            Pow2(-3, 4),
            Pow2(-3, 4, zero=False),
            Pow2(-2, 1, signed=False),
            Codebook(Const([0.0, 2.0, -1.0, 7.5, 2.0], "float32")),
            Ternary(Const(3.0, "float32"), Const(1.5, "float32")),
            Binary(Const(2.0, "float32")),
            Minifloat(2, 1, "none"),
            Int(4, Const(0.5, "float32"), Const(3, "int32")),
        ]
    ),
)
def test_elements_go_to_the_nearest_value(x: np.ndarray, element: enc.Encoding) -> None:
    width = element.widths(32)["values"]
    signed = element.encode(x)["values"].dtype.kind == "i"
    low = -(1 << (width - 1)) if signed else 0
    codes = np.arange(low, low + (1 << width))
    if isinstance(element, Codebook):
        codes = codes[: element.table.array.size]
    if isinstance(element, Ternary):
        codes = codes[codes >= -1]
    if isinstance(element, Pow2) and element.zero:
        codes = codes[np.abs(codes) <= element.high - element.low + 1]
    values = element.decode({"values": codes}, codes.shape).astype(np.float64)
    got = enc.project((element,), x)
    np.testing.assert_allclose(np.abs(got - x.astype(np.float64)), nearest(values, x), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "exponent", "mantissa", "special"),
    [
        ("float8_e4m3fn", 4, 3, "nan"),
        ("float8_e5m2", 5, 2, "inf"),
        ("float8_e4m3", 4, 3, "inf"),
        ("float8_e3m4", 3, 4, "inf"),
        ("float6_e3m2fn", 3, 2, "none"),
        ("float6_e2m3fn", 2, 3, "none"),
        ("float4_e2m1fn", 2, 1, "none"),
        ("bfloat16", 8, 7, "inf"),
        ("float16", 5, 10, "inf"),
    ],
)
def test_minifloats_agree_with_ml_dtypes(
    name: str, exponent: int, mantissa: int, special: str
) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    element = Minifloat(exponent, mantissa, special)  # type: ignore[arg-type]
    info = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    assert element.largest == float(info.max)
    random = np.random.default_rng(0)
    x = random.normal(size=4000).astype(np.float32) * np.exp2(random.integers(-20, 20, 4000))
    grid = np.arange(1 << (element.width - 1)).astype(np.uint16)
    values = element.decode({"values": grid[: element.top + 1]}, (element.top + 1,))
    middles = values[1:] / 2 + values[:-1] / 2  # ties, which go to even codes
    x = np.clip(np.concatenate([x, values, middles]), -element.largest, element.largest)
    x = x.astype(np.float32)
    np.testing.assert_array_equal(enc.project((element,), x), x.astype(dtype).astype(np.float32))
    codes = element.encode(x)["values"]
    bytes_ = x.astype(dtype).view(np.uint8 if element.width <= 8 else np.uint16)
    positive = x > 0
    np.testing.assert_array_equal(codes[positive], bytes_[positive])


def test_minifloats_saturate() -> None:
    x = np.array([np.inf, -np.inf, 1e30, -0.0, 1e-30], np.float32)
    np.testing.assert_array_equal(enc.project((Minifloat(),), x), [448, -448, 448, 0, 0])
    assert Minifloat().encode(x)["values"][3] == 0
    assert Minifloat(5, 2, "inf").largest == 57344
    halved = Minifloat(2, 1, "none", Const(0.5, "float32"))
    assert enc.project((halved,), x)[0] == 3.0


def test_infinities_saturate_in_every_element() -> None:
    x = np.array([np.inf, -np.inf], np.float32)
    for element in (Int(4), Ternary(), Binary(), Codebook(), Pow2(), Pow2(zero=False)):
        once = enc.project((element,), x)
        assert once[0] == np.max(once)
        assert np.isfinite(once).all()


def test_widths() -> None:
    assert [Pow2(0, high).width for high in (0, 1, 2, 6, 7)] == [2, 3, 3, 4, 5]
    assert [Pow2(0, high, zero=False).width for high in (0, 1, 3, 7)] == [1, 2, 3, 4]
    assert [Pow2(0, high, signed=False).width for high in (0, 2, 6, 7)] == [1, 2, 3, 4]
    tables = [np.arange(count, dtype=np.float32) for count in (2, 3, 4, 5, 256, 257)]
    assert [Codebook(Const(table)).width for table in tables] == [1, 2, 2, 3, 8, 9]
    assert [NM(1, m).position_bits for m in (1, 2, 3, 4, 5, 8, 16)] == [1, 1, 2, 2, 3, 3, 4]


def test_bits_by_hand() -> None:
    shape = (8, 4, 3, 3)
    assert enc.stored_bits((), shape, 32) == 8 * 36 * 32
    assert enc.stored_bits((Binary(),), shape, 32) == 8 * 36 + 32
    assert enc.stored_bits((Csr(50, 8), Int(8)), shape, 32) == 50 * 16 + 9 * 32 + 32 + 8
    assert enc.stored_bits((Bitmap(50), Int(4)), shape, 32) == 50 * 4 + 288 + 32 + 4
    assert enc.stored_bits((Block((4, 4), 5), Int(8)), shape, 32) == 5 * (128 + 16) + 96 + 40
    assert enc.stored_bits((NM(2, 4), Int(8)), shape, 32) == 8 * 9 * 2 * (8 + 2) + 40
    scales = Const(np.ones(8, np.float32))
    assert enc.stored_bits((Int(8, scales, axis=0),), shape, 32) == 288 * 8 + 8 * 32 + 8
    assert enc.stored_bits((Tiled(1, 16), Int(8)), shape, 32) == 8 * 16 * 9 * 8 + 40
    train = TT(((8, 1), (1, 4), (1, 9)), (3, 2))
    assert enc.stored_bits((train, Int(8)), shape, 32) == (8 * 3 + 3 * 4 * 2 + 2 * 9) * 8 + 40


@pytest.mark.parametrize(
    "nest",
    [
        (Int(8), NM()),
        (Int(8), Int(4)),
        (Csr(1), Bitmap(1)),
        (Tiled(), NM()),
        (Tiled(), TT(((4, 8),))),
        (NM(), Int(8, zero=Const(3, "int32"))),
        (NM(), Binary()),
        (Bitmap(3), Codebook(Const([1.0, 0.0], "float32"))),
        (Bitmap(3), Pow2(zero=False)),
        (Int(0),),
        (Int(17),),
        (Int(8, Const(0.0, "float32")),),
        (Int(8, Const(1.0, "float64")),),
        (Int(8, zero=Const(0.5, "float32")),),
        (Int(8, Const([1.0, 2.0], "float32"), axis=0),),
        (Int(8, axis=2),),
        (Int(8, zero=Const(128, "int32")),),
        (Ternary(threshold=Const(1.0, "float32")),),
        (Ternary(threshold=Const(-0.1, "float32")),),
        (Ternary(threshold=Const(np.nan, "float32")),),
        (Binary(Const(np.inf, "float32")),),
        (Codebook(Const([1.0], "float32")),),
        (Codebook(Const([[1.0, 2.0]], "float32")),),
        (Codebook(Const([1.0, np.nan], "float32")),),
        (Codebook(Const([1, 2], "int32")),),
        (Pow2(1, 0),),
        (Pow2(-127, 0),),
        (Minifloat(1, 2),),
        (Minifloat(8, 8),),
        (Minifloat(5, 11),),
        (Csr(33),),
        (Csr(-1),),
        (Csr(1, 2),),
        (Csr(1, 33),),
        (Bitmap(33),),
        (Block((0, 4)),),
        (Block((4, 4), 3),),
        (Block((1, 1), 3, 2),),
        (NM(3, 2),),
        (NM(0, 2),),
        (NM(1, 257),),
        (NM(axis=2),),
        (Tiled(2, 4),),
        (Tiled(0, 0),),
        (TT(((4, 4),)),),
        (TT(()),),
        (TT(((4, 1), (1, 8))),),
        (TT(((4, 1), (1, 8)), (5,)),),
        (TT(((4, 1), (1, 8)), (0,)),),
        (TT(((4, 8),)), Int(8, Const(np.ones(4, np.float32)), axis=0)),
    ],
)
def test_what_is_refused(nest: enc.Encodings) -> None:
    with pytest.raises(VerificationError):
        enc.check(nest, (4, 8))


def test_only_a_layout_fits_what_is_no_float() -> None:
    TensorType((2, 3), DType.BOOL, (Tiled(1, 16),)).check()
    with pytest.raises(VerificationError, match="only float tensors are encoded, not bool"):
        TensorType((2, 3), DType.BOOL, (Int(),)).check()


def test_nan_is_refused() -> None:
    with pytest.raises(VerificationError, match="NaN"):
        enc.encode((Int(),), np.array([np.nan], np.float32))
    with pytest.raises(VerificationError, match="not finite"):
        enc.encode((TT(),), np.array([[np.inf]], np.float32))


def test_kinds_are_named_after_themselves() -> None:
    assert list(ENCODINGS) == sorted(ENCODINGS)
    for kind, cls in ENCODINGS.items():
        assert cls.kind == kind
        assert cls() == cls()
        assert 0 <= cls().positional <= len(cls.__dataclass_fields__)


def test_orders_of_magnitude_of_codes() -> None:
    """More bits never lose more: int, minifloat mantissas, codebooks of a grid."""
    x = np.random.default_rng(5).normal(size=1000).astype(np.float32)
    peak = float(np.abs(x).max())
    errors = []
    for width in range(2, 13):
        scale = Const(peak / ((1 << (width - 1)) - 1), "float32")
        errors.append(np.abs(enc.project((Int(width, scale),), x) - x).mean())
    assert all(after < before for before, after in pairwise(errors))
    assert packed_size(1000, 3) == 375
