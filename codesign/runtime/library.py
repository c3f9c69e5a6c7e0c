"""Loading compiled libraries without importing TVM: the runtime's shared object and tvm_ffi."""

import ctypes
import importlib.util
import os
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from warnings import warn

from codesign.errors import ArtifactError, CodesignWarning
from codesign.runtime.amx import enable_amx


@contextmanager
def without(module: str) -> Iterator[None]:
    """Importing `module` fails in the enclosed block, unless it is loaded already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


@cache
def load_runtime() -> None:
    """Make the TVM runtime's symbols visible to libraries that are opened later.

    Asks for AMX tile registers as well, before the runtime starts threads that inherit the answer.
    Unless TVM_BIND_THREADS says otherwise its threads are left to the operating system: binding
    would keep the calling thread, and all that torch or numpy start from it, on one core for good.
    """
    enable_amx()
    os.environ.setdefault("TVM_BIND_THREADS", "0")
    with without("torch"):  # which tvm_ffi would load (3 s) if it is installed
        import tvm_ffi  # noqa: F401  (loads libtvm_ffi, which the runtime needs)

    spec = importlib.util.find_spec("tvm")
    if spec is None or spec.origin is None:
        raise ArtifactError("running needs the package apache-tvm, which is not installed")
    path = Path(spec.origin).parent / "lib" / "libtvm_runtime.so"
    try:
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise ArtifactError(f"cannot load the TVM runtime {path.name}: {error}") from None


def load_library(path: Path) -> Any:
    """The functions of a shared library (.so) or relocatable object (.o), by name."""
    load_runtime()
    import tvm_ffi

    try:
        if path.suffix == ".o":
            return _load_object(path)
        return tvm_ffi.load_module(str(path))
    except (RuntimeError, OSError) as error:
        raise ArtifactError(f"cannot load {path.name}: {error}") from None


def _load_object(path: Path) -> Any:
    try:
        from tvm_ffi_orcjit import default_session
    except ImportError:
        raise ArtifactError(
            f"{path.name} is an unlinked object; opening it needs the package apache-tvm-ffi-orcjit"
        ) from None
    return default_session().load_module(path, cxx="c++")


_of_this = threading.local()  # TVM keeps a pool of workers for each thread that calls it


def set_threads(count: int) -> None:
    """Use `count` threads for parallel loops that the calling thread runs from now on.

    A pool never grows, and left to itself it takes half of the cores for hyper-threads: so the
    first call makes a worker for every core. Warns where a pool has fewer than `count` workers.
    """
    if count == getattr(_of_this, "count", 0):
        return
    load_runtime()
    import tvm_ffi

    big_cores_first = 1
    cores = [str(core) for core in sorted(_cores())]
    names = [cores[i % len(cores)] for i in range(max(count, len(cores)))]
    tvm_ffi.get_global_func("runtime.config_threadpool")(big_cores_first, count, names)
    _of_this.count = count
    used = tvm_ffi.get_global_func("runtime.NumThreads")()
    if used != count:
        warn(
            f"{count} threads are asked for and {used} used: this process has {len(cores)} cores, "
            "and the pool of threads was made for no more when it ran something first",
            CodesignWarning,
            stacklevel=2,
        )


def _cores() -> Collection[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)
