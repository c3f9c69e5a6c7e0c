"""Fixed-point multipliers: ranges, error bound, shared shifts, refusals."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from codesign.errors import VerificationError
from codesign.ir.fixedpoint import fixed_point

RATIOS = st.floats(0, float(1 << 29)) | st.floats(0, 1) | st.floats(0, 1e-9) | st.just(0.0)
ACCS = st.integers(-(1 << 30), 1 << 30)


@settings(deadline=None, max_examples=100)
@given(st.data(), st.integers(1, 2), st.integers(1, 5))
def test_bound_and_ranges(data: st.DataObject, terms: int, channels: int) -> None:
    ratios = [data.draw(hnp.arrays(np.float64, channels, elements=RATIOS)) for _ in range(terms)]
    accs = [data.draw(hnp.arrays(np.int64, channels, elements=ACCS)) for _ in range(terms)]
    found = fixed_point(ratios)
    assert found.shift.dtype == np.int32
    assert ((found.shift >= 1) & (found.shift <= 62)).all()
    for multiplier in found.multipliers:
        assert multiplier.dtype == np.int32
        assert (multiplier >= 0).all()
    got = found.apply(*accs)
    for c in range(channels):
        exact = sum(
            Fraction(float(ratio[c])) * int(acc[c]) for ratio, acc in zip(ratios, accs, strict=True)
        )
        size = sum(abs(int(acc[c])) for acc in accs)
        error = Fraction(size, 1 << (int(found.shift[c]) + 1))
        assert exact - error - Fraction(1, 2) <= int(got[c]) <= exact + error + Fraction(1, 2)


@settings(deadline=None, max_examples=60)
@given(st.floats(2.0**-32, 2.0**29), ACCS)
def test_single_terms_are_relatively_exact(ratio: float, acc: int) -> None:
    found = fixed_point([ratio])
    y = Fraction(int(found.multipliers[0]), 1 << int(found.shift)) * acc
    exact = Fraction(ratio) * acc
    assert abs(y - exact) <= abs(exact) * Fraction(1, 1 << 31)


def test_the_shift_is_the_largest_possible() -> None:
    found = fixed_point([np.array([1.0, 0.5, 0.75, 2.0**-31, 2.0**29, 1 - 2.0**-40])])
    assert found.shift.tolist() == [30, 31, 31, 61, 1, 30]
    assert found.multipliers[0].tolist()[:3] == [1 << 30, 1 << 30, 3 << 29]


def test_terms_share_a_shift_and_scalars_spread() -> None:
    found = fixed_point([np.array([0.5, 0.001]), 0.25])
    assert [m.shape for m in found.multipliers] == [(2,), (2,)]
    assert found.shift.tolist() == [31, 32]
    assert found.apply(np.array([[10, 1000]]), np.array([[2, 4]])).tolist() == [[6, 2]]


def test_rounding_is_half_up() -> None:
    halves = fixed_point([0.5])
    assert halves.apply(np.array([-3, -1, 1, 3])).tolist() == [-1, 0, 1, 2]


def test_extremes() -> None:
    zero = fixed_point([0.0])
    assert int(zero.multipliers[0]) == 0
    assert int(zero.apply(np.array(1 << 31))) == 0
    tiny = fixed_point([5e-324])
    assert int(tiny.multipliers[0]) == 0
    assert int(tiny.shift) == 62
    wide = fixed_point([1 - 2.0**-31, 1 - 2.0**-31])
    accs = np.array(-(1 << 30)), np.array(-(1 << 30))
    assert int(wide.apply(*accs)) == -(1 << 31) + 1


@pytest.mark.parametrize(
    "ratios",
    [
        [-1.0],
        [np.nan],
        [np.inf],
        [float(1 << 30)],
        [0.5, float(1 << 31)],
        [np.nextafter(float(1 << 30), 0)],
        [],
        [np.ones((2, 2))],
        [np.ones(2), np.ones(3)],
    ],
)
def test_refusals(ratios: list[np.ndarray | float]) -> None:
    with pytest.raises(VerificationError):
        fixed_point(ratios)
