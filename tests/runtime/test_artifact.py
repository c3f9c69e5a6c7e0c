"""Artifacts: whole or not at all, checked when opened."""

import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.errors import ArtifactError, UsageError
from codesign.runtime import compiled as compiled_module
from codesign.runtime import folder as folder_module
from codesign.runtime.artifact import open_artifact, save_artifact
from codesign.runtime.compiled import Compiled
from codesign.runtime.manifest import Manifest, read_manifest
from tests.small import small_compiled, small_input


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_compiled().save(tmp_path_factory.mktemp("artifact") / "out")


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def with_manifest(change: Callable[[Manifest], Manifest]) -> Compiled:
    """The small network with another manifest."""
    one = small_compiled()
    return Compiled(change(one.manifest), one.weights, one.text, one.report, one.library)


def test_files_and_manifest_are_what_the_documentation_says(saved: Path) -> None:
    names = {path.name for path in saved.iterdir()}
    assert names == {
        "manifest.json",
        "program.txt",
        "report.json",
        "weights.safetensors",
        small_compiled().manifest.library,
    }
    manifest = json.loads((saved / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["inputs"] == [{"name": "x", "shape": [1, 3, 8, 8], "dtype": "float32"}]
    assert manifest["outputs"] == [{"name": "out", "shape": [1, 16, 8, 8], "dtype": "float32"}]
    assert set(manifest["files"]) == names - {"manifest.json"}
    assert [next(iter(step)) for step in manifest["recipe"]["passes"]][-2:] == ["place", "layout"]
    assert "cores" in manifest["machine"]


@pytest.mark.parametrize(
    "name", ["manifest.json", "program.txt", "report.json", "weights.safetensors", "module.so"]
)
@pytest.mark.parametrize("position", [0.0, 0.37, 0.999])
def test_one_flipped_byte_in_any_file_is_found(copy: Path, name: str, position: float) -> None:
    path = copy / name
    if not path.exists():
        path = copy / "module.o"
    content = bytearray(path.read_bytes())
    content[int(position * (len(content) - 1))] ^= 0x04
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{path.name} (is damaged|does not)"):
        open_artifact(copy)


@pytest.mark.parametrize("name", ["program.txt", "weights.safetensors"])
def test_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        open_artifact(copy)


def test_what_is_no_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        open_artifact(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"holds no manifest\.json"):
        open_artifact(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        open_artifact(tmp_path / "file")


def test_another_format_is_refused(copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 7'))
    with pytest.raises(ArtifactError, match="format 7, this codesign reads 1"):
        open_artifact(copy)


def test_artifact_for_other_instructions_is_refused_naming_them(tmp_path: Path) -> None:
    other = with_manifest(lambda m: dataclasses.replace(m, requires=(*m.requires, "avx9000")))
    folder = other.save(tmp_path / "out")
    with pytest.raises(ArtifactError, match=r"lacks: avx9000 .*compile it for this machine"):
        open_artifact(folder)
    assert open_artifact(folder, run=False).manifest.requires[-1] == "avx9000"


def test_artifact_of_another_architecture_is_refused(tmp_path: Path) -> None:
    other = with_manifest(lambda m: dataclasses.replace(m, architecture="riscv64"))
    with pytest.raises(ArtifactError, match="compiled for riscv64"):
        open_artifact(other.save(tmp_path / "out"))


def test_features_missing_here_are_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = small_compiled().manifest.requires
    monkeypatch.setattr(compiled_module, "features", lambda: frozenset(requires[1:]))
    if requires:
        with pytest.raises(ArtifactError, match=requires[0]):
            compiled_module.check_machine(small_compiled().manifest)


def test_an_older_artifact_or_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    empty = tmp_path / "out"
    empty.mkdir()
    small_compiled().save(empty)
    (empty / "program.txt").write_text("damaged")
    small_compiled().save(empty)
    open_artifact(empty)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match=r"thesis\.tex"):
        small_compiled().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_output_that_is_a_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(ArtifactError, match="is a file"):
        small_compiled().save(path)
    assert path.read_text() == "mine"


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on a disk without room: a tiny file system if this user may mount one."""
    import subprocess

    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(mount)]
    mounted = False
    if os.geteuid() == 0 and shutil.which("mount"):
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not mounted:

        def fail(self: Path, content: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", fail)
    yield mount
    if mounted:
        subprocess.run(["umount", str(mount)], check=True)


def test_full_disk_leaves_nothing_and_says_so(full_disk: Path) -> None:
    with pytest.raises(ArtifactError, match="the disk is full"):
        small_compiled().save(full_disk / "out")
    assert list(full_disk.iterdir()) == []


def test_full_disk_keeps_the_older_artifact(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_module, "sync", fail)
    with pytest.raises(ArtifactError, match="the disk is full"):
        small_compiled().save(copy)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    assert open_artifact(copy)(small_input()) is not None


def test_failed_rename_puts_the_older_artifact_back(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if target == copy and self.name.startswith(".codesign-") and "old" not in self.name:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ArtifactError, match="Input/output error"):
        small_compiled().save(copy)
    monkeypatch.undo()
    open_artifact(copy)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module, "sync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_artifact(small_compiled(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: body.pop("plan"), "plan"),
        (lambda body: body.update(surprise=1), "surprise"),
        (lambda body: body.update(plan={"steps": [{}]}), "layer|steps"),
    ],
)
def test_manifest_that_is_whole_but_wrong_is_refused(
    saved: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    from codesign.runtime.manifest import digest

    body = json.loads((saved / "manifest.json").read_text())
    change(body)
    body["sha256"] = "0" * 64
    text = json.dumps(body)
    signed = text.replace("0" * 64, digest(text.encode()), 1)
    with pytest.raises(ArtifactError, match=message):
        read_manifest(signed.encode())


def test_manifest_survives_being_written_and_read() -> None:
    manifest = dataclasses.replace(small_compiled().manifest, files={"a": "b"})
    assert read_manifest(manifest.text().encode()) == manifest


def test_outputs_stay_the_same_after_the_folder_is_gone(copy: Path) -> None:
    opened = open_artifact(copy)
    want = opened(small_input())
    shutil.rmtree(copy)
    np.testing.assert_array_equal(opened(small_input()), want)
