"""The contract of a pass."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from codesign.ir.program import Program
from codesign.rewrite.context import Context

Need = Literal["calibration", "target", "training"]


@dataclass(frozen=True)
class Pass(ABC):
    """A frozen dataclass whose fields are its options, named in kebab-case.

    A valid program goes in, a valid one comes out; the input is not changed. Options are checked in
    `__post_init__` (UsageError). What it decides per layer goes to `context.note`.
    """

    name: ClassVar[str]
    schedules: ClassVar[bool] = False  # chooses kernels or layouts; others never see them
    encodes: ClassVar[bool] = False  # gives layers widths: weights and feature maps become codes
    trains: ClassVar[bool] = False  # needs batch norms that are not folded into weights yet
    needs: ClassVar[frozenset[Need]] = frozenset()  # of the context, checked before anything runs

    @abstractmethod
    def run(self, program: Program, context: Context) -> Program:
        """Return the rewritten program, placed only if this pass `schedules`.

        A pass that does not gets a program without kernels, layouts and relayout nodes, whatever
        ran before it; what it changes has to be scheduled again, what it leaves stays scheduled.
        """
