"""Random points and trials."""

from hypothesis import strategies as st

from codesign.ir.program import Literal, Point
from codesign.tune.trial import STATUSES, Trial
from tests.tune.samples import DEVICE, FAR, OTHER, TASK

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TIMES = st.floats(min_value=1e-300, allow_infinity=False, allow_nan=False)


def literals() -> st.SearchStrategy[Literal]:
    numbers = (
        st.integers(1 - 2**63, 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.booleans()
    )
    return st.recursive(
        numbers | st.text(max_size=4), lambda x: st.lists(x, max_size=3).map(tuple), max_leaves=6
    )


def points() -> st.SearchStrategy[Point]:
    pairs = st.tuples(st.text(max_size=5), literals())
    return st.lists(pairs, max_size=4, unique_by=lambda pair: pair[0]).map(tuple)


@st.composite
def trials(draw: st.DrawFn) -> Trial:
    status = draw(st.sampled_from(STATUSES))
    low, seconds, high = sorted(draw(st.tuples(TIMES, TIMES, TIMES)))
    ok = status == "ok"
    return Trial(
        task=draw(st.sampled_from([TASK.key, OTHER.key])),
        device=draw(st.sampled_from([DEVICE.key, FAR.key])),
        kernel=draw(TEXTS),
        version=draw(TEXTS),
        point=draw(points()),
        status=status,
        seconds=seconds if ok else None,
        low=low if ok else None,
        high=high if ok else None,
        repeats=draw(st.integers(1, 2**63 - 1)),
        message=draw(st.text(max_size=20)),
        at=draw(st.datetimes()).isoformat(),
    )
