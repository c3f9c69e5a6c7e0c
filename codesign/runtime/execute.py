"""Running a plan: buffers are bound once, a call is a loop over prepared functions."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from codesign.errors import ArtifactError, DataError
from codesign.runtime.library import set_threads
from codesign.runtime.plan import ALIGNMENT, Plan, Port, Slot


def aligned_bytes(count: int) -> np.ndarray:
    """Zeroed bytes that start at a multiple of 64."""
    raw = np.zeros(count + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count]


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """A contiguous copy of `array` that starts at a multiple of 64."""
    copy = aligned_bytes(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class Executable:
    """A plan bound to a library and weights. Not safe to call from several threads at once.

    ArtifactError where the plan names what neither of them has, or calls a function wrongly.
    """

    def __init__(
        self, plan: Plan, library: Any, weights: Mapping[str, np.ndarray], threads: int = 1
    ) -> None:
        import tvm_ffi

        _check_names(plan, weights)
        self.plan = plan
        self.threads = threads
        self._arena = aligned_bytes(max(plan.arena, 1))
        held = {name: aligned_copy(array) for name, array in weights.items()}
        shared = {name: tvm_ffi.from_dlpack(array) for name, array in held.items()}
        self._weights = held
        self._inputs = [self._view(port.slot) for port in plan.inputs]
        self._outputs = [self._view(port.slot) for port in plan.outputs]
        self._calls = [
            (
                _function(library, step.function),
                tuple(
                    shared[a] if isinstance(a, str) else tvm_ffi.from_dlpack(self._view(a))
                    for a in step.arguments
                ),
            )
            for step in plan.steps
        ]

    def _view(self, slot: Slot) -> np.ndarray:
        size = int(np.prod(slot.shape, dtype=np.int64)) * np.dtype(slot.dtype).itemsize
        raw = self._arena[slot.offset : slot.offset + size]
        return raw.view(slot.dtype).reshape(slot.shape)

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by public name for `inputs` by name; DataError if they do not fit."""
        self.bind(inputs)
        self.run()
        return {
            port.name: view.reshape(port.shape).astype(port.dtype, copy=True)
            for port, view in zip(self.plan.outputs, self._outputs, strict=True)
        }

    def bind(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Check `inputs` and copy them into their buffers."""
        for array, view in zip(checked(inputs, self.plan.inputs), self._inputs, strict=True):
            view[...] = array.reshape(view.shape)

    def fill(self, seed: int = 0) -> None:
        """Random bits of sensible size into the input buffers, padding included, to time runs.

        Integers wider than a byte may be indices and become zeros.
        """
        random = np.random.default_rng(seed)
        for view in self._inputs:
            if view.dtype.kind == "f":
                view[...] = random.standard_normal(view.shape)
            elif view.dtype.itemsize == 1:
                view[...] = random.integers(0, 127, view.shape)
            else:
                view[...] = 0

    def run(self) -> None:
        """Run every step on what is in the buffers."""
        set_threads(self.threads)
        try:
            for function, arguments in self._calls:
                function(*arguments)
        except (TypeError, ValueError) as error:
            why = " ".join(str(error).split())
            raise ArtifactError(f"the plan does not fit the library: {why}") from error

    def time_steps(self, repeats: int) -> list[list[float]]:
        """Seconds of each step in each of `repeats` runs, in order of the plan."""
        set_threads(self.threads)
        clock = time.perf_counter
        rows = []
        for _ in range(repeats):
            row = []
            for function, arguments in self._calls:
                start = clock()
                function(*arguments)
                row.append(clock() - start)
            rows.append(row)
        return [list(column) for column in zip(*rows, strict=True)]

    def time(self, repeats: int) -> list[float]:
        """Seconds of each of `repeats` whole runs."""
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            self.run()
            seconds.append(time.perf_counter() - start)
        return seconds


def _function(library: Any, name: str) -> Any:
    try:
        return library.get_function(name)
    except AttributeError:
        raise ArtifactError(
            f"the library holds no function {name!r}, which the plan calls"
        ) from None


def _check_names(plan: Plan, weights: Mapping[str, np.ndarray]) -> None:
    for step in plan.steps:
        for name in step.arguments:
            if isinstance(name, str) and name not in weights:
                raise ArtifactError(f"layer {step.layer!r} reads weight {name!r}, which is missing")


def checked(inputs: Mapping[str, np.ndarray], ports: Sequence[Port]) -> list[np.ndarray]:
    """The arrays in the ports' order, or DataError naming what is missing, extra or misshapen."""
    names = [port.name for port in ports]
    if set(inputs) != set(names):
        raise DataError(f"inputs are {sorted(inputs)}, expected {sorted(names)}")
    found = []
    for port in ports:
        array = np.asarray(inputs[port.name])
        if array.shape != port.shape:
            raise DataError(f"input {port.name} has shape {array.shape}, expected {port.shape}")
        if array.dtype != np.dtype(port.dtype):
            if not np.can_cast(array.dtype, port.dtype, "same_kind"):
                raise DataError(f"input {port.name} is {array.dtype}, expected {port.dtype}")
            check_bounds(array, port)
            given, array = array, cast(array, np.dtype(port.dtype))
            if array.dtype.kind == "f" and np.isinf(array).sum() > np.isinf(given).sum():
                raise DataError(f"input {port.name} holds values too large for {port.dtype}")
        check_bounds(array, port)
        found.append(array)
    return found


def cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`array` as `dtype`; what is too large for it becomes infinite without a warning."""
    with np.errstate(over="ignore"):
        return array.astype(dtype, copy=False)


def check_bounds(array: np.ndarray, port: Port) -> None:
    """DataError, naming the first one, if an element of an index input picks what is not there."""
    if port.bounds is None or not array.size:
        return
    low, high = port.bounds
    if array.min() >= low and array.max() <= high:
        return
    at = tuple(int(i) for i in np.argwhere((array < low) | (array > high))[0])
    raise DataError(
        f"input {port.name} holds {array[at]} at {list(at)}; it picks one of {high + 1}, "
        f"expected {low} to {high}"
    )
