"""Artifacts for machines that nobody has here: their program, run on the target's simulator.

Such an artifact holds the program and its constants as they are, beside the machine's description.
Results are exact, time means nothing: what the machine would take is modelled, in the report.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign import plugins, spec
from codesign.errors import ArtifactError, InvalidModelError, missing_package
from codesign.ir.const import Const
from codesign.ir.parse import parse_program
from codesign.ir.program import Program
from codesign.runtime.execute import checked
from codesign.runtime.plan import Plan

MACHINE = "machine.toml"
Arrays = dict[str, np.ndarray]


class Simulated:
    """A plan whose outputs a simulator computes; called like an `Executable`, but not to be timed.

    `counts` are what the simulator has counted in all calls.
    """

    def __init__(self, plan: Plan, run: Callable[[Arrays], tuple[Arrays, dict[str, int]]]) -> None:
        self.plan = plan
        self._run = run
        self.counts = Counter[str]()

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Outputs by public name for `inputs` by name; DataError if they do not fit."""
        arrays = checked(inputs, self.plan.inputs)
        names = (port.name for port in self.plan.inputs)
        found, counts = self._run(dict(zip(names, arrays, strict=True)))
        self.counts.update(counts, runs=1)
        return found


@dataclass(frozen=True)
class Source:
    """The program of an artifact, and the target that runs it."""

    program: Program
    target: Any

    @staticmethod
    def of(
        target: str,
        text: str,
        weights: Mapping[str, np.ndarray],
        machine: Path,
        densities: Mapping[str, float],
    ) -> "Source":
        """From the texts of an artifact; ArtifactError if the program cannot be read.

        `densities` are the shares of feature maps that were not zero, where they were counted.
        """
        try:
            program = parse_program(text, {name: Const.share(a) for name, a in weights.items()})
        except InvalidModelError as error:
            raise ArtifactError(f"the program of the artifact cannot be read: {error}") from None
        made: Any = plugins.find("target", spec.parse(target)[0])
        opened = made.reopened(machine)
        return Source(program, opened.seen(densities) if densities else opened)

    def simulated(self, plan: Plan) -> Simulated:
        """What runs it; MissingPackageError without torch: what the array does not do, it does."""
        try:
            return Simulated(plan, self.target.simulator(self.program))
        except ModuleNotFoundError as error:
            raise missing_package(error) or error from None
