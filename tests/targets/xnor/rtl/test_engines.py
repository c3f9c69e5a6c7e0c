"""Engines one by one: what they compute, and the cycle of every word that comes and leaves."""

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("amaranth")

from codesign.targets.xnor.compute import pooled, windows
from codesign.targets.xnor.engine import Map, Pool, Reduce, Stream, Table, Width, Window
from codesign.targets.xnor.rtl.form import Form
from codesign.targets.xnor.rtl.merge import Order
from tests.targets.xnor.rtl.single import IMAGES, alone

QUICK = settings(deadline=None, max_examples=10, phases=[Phase.explicit, Phase.generate])
PACES = st.tuples(st.integers(1, 3), st.integers(1, 3))


def codes(shape: tuple[int, ...], bits: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << bits, shape)


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)), st.integers(1, 3), st.integers(1, 3),
    st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.integers(0, 3), st.booleans(),
    PACES,
)  # fmt: skip
@QUICK
def test_sliding_windows(
    size: tuple[int, int],
    kernel: int,
    stride: int,
    chunks: int,
    pad: int,
    dilation: int,
    spare: int,
    blocks: bool,
    paces: tuple[int, int],
) -> None:
    pads = ((pad, pad), (pad, 0))
    engine = Window(
        "e", (), (), Map(2 * chunks, *size), (kernel, kernel), (stride, 1), pads,
        (dilation, dilation), 2, 3, spare,
    )  # fmt: skip
    assume(min(engine.out) > 0)
    masked = 2 if pad else 0
    streams = (
        Stream("a", engine.written * 2, 2, 3),
        Stream("b", engine.read * 2, 2, 3, masked, depth=3),
    )
    x = codes((IMAGES, engine.written, 2), 3)
    want, padding = windows(engine, x)
    found = alone(engine, streams, x, None, blocks, paces).reshape(want.shape)
    np.testing.assert_array_equal(found[:, ~padding], want[:, ~padding])


@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)), st.integers(1, 2), st.integers(1, 3),
    st.integers(1, 3), st.booleans(), st.integers(0, 9), PACES,
)  # fmt: skip
@QUICK
def test_pools(
    size: tuple[int, int],
    kernel: tuple[int, int],
    lanes: int,
    chunks: int,
    bits: int,
    blocks: bool,
    seed: int,
    paces: tuple[int, int],
) -> None:
    engine = Pool("e", (), (), Map(lanes * chunks, *size), kernel, lanes, bits)
    assume(min(engine.out) > 0)
    falling = codes((lanes * chunks,), 1, seed).astype(bool)
    x = codes((IMAGES, engine.map.pixels, lanes * chunks), bits, seed)
    want = pooled(engine, x, falling)
    streams = (
        Stream("a", engine.map.count, lanes, bits),
        Stream("b", want[0].size, lanes, bits),
    )
    order = Order(Form(bits, False), tuple(bool(f) for f in falling))
    found = alone(engine, streams, x, order, blocks, paces)
    np.testing.assert_array_equal(found, want.ravel())


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.booleans(), PACES)
@QUICK
def test_maxima_of_windows(
    taps: int, chunks: int, windows_: int, blocks: bool, paces: tuple[int, int]
) -> None:
    engine = Reduce("e", (), (), "max", windows_, taps, chunks, 2, 3)
    x = codes((IMAGES, windows_, taps, chunks, 2), 3)
    streams = (Stream("a", engine.words * 2, 2, 3), Stream("b", windows_ * chunks * 2, 2, 3))
    order = Order(Form(3, True), (False,))
    found = alone(engine, streams, x, order, blocks, paces).reshape(IMAGES, windows_, chunks, 2)
    signed = np.where(x > 3, x - 8, x).max(axis=2)
    np.testing.assert_array_equal(found, signed & 7)


@given(st.integers(1, 3), st.integers(2, 4), st.booleans(), st.integers(1, 4), PACES)
@QUICK
def test_words_are_joined_and_cut(
    narrow: int, ratio: int, up: bool, words: int, paces: tuple[int, int]
) -> None:
    wide = narrow * ratio
    engine = Width("e", (), (), narrow, wide, up, words * ratio, 2)
    small, large = (Stream(n, words * wide, k, 2) for n, k in (("a", narrow), ("b", wide)))
    x = codes((IMAGES, words * wide), 2)
    found = alone(engine, (small, large) if up else (large, small), x, paces=paces)
    np.testing.assert_array_equal(found, x.ravel())


def test_tables_by_channel_and_for_all() -> None:
    for keys in (1, 4):
        tables = (codes((keys, 8), 2), codes((keys, 8), 5, 1))
        engine = Table("e", (), (), 6, 2, 3, (5,), keys)
        x = codes((IMAGES, 3, 4), 3)
        streams = (Stream("a", 12, 2, 3), Stream("b", 12, 2, 5, depth=3))
        found = alone(engine, streams, x, (tables[1],)).reshape(x.shape)
        channel = np.arange(4) if keys > 1 else np.zeros(4, int)
        np.testing.assert_array_equal(found, tables[1][channel, x])
