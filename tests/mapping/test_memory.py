from hypothesis import given
from hypothesis import strategies as st

from codesign.mapping.memory import ALIGNMENT, Life, arrange


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    found = []
    for number in range(draw(st.integers(0, 14))):
        first = draw(st.integers(-1, 10))
        found.append(
            Life(f"v{number}", draw(st.integers(0, 500)), first, first + draw(st.integers(0, 6)))
        )
    return found


@given(lives())
def test_what_lives_at_the_same_time_never_overlaps(found: list[Life]) -> None:
    offsets, size = arrange(found)
    assert set(offsets) == {life.name for life in found}
    for life in found:
        assert offsets[life.name] % ALIGNMENT == 0
        assert offsets[life.name] >= 0 and offsets[life.name] + life.size <= size
    for a in found:
        for b in found:
            if a is not b and a.meets(b) and a.size and b.size:
                low, high = sorted((a, b), key=lambda life: offsets[life.name])
                assert offsets[low.name] + low.size <= offsets[high.name]


@given(lives())
def test_the_arena_is_no_larger_than_all_and_no_smaller_than_the_fullest_step(
    found: list[Life],
) -> None:
    def rounded(life: Life) -> int:
        return -(-life.size // ALIGNMENT) * ALIGNMENT

    _, size = arrange(found)
    steps = {step for life in found for step in (life.first, life.last)}
    fullest = max(
        (sum(rounded(x) for x in found if x.first <= s <= x.last) for s in steps), default=0
    )
    assert fullest <= size <= sum(map(rounded, found))


def test_a_chain_needs_two_buffers() -> None:
    chain = [Life(f"v{i}", 640, i, i + 1) for i in range(20)]
    assert arrange(chain)[1] == 2 * 640


def test_the_order_of_equal_buffers_does_not_matter() -> None:
    some = [Life("a", 100, 0, 2), Life("b", 100, 1, 3), Life("c", 300, 3, 4)]
    assert arrange(some) == arrange(some[::-1])
