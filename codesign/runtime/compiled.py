"""A compiled program that can be called, timed and saved; the same whether built or opened."""

import json
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import (
    ArtifactError,
    DataError,
    RefusedError,
    UsageError,
    missing_package,
)
from codesign.runtime.execute import Executable
from codesign.runtime.host import architecture, features
from codesign.runtime.library import load_library
from codesign.runtime.manifest import Manifest
from codesign.runtime.plan import Port
from codesign.runtime.random_inputs import random_inputs
from codesign.runtime.simulated import MACHINE, Simulated, Source


class Compiled:
    """A program for one machine: `compiled(x)`, `compiled(x=x)`, `.report`, `.save(folder)`.

    `text` is the program in the text form, `library` the file with its functions, `owner` whatever
    must live as long as that file.
    """

    def __init__(
        self,
        manifest: Manifest,
        weights: Mapping[str, np.ndarray],
        text: str,
        report: dict[str, Any],
        library: Path,
        owner: object = None,
    ) -> None:
        self.manifest = manifest
        self.weights = weights
        self.text = text
        self.report = report
        self.library = library
        self._owner = owner
        self._threads = manifest.threads
        self._lock = threading.Lock()

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Name, shape and element type of each input."""
        return self.manifest.plan.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Name, shape and element type of each output."""
        return self.manifest.plan.outputs

    @property
    def threads(self) -> int:
        """Threads that a call uses; may be set to fewer than it was compiled for.

        UsageError for more: loops are divided among threads when they are compiled.
        """
        return self._threads

    @threads.setter
    def threads(self, count: int) -> None:
        if count < 1:
            raise DataError(f"threads is {count}, expected at least 1")
        if count > self.manifest.threads:
            raise UsageError(f"threads is {count}; {self.most_threads()}")
        self._threads = count
        if "executable" in self.__dict__ and not self.modelled:
            self.timed.threads = count

    def most_threads(self) -> str:
        """In words, for how many threads this was compiled and how to get more."""
        count = self.manifest.threads
        if self.modelled:
            return (
                f"{self.manifest.name} runs on the simulator of {self.manifest.target}, on 1 thread"
            )
        many = "" if count == 1 else "s"
        return (
            f"{self.manifest.name} is compiled for {count} thread{many}; compile with "
            f"--threads {count + 1} (target cpu{{threads={count + 1}}}) or more"
        )

    @property
    def modelled(self) -> bool:
        """True if this runs on a simulator, so that times here say nothing of its target."""
        return self.library.name == MACHINE

    @cached_property
    def executable(self) -> Executable | Simulated:
        """The plan bound to its library; ArtifactError if this machine cannot run it."""
        check_machine(self.manifest)
        plan = self.manifest.plan
        if self.modelled:
            return self._source.simulated(plan)
        return Executable(plan, load_library(self.library), self.weights, self._threads)

    @cached_property
    def _source(self) -> Source:
        """The program, where the artifact holds it as it is."""
        seen = self.report.get("build", {}).get("densities", {})
        return Source.of(self.manifest.target, self.text, self.weights, self.library, seen)

    def explained(self, layer: str) -> dict[str, Any]:
        """What the target says of the schedule of `layer`; {} if it is compiled to code."""
        if not self.modelled:
            return {}
        source = self._source
        found: dict[str, Any] = source.target.explained(source.program, layer)
        return found

    def emitted(self) -> Any:
        """The program as a description of hardware; RefusedError if the target makes none.

        MissingPackageError where the extra that makes it is not installed.
        """
        if not self.modelled:
            raise RefusedError(
                f"{self.manifest.name} is compiled for {self.manifest.target}, a machine that "
                "exists; hardware is made for targets that generate engines (finn, xne)"
            )
        source = self._source
        try:
            return source.target.emitted(source.program)
        except ModuleNotFoundError as error:
            raise missing_package(error) or error from None

    @property
    def counts(self) -> Mapping[str, int]:
        """What the simulator has counted in all calls; {} if this is compiled to code."""
        found = self.executable
        return found.counts if isinstance(found, Simulated) else {}

    @property
    def timed(self) -> Executable:
        """The plan, to be timed; UsageError if it runs on a simulator."""
        found = self.executable
        if isinstance(found, Executable):
            return found
        raise UsageError(
            f"{self.manifest.name} runs on the simulator of {self.manifest.target}, which takes as "
            "long as it takes; `codesign bench` and the report give what is modelled"
        )

    def __repr__(self) -> str:
        def ports(found: tuple[Port, ...]) -> str:
            return ", ".join(f"{p.name}: {p.dtype}{list(p.shape)}" for p in found)

        manifest = self.manifest
        return (
            f"<Compiled {manifest.name} for {manifest.target}: "
            f"({ports(self.inputs)}) -> ({ports(self.outputs)})>"
        )

    def __call__(
        self, *arrays: np.ndarray | Mapping[str, np.ndarray], **named: np.ndarray
    ) -> np.ndarray | dict[str, np.ndarray]:
        """The output, or the outputs by name if there are several; DataError for wrong inputs.

        Inputs come by position, by name, or as one mapping from names to arrays.
        """
        found = self.run(self.named(*arrays, **named))
        return next(iter(found.values())) if len(found) == 1 else found

    def named(
        self, *arrays: np.ndarray | Mapping[str, np.ndarray], **named: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Inputs by name from positional and named arrays."""
        if len(arrays) == 1 and isinstance(arrays[0], Mapping):
            return self.named(**{**dict(arrays[0]), **named})
        names = [port.name for port in self.inputs]
        if any(isinstance(array, Mapping) for array in arrays):
            raise DataError("a mapping of inputs stands alone; give one, or arrays by position")
        if len(arrays) > len(names):
            raise DataError(f"given {len(arrays)} arrays; the inputs are {', '.join(names)}")
        given = dict(zip(names, (np.asarray(array) for array in arrays), strict=False))
        if twice := sorted(set(given) & set(named)):
            raise DataError(f"input {', '.join(twice)} is given by position and by name")
        return {**given, **named}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name for `inputs` by name; DataError if they do not fit."""
        with self._lock:
            return self.executable(inputs)

    def time(self, repeats: int, warm_up: int = 3, seed: int = 0) -> list[float]:
        """Seconds of each of `repeats` calls on random inputs, copying in and out left aside."""
        with self._lock:
            self.timed.bind(random_inputs(self.inputs, seed))
            self.timed.time(warm_up)
            return self.timed.time(repeats)

    def time_steps(self, repeats: int, seed: int = 0) -> list[list[float]]:
        """Seconds of each step of the plan in each of `repeats` runs on random inputs."""
        with self._lock:
            self.timed.bind(random_inputs(self.inputs, seed))
            self.timed.time(3)
            return self.timed.time_steps(repeats)

    def save(self, folder: str | Path) -> Path:
        """Write the artifact (see `codesign.runtime.artifact.save_artifact`)."""
        from codesign.runtime.artifact import save_artifact

        return save_artifact(self, Path(folder))

    def report_text(self) -> str:
        """The content of report.json."""
        return json.dumps(self.report, indent=1) + "\n"


def check_machine(manifest: Manifest) -> None:
    """ArtifactError, naming what is missing, unless this machine runs the artifact's code."""
    if manifest.architecture not in ("", architecture()):
        raise ArtifactError(
            f"{manifest.name} was compiled for {manifest.architecture}, this machine is "
            f"{architecture()}; compile it for this machine"
        )
    missing = [name for name in manifest.requires if name not in features()]
    if missing:
        raise ArtifactError(
            f"{manifest.name} was compiled for instructions that this CPU lacks: "
            f"{', '.join(missing)} (target {manifest.target}); compile it for this machine"
        )
