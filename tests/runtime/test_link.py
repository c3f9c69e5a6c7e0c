"""Every way from object code to something that runs."""

import os
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import ArtifactError
from codesign.interpret.evaluate import evaluate
from codesign.runtime.built import Library
from codesign.runtime.execute import Executable
from codesign.runtime.library import load_library
from codesign.targets.tvm.link import COMPILERS, LIBRARY, OBJECT, link, linkers
from codesign.targets.tvm.target import Cpu
from tests.small import small_graph, small_input


@pytest.fixture(scope="module")
def placed() -> object:
    from codesign.ir.program import Program

    return Cpu(threads=2).place(Program(small_graph()))


def runs(library: Library, placed: object) -> None:
    """Two threads and the library give what the interpreter gives."""
    built = Cpu(threads=2).build(placed)  # type: ignore[arg-type]
    executable = Executable(built.plan, load_library(library.path), built.weights, threads=2)
    x = small_input()
    want = evaluate(small_graph(), {"x": x})["out"]
    np.testing.assert_allclose(executable({"x": x})["out"], want, rtol=1e-4, atol=1e-5)


def build_in(folder: Path, placed: object) -> Library:
    return Cpu(threads=2).build(placed).code.save(folder)  # type: ignore[arg-type]


def only(monkeypatch: pytest.MonkeyPatch, ziglang: bool) -> None:
    """No compiler on the PATH, and ziglang there or not."""
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: (
            (find(name, *rest) if ziglang else None) if name == "ziglang" else find(name, *rest)
        ),
    )


def test_an_object_that_cannot_be_written_is_told(placed: object) -> None:
    code = Cpu(threads=2).build(placed).code  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match=r"cannot write /nowhere/x\.o"):
        code.save_object(Path("/nowhere/x.o"))


def test_the_compiler_comes_first(tmp_path: Path, placed: object) -> None:
    library = build_in(tmp_path, placed)
    first = next(filter(shutil.which, COMPILERS), "ziglang")
    assert library.linked_with == first
    assert library.path == tmp_path / LIBRARY
    assert not (tmp_path / OBJECT).exists()
    runs(library, placed)


def test_with_ziglang_alone(
    tmp_path: Path, placed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, ziglang=True)
    library = build_in(tmp_path, placed)
    assert (library.path.name, library.linked_with) == (LIBRARY, "ziglang")
    runs(library, placed)


def test_with_nothing_the_object_is_opened_as_it_is(
    tmp_path: Path, placed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, ziglang=False)
    library = build_in(tmp_path, placed)
    assert library.path == tmp_path / OBJECT
    assert "no C compiler" in library.linked_with
    runs(library, placed)


def test_a_compiler_that_fails_is_told_and_the_object_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, ziglang=False)
    fake = tmp_path / "bin" / "cc"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho no crt1.o >&2; exit 1\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(fake.parent) + os.pathsep + "/bin")
    (tmp_path / OBJECT).write_bytes(b"object")
    linked = link(tmp_path / OBJECT, Cpu().instructions.architecture)
    assert linked.path.name == OBJECT
    assert "cc: no crt1.o" in linked.linked_with


def test_foreign_code_is_linked_by_a_foreign_linker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    found = dict(linkers("riscv64"))
    assert list(found) == ["riscv64-linux-gnu-gcc", "ziglang"]
    assert found["ziglang"][:4] == [sys.executable, "-m", "ziglang", "cc"]
    assert "riscv64-linux-gnu" in found["ziglang"]
