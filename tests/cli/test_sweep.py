"""Sweeps over a target's options: what they ask for, what is kept, what is best."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.analysis.estimate import Estimate, LayerCost
from codesign.errors import DataError, RefusedError, UsageError
from codesign.sweep import MOST, Swept, pareto, points, swept
from tests.cli.running import Cli, refused

MODEL = "tests.small:small_program"


def test_ranges_double_and_bars_list() -> None:
    found = points("systolic{flow=8B/cycle}", "array=8x16..32x64,dataflow=ws|os")
    assert found[0] == "systolic{flow=8B/cycle,array=8x16,dataflow=ws}"
    assert [text.count("16x32") for text in found] == [0, 0, 1, 1, 0, 0]
    assert points("systolic", "glb=32KiB..128KiB")[-1] == "systolic{glb=128KiB}"


WRONG = {
    "": "empty",
    "array": "expected option=a..b",
    "array=8x8..30x30": "is not reached from '8x8'",
    "array=8x8..32": "is not reached from",
    "glb=ws..os": "is not reached from",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_sweep_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=WRONG[text]):
        points("systolic", text)


def test_a_sweep_that_explodes_is_counted_and_refused() -> None:
    listed = "|".join(str(n) for n in range(MOST + 1))
    with pytest.raises(RefusedError, match=f"{MOST + 1} x 2 = {2 * MOST + 2} targets"):
        points("systolic", f"seconds={listed},dataflow=ws|os")


def fixed(target: object) -> Estimate:
    return Estimate((LayerCost("a", "conv", "k", 1, 2.0, 3.0, 0.5, "compute", 4.0),))


def test_an_interrupted_sweep_goes_on(tmp_path: Path) -> None:
    records, targets = tmp_path / "s.jsonl", points("systolic", "array=8x8..32x32")

    def stops(target: object) -> Estimate:
        if records.exists() and records.read_text().count("\n") == 2:
            raise KeyboardInterrupt
        return fixed(target)

    with pytest.raises(KeyboardInterrupt):
        swept(targets, "model", stops, records, lambda text, done: None)
    with records.open("a") as file:
        file.write('{"of": "model", "point": {"targ')  # as a kill -9 would leave it
    asked = []

    def counts(target: object) -> Estimate:
        asked.append(target)
        return fixed(target)

    found = swept(targets, "model", counts, records, lambda text, done: None)
    assert [one.target for one in found] == targets and len(asked) == 1
    assert swept(targets, "model", stops, records, lambda text, done: None) == found
    swept(targets, "another model", counts, records, lambda text, done: None)
    assert len(asked) == 4


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    records = tmp_path / "s.jsonl"
    records.write_text("some text\nmore\n")
    with pytest.raises(DataError, match=r"line 1 of .* is no point of a sweep"):
        swept(["cpu"], "model", fixed, records, lambda text, done: None)


numbers = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(st.lists(numbers, min_size=1, max_size=8))
def test_the_best_are_those_that_none_beats(figures: list[tuple[int, int]]) -> None:
    found = pareto([Swept(str(i), float(a), float(b)) for i, (a, b) in enumerate(figures)])
    for one, (a, b) in zip(found, figures, strict=True):
        beaten = any((c <= a and d <= b) and (c, d) != (a, b) for c, d in figures)
        assert one.best == (not beaten)


def test_the_verb(cli: Cli, tmp_path: Path) -> None:
    records = tmp_path / "s.jsonl"
    asked = ("--sweep", "array=4x4..8x8,dataflow=ws|os", "-o", records)
    done = cli("estimate", MODEL, "--target", "systolic", *asked, "--json", "-q")
    assert done.code == 0, done.err
    found = done.json["points"]
    assert len(found) == 4 and any(one["best"] for one in found)
    assert all(one["cycles"] > 0 and one["energy_uj"] > 0 for one in found)
    assert records.read_text().count("\n") == 4
    table = cli("estimate", MODEL, "--target", "systolic", *asked, "-q")
    assert "array=8x8,dataflow=os" in table.out and "*" in table.out


def test_wrong_options_are_told(cli: Cli, tmp_path: Path) -> None:
    ask = ("estimate", MODEL, "-q", "--target", "systolic")
    refused(cli(*ask, "--sweep", "rows=4|8"), 2, "rows", "array")
    refused(cli(*ask, "--sweep", "array="), 2, "expected option=a..b")
    refused(cli(*ask, "-o", tmp_path / "s.jsonl"), 2, "--sweep")
