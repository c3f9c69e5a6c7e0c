"""Work in words."""

from codesign.tune.naming import ops_of, shape_of
from tests.tune.small_task import task


def test_the_words_of_a_signature() -> None:
    assert ops_of(task().work) == "conv+relu"
    assert shape_of(task().work) == task().shape == "16x16x3x3, 1x16x6x6 -> 1x16x6x6"
    assert shape_of(f"bare {task().work}") == task().shape


def test_encodings_are_named() -> None:
    work = (
        "k0: 8x4 f32 int<scale=8, zero=scalar zeros, axis=0>; k1: 8 f32; "
        "k2: 8x8 f32 bitmap<> int<width=4> density 0.1; x0: 1x4 f32 int<scale=scalar>; "
        "y0: 1x8 f32 = linear(x0, k0, k1){}; y1: 1x8 f32 = linear(y0, k2){}"
    )
    assert shape_of(work) == "8x4 int8, 8x8 bitmap int4, 1x4 int8 -> 1x8"
    assert ops_of(work) == "linear+linear"


def test_what_is_no_signature_has_no_shape() -> None:
    assert (shape_of("something else"), ops_of("something else")) == ("", "")
