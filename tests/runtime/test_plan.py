"""A manifest that is sealed anew but describes no plan that its library has is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.errors import ArtifactError, DataError
from codesign.runtime.artifact import open_artifact
from codesign.runtime.manifest import digest
from tests.small import small_compiled, small_input

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_compiled().save(tmp_path_factory.mktemp("plan") / "out")


def resealed(saved: Path, folder: Path, edit: Edit) -> Path:
    """A copy of the artifact with an edited manifest whose SHA-256 is right."""
    copy = Path(shutil.copytree(saved, folder / "copy"))
    body = json.loads((copy / "manifest.json").read_text())
    edit(body)
    body["sha256"] = "0" * 64
    text = json.dumps(body, indent=1) + "\n"
    (copy / "manifest.json").write_text(text.replace("0" * 64, digest(text.encode()), 1))
    return copy


def put(*path: Any) -> Edit:
    """The edit that puts the last of `path` where the others lead."""
    *way, last, value = path

    def edit(body: dict[str, Any]) -> None:
        found: Any = body
        for key in way:
            found = found[key]
        assert found[last] != value
        found[last] = value

    return edit


SLOT = ("plan", "inputs", 0, "slot")
STEP = ("plan", "steps", 0)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (put(*SLOT, 0, 1 << 40), "takes bytes 1099511627776 to"),
        (put(*SLOT, 0, -64), "takes bytes -64 to"),
        (put(*SLOT, 1, [1 << 20]), "takes bytes"),
        (put(*SLOT, 1, [-1, -192]), r"has the shape \[-1, -192\]"),
        (put(*SLOT, 1, ["a"]), "has the shape"),
        (put(*SLOT, 2, "object"), "is object"),
        (put(*SLOT, 2, "float33"), "float33"),
        (put("plan", "inputs", 0, "shape", [1, 3, 4, 4]), "its buffer another"),
        (put("plan", "arena", -1), "the arena has -1 bytes"),
        (put(*STEP, "function", "nowhere"), "no function 'nowhere'"),
        (put(*STEP, "arguments", ["w9999"]), "reads weight 'w9999', which is missing"),
        (put("threads", 10**22), "threads is 10000000000000000000000, expected 1 to 1024"),
        (put("threads", 0), "threads is 0"),
        (put("threads", "2"), "threads is '2'"),
    ],
)
def test_a_plan_that_is_none_is_refused_when_opened(
    saved: Path, tmp_path: Path, edit: Edit, words: str
) -> None:
    with pytest.raises(ArtifactError, match=words):
        open_artifact(resealed(saved, tmp_path, edit))


def test_a_call_that_the_library_refuses_blames_the_plan(saved: Path, tmp_path: Path) -> None:
    compiled = open_artifact(resealed(saved, tmp_path, put(*STEP, "arguments", [])))
    with pytest.raises(ArtifactError, match="the plan does not fit the library: Expected"):
        compiled(small_input())


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_inputs_too_large_for_their_type_are_refused(saved: Path) -> None:
    compiled = open_artifact(saved)
    wide = small_input().astype(np.float64)
    want, found = compiled(small_input()), compiled(wide)
    assert isinstance(want, np.ndarray) and isinstance(found, np.ndarray)
    assert np.array_equal(found, want)
    with pytest.raises(DataError, match="too large for float32"):
        compiled(wide * 1e300)
