"""Outputs that cannot be written, or must not be replaced, are refused before any work."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from codesign.runtime import folder as folder_module
from codesign.runtime.artifact import open_artifact
from tests.cli.running import Cli, refused
from tests.small import small_compiled, small_input

MODEL = "tests.small:small_program"


def test_output_that_is_a_file_is_refused_before_any_work(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    refused(cli("compile", "missing.onnx", "-o", out), 1, "is a file")
    assert out.read_text() == "mine"


def test_output_with_other_files_is_refused_before_any_work(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    refused(cli("compile", "missing.onnx", "-o", tmp_path), 1, "thesis.tex", "left alone")


def test_full_disk_exits_1_and_leaves_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_module, "sync", fail)
    done = cli("compile", MODEL, "-o", tmp_path / "out", "-q", "--measure", "none")
    refused(done, 1, "the disk is full", "Free some space")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("n" * 300, ("File name too long",)),
        ("/dev/null/x", ("/dev/null is no folder",)),
        ("/proc/out", ("nothing can be made in /proc",)),
        ("/dev/null", ("is a file",)),
    ],
)
def test_impossible_folders_are_refused_before_any_work(
    cli: Cli, output: str, words: tuple[str, ...]
) -> None:
    refused(cli("compile", "missing.onnx", "-o", output), 1, *words)


@pytest.mark.parametrize(
    ("output", "code", "words"),
    [
        ("n" * 300, 1, ("File name too long",)),
        ("/dev/null", 1, ("is no plain file",)),
        ("{0}", 1, ("is a folder",)),
        ("{0}/none/out.npz", 1, ("there is no folder",)),
        ("/proc/out.npz", 1, ("nothing can be made in /proc",)),
        ("{0}/in.npz", 2, ("is the input itself",)),
        ("{0}/link.npz", 2, ("is the input itself",)),
    ],
)
def test_impossible_files_are_refused_before_any_work(
    cli: Cli, tmp_path: Path, output: str, code: int, words: tuple[str, ...]
) -> None:
    source = tmp_path / "in.npz"
    np.savez(source, x=small_input())
    (tmp_path / "link.npz").symlink_to(source)
    before = source.read_bytes()
    output = output.format(tmp_path)
    refused(cli("run", "missing", "--input", source, "-o", output), code, *words)
    assert source.read_bytes() == before and not Path("/dev/null").is_file()
    assert sorted(os.listdir(tmp_path)) == ["in.npz", "link.npz"]


def test_links_are_followed(cli: Cli, artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").symlink_to("empty")
    small_compiled().save(tmp_path / "folder")
    assert (tmp_path / "folder").is_symlink()
    assert open_artifact(tmp_path / "empty").manifest.name
    np.savez(tmp_path / "in.npz", x=small_input())
    (tmp_path / "file.npz").symlink_to("real.npz")
    done = cli("run", artifact, "--input", tmp_path / "in.npz", "-o", tmp_path / "file.npz")
    assert done.code == 0, done
    assert (tmp_path / "file.npz").is_symlink() and np.load(tmp_path / "real.npz").files


def test_a_name_may_be_as_long_as_the_disk_allows(tmp_path: Path) -> None:
    folder_module.write_file(tmp_path / ("n" * 255), lambda stream: None)
    folder_module.write_folder(tmp_path / ("m" * 255), lambda folder: None, ())
    assert sorted(len(name) for name in os.listdir(tmp_path)) == [255, 255]


def test_a_full_temporary_folder_is_told_before_code_is_written(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    done = cli("compile", MODEL, "-o", tmp_path / "out", "-q", "--measure", "none")
    refused(done, 1, f"temporary folder {scratch} has 1 MiB of room", "TMPDIR")
    assert os.listdir(tmp_path) == ["scratch"] and os.listdir(scratch) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    done = cli("compile", MODEL, "-o", tmp_path / "out", "-q", "--measure", "none")
    refused(done, 1, "no temporary folder can be made", "TMPDIR")
