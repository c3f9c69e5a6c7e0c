"""Artifacts: folders that hold a compiled program, saved whole, checked when they are opened."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from codesign.errors import ArtifactError, UsageError
from codesign.runtime.compiled import Compiled, check_machine
from codesign.runtime.folder import write_folder
from codesign.runtime.library import load_runtime
from codesign.runtime.manifest import (
    LIBRARIES,
    MANIFEST,
    PROGRAM,
    REPORT,
    WEIGHTS,
    Manifest,
    digest,
    read_manifest,
)
from codesign.runtime.simulated import MACHINE
from codesign.runtime.weights import dump_weights, load_weights

NAMES = frozenset({MANIFEST, PROGRAM, WEIGHTS, REPORT, *LIBRARIES})


def save_artifact(compiled: Compiled, path: Path) -> Path:
    """Write `compiled` to the folder `path`, whole or not at all, and return the path.

    ArtifactError if `path` is a file or a folder with anything but an artifact in it, or if the
    disk is full; then nothing is left behind and an older artifact stays as it was.
    """

    def fill(folder: Path) -> None:
        content, stored = dump_weights(compiled.weights)
        (folder / WEIGHTS).write_bytes(content)
        (folder / PROGRAM).write_text(compiled.text)
        (folder / REPORT).write_text(compiled.report_text())
        shutil.copyfile(compiled.library, folder / compiled.manifest.library)
        files = {entry.name: digest(entry.read_bytes()) for entry in sorted(folder.iterdir())}
        manifest = replace(compiled.manifest, weights=stored, files=files)
        (folder / MANIFEST).write_text(manifest.text())

    write_folder(path, fill, NAMES)
    return path


def open_artifact(path: str | Path, run: bool = True) -> Compiled:
    """The compiled program in the folder `path`; every file is checked first.

    With `run`, the machine is checked too and the library is loaded. UsageError if there is no
    artifact; ArtifactError if it is damaged, of another format, or for another machine.
    """
    folder = Path(path)
    manifest = _manifest(folder)
    contents = _contents(folder, manifest, run)
    if run:
        check_machine(manifest)
    library, owner = _own(contents[manifest.library], manifest.library)
    compiled = Compiled(
        manifest,
        load_weights(contents[WEIGHTS], manifest.weights),
        contents[PROGRAM].decode(),
        _report(contents[REPORT]),
        library,
        owner,
    )
    if run:
        _ = compiled.executable
    return compiled


def _own(content: bytes, name: str) -> "tuple[Path, tempfile.TemporaryDirectory[str]]":
    """A private copy of a library, and the folder that goes when nobody has it any more.

    What is loaded is so what was checked, whatever becomes of the folder; and the system, which
    takes a path that it has loaded before for the same library, loads it anew.
    """
    try:
        owner = tempfile.TemporaryDirectory(prefix="codesign-")
        path = Path(owner.name) / name
        path.write_bytes(content)
    except OSError as error:
        raise ArtifactError(
            f"cannot copy {name} to a temporary folder: {error.strerror}; free some space there or "
            "name another folder in TMPDIR"
        ) from None
    return path, owner


def is_artifact(path: Path) -> bool:
    """True if `path` is a folder with a manifest."""
    return (path / MANIFEST).is_file()


def _manifest(folder: Path) -> Manifest:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise UsageError(f"{folder} {what}; give the folder that `codesign compile -o` wrote")
    if not is_artifact(folder):
        raise UsageError(f"{folder} is no artifact: it holds no {MANIFEST}")
    manifest = read_manifest((folder / MANIFEST).read_bytes())
    needed = {PROGRAM, WEIGHTS, REPORT, manifest.library}
    if needed != set(manifest.files) or manifest.library not in LIBRARIES:
        raise ArtifactError(f"{folder / MANIFEST} lists the files {sorted(manifest.files)}")
    return manifest


def _contents(folder: Path, manifest: Manifest, run: bool) -> dict[str, bytes]:
    """Every file, checked in threads while this one loads the runtime that a run will need."""
    with ThreadPoolExecutor() as pool:
        files = {
            name: pool.submit(_content, folder, name, want) for name, want in manifest.files.items()
        }
        if run and manifest.library != MACHINE:
            load_runtime()
        return {name: content.result() for name, content in files.items()}


def _content(folder: Path, name: str, want: str) -> bytes:
    """The content of a file; ArtifactError if it is missing or not what was saved."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{folder / name} cannot be read: {error.strerror}; the artifact is not complete, "
            "compile or copy it again"
        ) from None
    if digest(content) != want:
        raise ArtifactError(
            f"{folder / name} is damaged: its SHA-256 is not the one in {MANIFEST}; "
            "compile or copy the artifact again"
        )
    return content


def _report(content: bytes) -> dict[str, object]:
    import json

    found: dict[str, object] = json.loads(content)
    return found
