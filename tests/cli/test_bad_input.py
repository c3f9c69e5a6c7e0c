"""What bad input gets: what, where, what would help, the exit code, and no half-written folder."""

from pathlib import Path

import numpy as np
import pytest

from tests.cli.running import Cli, refused
from tests.small import small_input

MODEL = "tests.small:small_program"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--passes", "fold-constant"), ("unknown pass", "did you mean fold-constants")),
        (("--passes", "dead-code{fast=true}"), ("option of pass dead-code", "fast")),
        (("--passes", "fold-constants{max_elements=few}"), ("'few'", "expected int")),
        (("--passes", "fold-constants{max_elements=0}"), ("max_elements is 0", "expected >= 1")),
        (("--passes", "a{x=1"), ("braces do not match",)),
        (("--target", "gpu9"), ("unknown target 'gpu9'", "cpu")),
        (("--target", "cpu{thread=2}"), ("did you mean threads",)),
        (("--target", "cpu{isa=avx1024}"), ("unknown instruction set", "avx")),
        (("--recipe", "defualt"), ("unknown recipe", "did you mean default")),
        (("--recipe", "missing.yaml"), ("cannot read recipe missing.yaml",)),
        (("--recipe", "default", "--passes", "place"), ("both --recipe and --passes",)),
        (("--set", "sede=1"), ("did you mean seed",)),
        (("--set", "seed"), ("no KEY=VALUE",)),
        *(
            (("--set", f"seed={value}"), ("--set: seed is", "expected an integer"))
            for value in ("x", "", "1.5", "1e400", "true", "-1")
        ),
        (("--set", "target=3"), ("--set: target is 3", "a name such as cpu")),
        (("--set", "place.x=1"), ("--set place.x=1", "option of pass place 'x'; there are none")),
        (("--target", f"cpu{{threads={10**22}}}"), ("threads is 1", "expected 1 to 1024")),
        (("--threads", "1025"), ("--threads",)),
        (("--target", ""), ("unknown target ''",)),
        (("--recipe", ""), ("unknown recipe ''",)),
        (("--target", "cpu{isa=generic,isa=host}"), ("option isa is given twice",)),
        (("--passes", "fold-constants{max_elements=1,max-elements=2}"), ("given twice",)),
        (("--input-shape", "x=1", "--input-shape", "x=2"), ("gives input 'x' twice",)),
        (("--input-shape", "x=1,3"), ("cannot be changed",)),
        (("--input-shape", "x"), ("is no NAME=1,3,224,224",)),
        (("--calibration", "missing.npz"), ("calibration missing.npz is not there",)),
        (("--calibration", "tests"), ("calibration tests is a folder",)),
        (("--measure", "some"), ("unknown value of --measure", "ends")),
    ],
)
def test_wrong_options_exit_2(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(cli("compile", MODEL, "-o", tmp_path / "out", *arguments), 2, *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("passes: [dead-code]\nsede: 3\n", ("unknown key 'sede'", "did you mean seed")),
        ("passes: dead-code\n", ("passes is 'dead-code'", "expected a list")),
        ("passes:\n  - {a: {}, b: {}}\n", ("is no pass",)),
        ("passes:\n  - prune-magnitude: {sparsty: 0.5}\n", ("did you mean sparsity",)),
        ("passes: [\n", ("is no YAML",)),
        ("- dead-code\n", ("holds no keys",)),
        ("passes: []\nseed: soon\n", ("seed is 'soon'", "integer")),
        ("passes: []\ntarget: 3\n", ("target is 3",)),
        ("passes: []\nseed: true\n", ("seed is True", "integer")),
        ("passes: []\nseed: -1\n", ("seed is -1", "integer")),
        ("passes: [place]\npasses: [layout]\n", ("key 'passes' is there twice",)),
        ("passes: " + "[" * 5000, ("is nested too deep",)),
        ("passes: &p [*p]\n", ("is no pass",)),
        ("passes: !!python/object/apply:os.system [ls]\n", ("is no YAML", "line 1")),
        ("passes: [fold-constant]\n", ("unknown pass", "did you mean fold-constants")),
        ("passes: ['a{x=1']\n", ("does not end in",)),
        ("passes:\n  - fold-constants: {max_elements: few}\n", ("'few', expected int",)),
        ("passes:\n  - place: {x: 1}\n", ("unknown option of pass place 'x'; there are none",)),
        ("target: cpu9\n", ("unknown target 'cpu9'",)),
    ],
)
def test_wrong_recipes_exit_2_naming_the_file(
    cli: Cli, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    recipe = tmp_path / "my.yaml"
    recipe.write_text(text)
    done = cli("compile", MODEL, "-o", tmp_path / "out", "--recipe", recipe)
    refused(done, 2, f"recipe {recipe}", *words)
    assert [path.name for path in tmp_path.iterdir()] == ["my.yaml"]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": small_input(4)}, ("unknown input 'y'", "known: x")),
        ({"x": small_input(4)[:, :2]}, ("shape [4, 2, 8, 8]", "[1, 3, 8, 8]", "samples")),
        ({"x": small_input(4)[0, 0, 0, 0]}, ("shape []",)),
        ({"labels": np.arange(4)}, ("input 'x' is missing",)),
        ({"x": small_input(4), "labels": np.arange(3)}, ("labels are int64[3]", "4 samples")),
        ({"x": small_input(4), "labels": np.ones(4)}, ("labels are float64[4]",)),
        ({"x": np.full((2, 3, 8, 8), np.nan, np.float32)}, ("not finite",)),
        ({"x": np.full((2, 3, 8, 8), 1e300)}, ("too large for float32",)),
        ({"x": small_input(4), "labels": np.full(4, -5)}, ("label is -5", "from 0 on")),
        ({"x": np.ones((2, 3, 8, 8), complex)}, ("complex128", "float32")),
        ({"x": np.ones((0, 3, 8, 8), np.float32)}, ("at least 1",)),
    ],
)
@pytest.mark.parametrize("option", ["--calibration", "--validation"])
def test_data_that_does_not_match_exits_2_naming_the_file(
    cli: Cli, tmp_path: Path, option: str, arrays: dict[str, np.ndarray], words: tuple[str, ...]
) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    done = cli("compile", MODEL, "-o", tmp_path / "out", option, path)
    refused(done, 2, "data.npz", *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 truncated"])
def test_data_that_is_no_npz_exits_2(cli: Cli, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    done = cli("compile", MODEL, "-o", tmp_path / "out", "--calibration", path)
    refused(done, 2, "data.npz is no .npz file")
    assert ("truncated or damaged" in done.err) == content.startswith(b"PK")


def test_a_single_array_or_a_text_as_input_is_told_what_to_give(
    cli: Cli, artifact: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", small_input())
    done = cli("run", artifact, "--input", tmp_path / "x.npy")
    refused(done, 2, "a single array (.npy)", "numpy.savez(file, NAME=array)")
    (tmp_path / "x.txt").write_text("1 2 3")
    done = cli("run", artifact, "--input", tmp_path / "x.txt")
    refused(done, 2, "but something else", "numpy.savez")
    assert "allow_pickle" not in done.err


def test_a_users_function_that_fails_is_blamed_itself(cli: Cli) -> None:
    refused(
        cli("show", "tests.small:broken_model"), 2,
        "tests.small:broken_model failed: RuntimeError: boom",
    )  # fmt: skip
    assert "boom" in cli("show", "tests.small:broken_model", "-v").err


def test_remarks_about_the_model_are_told_unless_quiet(cli: Cli) -> None:
    told = cli("show", "tests.small:training_model")
    assert told.code == 0 and "warning: Sequential is in training mode" in told.err
    assert "site-packages" not in told.err and ".py:" not in told.err
    assert "warning" not in cli("show", "tests.small:training_model", "-q").err


def test_a_pickle_inside_an_npz_is_not_loaded(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    done = cli("compile", MODEL, "-o", tmp_path / "out", "--calibration", path)
    refused(done, 2, "data.npz is no .npz file")


def test_a_pass_that_needs_calibration_says_so(cli: Cli, tmp_path: Path) -> None:
    done = cli("compile", MODEL, "-o", tmp_path / "out", "--passes", "quantize-int8", "-q")
    refused(done, 2, "needs calibration data", "--calibration")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("missing.onnx", ("no model file missing.onnx",)),
        ("missing.pt2", ("no model file missing.pt2",)),
        ("pyproject.toml", ("is no model that can be read", "an .onnx file")),
        ("no.such.module:f", ("cannot find f in module no.such.module",)),
        ("tests.small:MISSING", ("cannot find MISSING",)),
    ],
)
def test_models_that_are_none_exit_2(
    cli: Cli, tmp_path: Path, model: str, words: tuple[str, ...]
) -> None:
    refused(cli("compile", model, "-o", tmp_path / "out"), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_damaged_artifact_exits_1(cli: Cli, artifact: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(artifact, tmp_path / "copy"))
    (copy / "program.txt").write_text("changed")
    for verb in ("bench", "explain", "show"):
        refused(cli(verb, copy), 1, "program.txt is damaged")


def test_run_with_wrong_input_exits_2_and_writes_nothing(
    cli: Cli, artifact: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "in.npz", y=small_input())
    out = tmp_path / "out.npz"
    refused(cli("run", artifact, "--input", tmp_path / "in.npz", "-o", out), 2, "unknown input 'y'")
    assert not out.exists()
    refused(cli("run", tmp_path / "none", "--input", tmp_path / "in.npz"), 2, "does not exist")


def test_errors_are_json_too_when_that_was_asked_for(cli: Cli) -> None:
    done = cli("estimate", "missing.onnx", "--json")
    assert done.code == 2
    assert done.json["error"]["kind"] == "UsageError"
    assert "missing.onnx" in done.json["error"]["message"]


@pytest.mark.parametrize(
    "arguments",
    [(), ("compile",), ("complie", "x"), ("bench", "x", "--threads", "0"), ("run", "x", "--no")],
)
def test_wrong_usage_exits_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments).code == 2


def test_what_nobody_expected_is_one_paragraph_and_a_hint(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    import codesign.model

    def break_down(*given: object, **named: object) -> None:
        raise RuntimeError("the roof is on fire")

    monkeypatch.setattr(codesign.model, "load", break_down)
    refused(cli("show", MODEL), 1, "unexpected RuntimeError", "the roof is on fire", "-v")
    assert "Traceback" in cli("show", MODEL, "-v").err


def test_interruption_ends_cleanly(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import codesign.model

    def interrupt(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(codesign.model, "load", interrupt)
    done = cli("show", MODEL)
    assert done.code == 130 and "Traceback" not in done.err
    assert done.err.strip() == "interrupted; nothing was left half written"
