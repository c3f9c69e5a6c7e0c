"""A folder that appears whole or not at all."""

import contextlib
import errno
import os
import resource
import secrets
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from codesign.errors import ArtifactError, ResourceError

SCRATCH_BYTES = 64 << 20
REMEDY = "set TMPDIR to a folder on a disk with room"
HIDDEN = ".codesign-"  # how what is not finished is called


def write_folder(path: Path, fill: Callable[[Path], None], names: Collection[str]) -> None:
    """Let `fill` write files into a hidden sibling of `path`, which is then renamed to `path`.

    A link is followed. A folder that is there already is replaced if it is empty or holds nothing
    but files called `names`. ArtifactError if it holds anything else, if `path` is a file, or if
    writing fails, in which case nothing is left behind and an older folder stays as it was.
    """
    path = followed(path)
    _check_replaceable(path, names)
    with _errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=HIDDEN, dir=path.parent))
    try:
        with _errors(path):
            made.chmod(0o755)
            fill(made)
            sync(made)
            _replace(made, path)
            _sync_one(path.parent)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def scratch_folder(room: int = SCRATCH_BYTES) -> "tempfile.TemporaryDirectory[str]":
    """A temporary folder with room for so many bytes of compiled code.

    ResourceError, naming TMPDIR, if none can be made or it has less room: LLVM would end the
    process when it cannot write.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix="codesign-")
    except OSError as error:
        raise ResourceError(
            f"no temporary folder can be made: {error.strerror or error}; {REMEDY}"
        ) from None
    try:
        check_room(Path(made.name), room)
    except ResourceError:
        made.cleanup()
        raise
    return made


def check_room(folder: Path, room: int) -> None:
    """ResourceError unless a file of so many bytes may be written in `folder`."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and limit < room:
        raise ResourceError(
            f"files are limited to {limit >> 10} KiB here, compiled code needs {room >> 20} MiB; "
            "raise the limit (ulimit -f)"
        )
    free = shutil.disk_usage(folder).free
    if free < room:
        raise ResourceError(
            f"the temporary folder {folder.parent} has {free >> 20} MiB of room, compiled "
            f"code needs {room >> 20} MiB; {REMEDY}, or free some"
        )


def check_folder(path: Path, names: Collection[str]) -> None:
    """ArtifactError unless a folder can be written at `path` (see `write_folder`)."""
    path = followed(path)
    _check_replaceable(path, names)
    _check_parent(path)


def check_file(path: Path) -> None:
    """ArtifactError unless a file can be written at `path` (see `write_file`)."""
    path = followed(path)
    _check_plain(path)
    if not os.path.lexists(path.parent):
        raise ArtifactError(f"cannot write {path}: there is no folder {path.parent}")
    _check_parent(path)


def followed(path: Path) -> Path:
    """Where `path` leads when every link in it is followed."""
    return Path(os.path.realpath(path))


def _check_replaceable(path: Path, names: Collection[str]) -> None:
    with _errors(path):
        if not path.is_dir():
            if os.path.lexists(path):
                raise ArtifactError(
                    f"output {path} is a file; give a folder that is new or an artifact"
                )
            return
        others = sorted(entry.name for entry in path.iterdir() if entry.name not in names)
    if others:
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise ArtifactError(
            f"output {path} holds files that are no part of an artifact ({shown}) and is left "
            "alone; give a folder that is new, empty or an artifact"
        )


def _check_plain(path: Path) -> None:
    with _errors(path):
        if path.is_file() or not os.path.lexists(path):
            return
        what = "a folder" if path.is_dir() else "no plain file"
    raise ArtifactError(f"output {path} is {what}; give a file, or a name that is free")


def _check_parent(path: Path) -> None:
    """ArtifactError unless something can be made in the folder of `path`, or where that will be."""
    parent = path.parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise ArtifactError(f"cannot write {path}: {parent} is no folder")
    try:
        os.rmdir(tempfile.mkdtemp(prefix=HIDDEN, dir=parent))
    except OSError as error:
        why = error.strerror or error
        raise ArtifactError(
            f"cannot write {path}: nothing can be made in {parent} ({why})"
        ) from None


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    """OSErrors in words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ArtifactError(
                f"the disk is full: cannot write {path}; nothing was left there. Free some space "
                "or choose an output on another disk"
            ) from None
        raise ArtifactError(f"cannot write {path}: {error.strerror or error}") from None


def write_file(path: Path, fill: Callable[[BinaryIO], None]) -> None:
    """Let `fill` write a hidden sibling of `path`, which is then renamed to `path`.

    A link is followed. ArtifactError if `path` is neither free nor a plain file, or if writing
    fails; then nothing is left behind.
    """
    path = followed(path)
    _check_plain(path)
    made = path.with_name(f"{HIDDEN}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with _errors(path):
            with made.open("xb") as stream:
                fill(stream)
                stream.flush()
                os.fsync(stream.fileno())
            made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Bring the folder's files and the folder itself to the disk."""
    for entry in sorted(folder.iterdir()):
        _sync_one(entry)
    _sync_one(folder)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(made: Path, path: Path) -> None:
    """Rename `made` to `path`; an older folder steps aside first and comes back on failure."""
    if not path.exists():
        made.rename(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f"{HIDDEN}old-", dir=path.parent))
    path.rename(aside / "old")
    try:
        made.rename(path)
    except OSError:
        (aside / "old").rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
