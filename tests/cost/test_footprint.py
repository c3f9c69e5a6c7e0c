"""Elements along an axis: closed forms against counting them."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.cost.footprint import axis_largest, axis_volume
from codesign.cost.problem import Follow, Problem


@st.composite
def windows(draw: st.DrawFn) -> tuple[Follow, Problem, dict[str, int], dict[str, int]]:
    number = st.integers
    loops = draw(st.sampled_from(["y", "yr", "ry", "yrs"]))
    terms = tuple((loop, draw(st.sampled_from([1, 1, 2, 3]))) for loop in loops)
    axis = Follow(terms, draw(number(-3, 1)), draw(number(1, 25)))
    bounds = tuple((loop, draw(number(1, 8))) for loop in loops)
    extents = {loop: draw(number(1, bound)) for loop, bound in bounds}
    slides = draw(st.sampled_from(loops))
    spans = {slides: extents[slides] * draw(number(1, 4))}
    return axis, Problem(bounds, (axis,), (), ()), extents, spans


@settings(deadline=None, max_examples=300)
@given(windows())
def test_agrees_with_counting(
    case: tuple[Follow, Problem, dict[str, int], dict[str, int]],
) -> None:
    axis, problem, extents, spans = case
    (slides, span), total, kept, most = next(iter(spans.items())), 0, 0, 0
    loops = [loop for loop, _ in problem.bounds]
    others = [loop for loop in loops if loop != slides]

    def met(starts: dict[str, int]) -> set[int]:
        ranges = [range(starts[x], min(starts[x] + extents[x], problem.bound(x))) for x in loops]
        points = (dict(zip(loops, point, strict=True)) for point in product(*ranges))
        found = {axis.offset + sum(c * point[x] for x, c in axis.terms) for point in points}
        return {value for value in found if 0 <= value < axis.extent}

    for around in product(*(range(0, problem.bound(x), extents[x]) for x in others)):
        before: set[int] = set()
        for start in range(0, problem.bound(slides), extents[slides]):
            here = met({**dict(zip(others, around, strict=True)), slides: start})
            kept += len(here - before if start % span else here)
            total, most, before = total + len(here), max(most, len(here)), here
    assert axis_volume(problem, axis, extents, {}) == total
    assert axis_largest(problem, axis, extents, {}) == most
    assert axis_volume(problem, axis, extents, spans) == (kept if span > extents[slides] else total)
