"""Graphs built for the CPU, run, and compared with what their ops mean."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.interpret.evaluate import evaluate
from codesign.ir.builder import Builder
from codesign.ir.dtype import from_numpy
from codesign.ir.graph import Graph
from codesign.ir.op import Op
from codesign.ir.ops import OPS
from codesign.ir.program import Program
from codesign.runtime.execute import Executable
from codesign.runtime.library import load_library
from codesign.targets.tvm.build import build
from codesign.targets.tvm.target import Cpu

HOST = Cpu()


def f32(values: npt.ArrayLike) -> np.ndarray:
    """An array of float32."""
    return np.asarray(values, np.float32)


def make(kind: str, *attributes: object) -> Op:
    """The op of that kind."""
    cls: Any = OPS[kind]
    op: Op = cls(*attributes)
    return op


class Net(Builder):
    """A builder that keeps the inputs' data and a tolerance for each output."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__("net")
        self.random = np.random.default_rng(seed)
        self.data: dict[str, np.ndarray] = {}
        self.results_of: dict[str, float] = {}

    def given(self, array: np.ndarray, name: str = "x") -> str:
        """An input that holds `array`."""
        value = self.input(name, array.shape, from_numpy(array.dtype))
        self.data[value] = array
        return value

    def normal(self, *shape: int, name: str = "x") -> str:
        """An input of normally distributed float32."""
        return self.given(self.random.standard_normal(shape).astype(np.float32), name)

    def weight(self, *shape: int) -> str:
        """A constant of normally distributed float32."""
        return self.constant(self.random.standard_normal(shape).astype(np.float32))

    def returns(self, value: str, tolerance: float = 1e-5) -> None:
        """Make `value` an output that must agree to `tolerance`, relative to its largest."""
        self.results_of[value] = tolerance

    def check(self, target: Cpu = HOST, kernels: Mapping[str, int] | None = None) -> Program:
        """Build for `target`, run, compare every output; `kernels` must be used so many times."""
        program = target.place(Program(self.graph(*self.results_of)))
        target.verify(program)
        used = [assignment.kernel for assignment in program.placement]
        for kernel, times in (kernels or {}).items():
            assert used.count(kernel) == times, f"{kernel} is used {used.count(kernel)} times"
        got = run(program, target, self.data)
        want = evaluate(self.graph(*self.results_of), self.data)
        for name, tolerance in self.results_of.items():
            compare(name, got[name], want[name], tolerance)
        return program


def run(program: Program, target: Cpu, data: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a placed program."""
    built = build(program, target)
    with TemporaryDirectory() as folder:
        library = load_library(built.code.save(Path(folder)).path)
        return Executable(built.plan, library, built.weights, target.threads)(data)


def compare(name: str, got: np.ndarray, want: np.ndarray, tolerance: float) -> None:
    """Equal shape, type, special values, and finite elements within `tolerance`."""
    assert got.shape == want.shape and got.dtype == want.dtype, f"{name}: {got.dtype}{got.shape}"
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, want, err_msg=name)
        return
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite], err_msg=name)
    scale = max(1.0, float(np.abs(want[finite]).max(initial=0)))
    error = float(np.abs(got[finite] - want[finite]).max(initial=0)) / scale
    assert error <= tolerance, f"{name} is off by {error:.2e} of {scale:.3g}"


def graph_of(net: Net) -> Graph:
    """The graph of `net` with its outputs."""
    return net.graph(*net.results_of)
