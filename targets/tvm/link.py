"""From object code to a library that can be opened: by a compiler, by ziglang, or as it is."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from codesign.runtime.built import Library
from codesign.runtime.host import architecture

COMPILERS = ("cc", "gcc", "clang")
LIBRARY, OBJECT = "module.so", "module.o"
TIMEOUT_SECONDS = 120


def link(unlinked: Path, machine: str) -> Library:
    """The library made from the object file `unlinked`, beside it, for the architecture `machine`.

    The machine's C compiler is tried first, then the linker in the package ziglang. Where both are
    missing or fail the object file stays, for apache-tvm-ffi-orcjit to load; the result says why.
    """
    made = unlinked.with_name(LIBRARY)
    failures = []
    for name, command in linkers(machine):
        problem = _run([*command, "-shared", "-s", "-o", str(made), str(unlinked)])
        if problem is None:
            unlinked.unlink()
            return Library(made, name)
        made.unlink(missing_ok=True)
        failures.append(f"{name}: {problem}")
    why = "; ".join(failures) or no_linker(machine)
    return Library(unlinked, f"nothing, apache-tvm-ffi-orcjit opens the object ({why})")


def no_linker(machine: str) -> str:
    """What is missing where nothing here links for the architecture `machine`."""
    return f"no C compiler for {machine} and no package ziglang (pip install ziglang)"


def linkers(machine: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Name and command of each linker at hand that can make a shared library for `machine`."""
    names = COMPILERS if machine == architecture() else (f"{machine}-linux-gnu-gcc",)
    for name in names:
        if path := shutil.which(name):
            yield name, [path, "-Wl,--no-as-needed", "-lm"]
    if importlib.util.find_spec("ziglang") is not None:
        # libc and libm are there when the library is opened; building stubs of them takes a minute
        target = f"{machine}-linux-gnu"
        zig = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-nostdlib"]
        yield "ziglang", zig


def _run(command: Sequence[str]) -> str | None:
    """None if `command` succeeded, else the end of what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip()[-500:] or "no message"
