"""Sweeps over a target's options: what they ask for, what is kept, what is best."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.analysis.estimate import Estimate, LayerCost
from codesign.cli.output import result
from codesign.errors import (
    CodesignError,
    DataError,
    PassError,
    RefusedError,
    ResourceError,
    UnsupportedModelError,
    UsageError,
)
from codesign.points import Swept, keep, known
from codesign.progress import Progress, silent
from codesign.sweep import MOST, Estimator, made, pareto, points, swept
from tests.cli.running import Cli, refused
from tests.small import small_input

MODEL = "tests.small:small_program"


def test_ranges_double_and_bars_list() -> None:
    found = points("systolic{flow=8B/cycle}", "array=8x16..32x64,dataflow=ws|os")
    assert found[0] == "systolic{flow=8B/cycle,array=8x16,dataflow=ws}"
    assert [text.count("16x32") for text in found] == [0, 0, 1, 1, 0, 0]
    assert points("systolic", "glb=32KiB..128KiB")[-1] == "systolic{glb=128KiB}"

    folder = points("machine", "file=../a.toml|../b.toml")
    assert folder == ["machine{file=../a.toml}", "machine{file=../b.toml}"]
    assert points("systolic", "array=8x8|16x16..32x32")[-1] == "systolic{array=32x32}"
    assert points("cpu", "isa=generic", {"threads": 2}) == ["cpu{threads=2,isa=generic}"]


WRONG = {
    "foo=1..3": "unknown option of target systolic 'foo'; known: array, dataflow",
    "aray=8x8": "did you mean array",
    "array=8x8|8x8": "'8x8' is there twice",
    "array=8x8|": "a value is empty",
    "array=8x8,array=16x16": "option array is given in --sweep twice",
    "array=0x0..8x8": "is not reached from",
    f"array=1x1..{'9' * 6000}x1": "is not reached from",
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


def test_an_option_of_the_target_itself_is_not_swept() -> None:
    with pytest.raises(UsageError, match="option array is given in --sweep, and for the target"):
        points("systolic{array=8x8}", "array=16x16|32x32")
    with pytest.raises(UsageError, match=r"seconds=1\.0\} are the same target"):
        made(points("eyeriss", "seconds=1|1.0"))
    with pytest.raises(UsageError, match=r"cannot write target .* down: file"):
        points("a,b.toml", "objective=latency|energy")


def test_a_sweep_that_explodes_is_counted_and_refused() -> None:
    listed = "|".join(str(n) for n in range(MOST + 1))
    with pytest.raises(RefusedError, match=f"{MOST + 1} x 2 = {2 * MOST + 2} targets"):
        points("systolic", f"seconds={listed},dataflow=ws|os")


COSTS = Estimate((LayerCost("a", "conv", "k", 1, 2.0, 3.0, 0.5, "compute", 4.0),))


def fixed(target: object, progress: Progress) -> Estimate:
    return COSTS


def sweep(
    targets: list[str], records: Path | None, estimate: Estimator = fixed, of: str = "model"
) -> list[Swept]:
    return swept(made(targets), lambda one: f"{of} {one.spec}", estimate, records, silent)


SIZES = points("systolic", "array=8x8..32x32")


def test_an_interrupted_sweep_goes_on(tmp_path: Path) -> None:
    records, asked = tmp_path / "s.jsonl", []

    def stops(target: object, progress: Progress) -> Estimate:
        if records.exists() and records.read_text().count("\n") == 2:
            raise KeyboardInterrupt
        return COSTS

    def counts(target: object, progress: Progress) -> Estimate:
        asked.append(target)
        return COSTS

    with pytest.raises(KeyboardInterrupt):
        sweep(SIZES, records, stops)
    with records.open("a") as file:
        file.write('{"of": "model", "point": {"targ')  # as a kill -9 would leave it
    found = sweep(SIZES, records, counts)
    assert [one.target for one in found] == SIZES and len(asked) == 1
    assert sweep(SIZES, records, stops) == found
    sweep(SIZES, records, counts, "another model")
    assert len(asked) == 4
    assert len(known(records)) == 6


LINE = json.dumps({"of": "a", "point": Swept('x{y="\\\u00e9"}', 1.5e-7, None, 3.0).json()})


@given(st.integers(0, len(LINE) - 1), st.booleans(), st.booleans())
def test_any_part_of_a_line_is_cut_off(end: int, alone: bool, refused: bool) -> None:
    with TemporaryDirectory() as folder:
        path, line = Path(folder, "s.jsonl"), LINE
        if refused:
            line = json.dumps(
                {"of": "b", "point": Swept("x", 0.0, 1e22, refused="no \\ room").json()}
            )
        path.write_text(("" if alone else f"{LINE}\n") + line[: end % len(line)])
        assert len(known(path)) == (not alone)
        keep(path, "c", Swept("y"))
        assert list(known(path)) == ["c"] if alone else ["a", "c"]


def test_a_whole_line_without_its_end_is_a_point(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(LINE)
    keep(path, "b", Swept("y"))
    assert list(known(path)) == ["a", "b"]
    assert path.read_text().count("\n") == 2


POINT = Swept("cpu").json()
FOREIGN: dict[str, str | bytes] = {
    "notes": "precious notes without newline",
    "notes in lines": "some text\nmore\n",
    "another object": '{"a":1}',
    "another list": "[1, 2",
    "an empty line": "\n",
    "notes after points": f"{LINE}\nprecious",
    "notes between points": f"{LINE}\nprecious\n{LINE}\n",
    "a part in the middle": f"{LINE[:30]}\n{LINE}\n",
    "bytes": b"\x80\x81\n\xff",
    "bytes at the end": LINE.encode() + b"\n\x80",
    "bytes in a part": b'{"of": "\xff',
    "depth": "[" * 100_000 + "\n",
    "digits": "9" * 6000 + "\n",
    **{
        f"{key} as {value!r}": json.dumps({"of": "a", "point": {**POINT, key: value}}) + "\n"
        for key, value in [
            ("latency_ms", "abc"),
            ("latency_ms", None),
            ("latency_ms", float("nan")),
            ("latency_ms", -1.0),
            ("cycles", float("inf")),
            ("cycles", True),
            ("energy_uj", "1"),
            ("target", ["x"]),
            ("refused", 3),
            ("best", None),
            ("other", 1),
        ]
    },
    "no name": json.dumps({"of": 3, "point": POINT}) + "\n",
    "half a point": json.dumps({"of": "a", "point": {"target": "cpu"}}) + "\n",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_file_of_something_else_is_told_and_left_alone(what: str, tmp_path: Path) -> None:
    records, text = tmp_path / "s.jsonl", FOREIGN[what]
    records.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = records.read_bytes()
    with pytest.raises(DataError, match=r"line \d+ of .* is no point of a sweep"):
        sweep(["cpu"], records)
    assert records.read_bytes() == before


def test_what_becomes_of_the_file_meanwhile_is_left_alone_too(tmp_path: Path) -> None:
    records = tmp_path / "s.jsonl"

    def writes(target: object, progress: Progress) -> Estimate:
        records.write_text("precious")
        return COSTS

    with pytest.raises(DataError, match="no point of a sweep"):
        sweep(["cpu"], records, writes)
    assert records.read_text() == "precious"


def test_two_processes_keep_points_in_one_file(tmp_path: Path) -> None:
    records = tmp_path / "s.jsonl"
    writes = (
        "import sys; from pathlib import Path; from codesign.points import Swept, keep\n"
        "for n in range(60): keep(Path(sys.argv[1]), f'{sys.argv[2]} {n}', Swept('x' * 5000))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", writes, str(records), name]) for name in ("a", "b")
    ]
    assert [one.wait() for one in both] == [0, 0]
    assert set(known(records)) == {f"{name} {n}" for name in "ab" for n in range(60)}


def test_only_what_does_not_map_is_refused() -> None:
    def raises(error: Exception) -> Estimator:
        def estimate(target: object, progress: Progress) -> Estimate:
            raise error

        return estimate

    for refusal in (RefusedError("no room"), UnsupportedModelError("no kernel")):
        assert [one.refused for one in sweep(["cpu"], None, raises(refusal))] == [str(refusal)]
    for error in (ResourceError("no memory"), UsageError("no data"), PassError("broken")):
        with pytest.raises(type(error)):
            sweep(["cpu"], None, raises(error))
    infinite = LayerCost("a", "conv", "k", 1, float("inf"), 3.0, 0.5, "compute", 4.0)
    with pytest.raises(CodesignError, match="no finite number"):
        sweep(["cpu"], None, lambda target, progress: Estimate((infinite,)))


def test_progress_counts_points() -> None:
    told: list[tuple[str, float]] = []

    def says(target: object, progress: Progress) -> Estimate:
        progress("half of it", 0.5)
        return COSTS

    swept(made(SIZES), str, says, None, lambda text, done: told.append((text, done)))
    assert told[2] == (f"point 2 of 3: {SIZES[1]}", 1 / 3)
    assert told[3] == (f"point 2 of 3: {SIZES[1]}: half of it", 0.5)


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


BITFUSION = Path("targets/spatial/machines/bitfusion.toml")


def test_a_machine_file_is_swept(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bf.toml"
    path.write_text(BITFUSION.read_text())
    ask = ("estimate", MODEL, "-q", "--json", "--target", path)
    done = cli(*ask, "--sweep", "objective=latency|energy")
    assert [one["target"] for one in done.json["points"]] == [
        f"machine{{file={path},objective={aim}}}" for aim in ("latency", "energy")
    ]


def test_without_a_target_the_usual_one_is_swept(cli: Cli) -> None:
    done = cli("estimate", MODEL, "-q", "--json", "--sweep", "threads=1..2")
    assert [one["target"] for one in done.json["points"]] == ["cpu{threads=1}", "cpu{threads=2}"]
    refused(cli("estimate", MODEL, "-q", "--target", "", "--sweep", "a=1"), 2, "unknown target ''")


def test_points_do_not_outlive_what_they_depend_on(cli: Cli, tmp_path: Path) -> None:
    path, records, zeros = tmp_path / "m.toml", tmp_path / "s.jsonl", tmp_path / "c.npz"
    text = Path("targets/spatial/machines/eyeriss.toml").read_text()
    path.write_text(text)
    np.savez(zeros, x=small_input(2))
    kept = ("--calibration", zeros, "--sweep", "objective=latency", "-o", records)
    ask = ("estimate", MODEL, "-q", "--json", "--target", path, *kept)

    def point() -> dict[str, float]:
        found: dict[str, float] = cli(*ask).json["points"][0]
        return found

    first = point()
    assert point() == first and records.read_text().count("\n") == 1
    path.write_text(text.replace('"200 MHz"', '"100 MHz"'))
    slower = point()
    assert slower["latency_ms"] == pytest.approx(2 * first["latency_ms"])
    np.savez(zeros, x=np.zeros_like(small_input(2)))
    assert point()["energy_uj"] != slower["energy_uj"]
    assert records.read_text().count("\n") == 3


def test_what_is_wrong_is_told_before_the_first_point(cli: Cli, tmp_path: Path) -> None:
    notes, missing = tmp_path / "notes.txt", tmp_path / "none" / "s.jsonl"
    notes.write_text("precious notes without newline")
    ask = ("estimate", "no.such:model", "-q", "--target", "systolic", "--sweep", "array=8x8")
    refused(cli(*ask, "-o", notes), 2, "line 1 of", "no point of a sweep")
    assert notes.read_text() == "precious notes without newline"
    refused(cli(*ask, "-o", missing), 1, "cannot write", "no folder")
    for folder in ("/", "", tmp_path):
        refused(cli(*ask, "-o", folder), 1, "is a folder; give a file")
    files = ("--target", "machine", "--sweep", f"file={BITFUSION}|nofile.toml")
    refused(cli("estimate", "no.such:model", "-q", *files), 2, "nofile.toml cannot be read")


def test_json_has_no_numbers_that_are_none(cli: Cli) -> None:
    with pytest.raises(ValueError, match="JSON"):
        result({"a": float("nan")})


def test_python_runs_the_package() -> None:
    done = subprocess.run([sys.executable, "-m", "codesign", "--version"], capture_output=True)
    assert done.returncode == 0 and done.stdout.startswith(b"codesign ")
