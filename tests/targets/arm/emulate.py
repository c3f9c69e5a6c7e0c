"""Running code for another CPU: linked with a small C program, emulated by qemu-user."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from codesign.ir.program import Program
from codesign.runtime.built import Built
from codesign.runtime.execute import checked
from codesign.runtime.host import architecture
from codesign.runtime.plan import ALIGNMENT, Slot
from codesign.targets.tvm.build import TvmCode, build
from codesign.targets.tvm.target import Cpu

HERE = Path(__file__).parent
TIMEOUT_SECONDS = 300
# A CPU that has what the instruction set asks for and as little more as there is to choose from.
MODELS = {"arm": ("cortex-a53",), "arm-dot": ("neoverse-n1", "max")}
CODES = {"i": 0, "u": 1, "f": 2, "b": 6}  # of DLPack


class StoppedError(Exception):
    """The program's status (minus a signal's number) and the last that it said."""


def missing(machine: str = "aarch64") -> str:
    """What has to be installed before code for `machine` can be run here; empty if nothing."""
    wanted = []
    if find_spec("ziglang") is None:
        wanted.append("the Python package ziglang")
    if machine != architecture() and emulator(machine) is None:
        wanted.append(f"qemu-{machine} (Debian: apt-get install qemu-user)")
    return f"needs {' and '.join(wanted)}" if wanted else ""


def emulator(machine: str) -> str | None:
    """Path of qemu-user for `machine`."""
    return shutil.which(f"qemu-{machine}") or shutil.which(f"qemu-{machine}-static")


@cache
def _models(machine: str) -> str:
    command = [emulator(machine) or "", "-cpu", "help"]
    return subprocess.run(command, capture_output=True, text=True).stdout  # it ends with status 1


def emulated(
    program: Program, target: Cpu, data: Mapping[str, np.ndarray], model: str = ""
) -> dict[str, np.ndarray]:
    """The outputs of a placed program as a CPU of the target's instruction set computes them.

    `model` is a CPU that qemu knows. StoppedError says how it ended, and the step that was running.
    """
    built = build(program, target)
    with TemporaryDirectory(prefix="codesign-arm-") as folder:
        made = _linked(built, Path(folder))
        command = [*_emulation(target, model), str(made)]
        image = _image(built, data)
        done = subprocess.run(command, input=image, capture_output=True, timeout=TIMEOUT_SECONDS)
    if done.returncode:
        raise StoppedError(done.returncode, done.stderr.decode(errors="replace").splitlines()[-3:])
    assert len(done.stdout) == built.plan.arena
    return {
        port.name: _read(done.stdout, port.slot).reshape(port.shape).astype(port.dtype)
        for port in built.plan.outputs
    }


def _emulation(target: Cpu, model: str) -> list[str]:
    """The command that runs a program for `target`."""
    machine = target.instructions.architecture
    path = emulator(machine)
    if machine == architecture() or path is None:
        return []
    known = _models(machine).split()
    return [path, "-cpu", model or next(m for m in MODELS[target.isa] if m in known)]


def _offsets(built: Built) -> tuple[dict[str, int], int]:
    """Where in the image each weight lies, and the image's size."""
    found, end = {}, built.plan.arena
    for name, array in built.weights.items():
        end = -(-end // ALIGNMENT) * ALIGNMENT
        found[name] = end
        end += array.nbytes
    return found, end


def _image(built: Built, data: Mapping[str, np.ndarray]) -> bytes:
    """The arena with the inputs in place, and the weights behind it."""
    offsets, size = _offsets(built)
    image = np.zeros(size, np.uint8)
    ports = built.plan.inputs
    pieces = [(p.slot.offset, a) for p, a in zip(ports, checked(data, ports), strict=True)]
    pieces += [(offsets[name], array) for name, array in built.weights.items()]
    for offset, array in pieces:
        image[offset : offset + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
    return image.tobytes()


def _read(image: bytes, slot: Slot) -> np.ndarray:
    dtype, count = np.dtype(slot.dtype), int(np.prod(slot.shape, dtype=np.int64))
    return np.frombuffer(image, dtype, count, slot.offset).reshape(slot.shape)


def _linked(built: Built, folder: Path) -> Path:
    """A static program of the harness, the steps' table and the compiled functions."""
    code = built.code
    assert isinstance(code, TvmCode)
    code.save_object(folder / "code.o")
    (folder / "steps.c").write_text(_table(built))
    made = folder / "program"
    zig = [sys.executable, "-m", "ziglang", "build-exe", "-target", f"{built.architecture}-linux"]
    files = [str(HERE / "harness.c"), str(folder / "steps.c"), str(folder / "code.o")]
    # compiler-rt, which stands for libm here, is part of an executable without libc
    options = ["-O", "ReleaseFast", f"-I{HERE}", f"-femit-bin={made}"]
    done = subprocess.run([*zig, *options, *files], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return made


def _table(built: Built) -> str:
    """C of the image's extents, the tensors and the steps."""
    offsets, size = _offsets(built)
    lines = ['#include "harness.h"', f"_Alignas({ALIGNMENT}) uint8_t image[{max(size, 1)}];"]
    lines.append(f"const uint64_t image_bytes = {size}, arena_bytes = {built.plan.arena};")
    functions = dict.fromkeys(step.function for step in built.plan.steps)
    header = "(void *, const struct any *, int32_t, struct any *)"
    lines += [f"extern int32_t __tvm_ffi_{name}{header};" for name in functions]
    rows = []
    for i, step in enumerate(built.plan.steps):
        tensors = []
        for j, argument in enumerate(step.arguments):
            if isinstance(argument, str):
                array = built.weights[argument]
                argument = Slot(offsets[argument], array.shape, array.dtype.name)
            lines.append(_shape(f"shape_{i}_{j}", argument.shape))
            tensors.append(_tensor(f"shape_{i}_{j}", argument))
        lines.append(f"static struct tensor tensors_{i}[] = {{{', '.join(tensors)}}};")
        name = f'"{i} {step.function} {step.layer}"'
        rows.append(f"{{{name}, __tvm_ffi_{step.function}, tensors_{i}, {len(tensors)}}},")
    lines += ["const struct step steps[] = {", *rows, "{0}};"]
    return "\n".join([*lines, f"const int32_t step_count = {len(rows)};", ""])


def _shape(name: str, shape: Sequence[int]) -> str:
    return f"static int64_t {name}[] = {{{', '.join(map(str, (*shape, 0)))}}};"


def _tensor(shape: str, slot: Slot) -> str:
    dtype = np.dtype(slot.dtype)
    kind = f"{CODES[dtype.kind]}, {8 * dtype.itemsize}, 1"
    return f"{{image + {slot.offset}, 1, 0, {len(slot.shape)}, {kind}, {shape}, 0, 0}}"
