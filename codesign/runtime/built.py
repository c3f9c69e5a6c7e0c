"""What a target hands over when it has built a program: everything that an artifact needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from codesign.runtime.manifest import Manifest
from codesign.runtime.plan import Plan


@dataclass(frozen=True)
class Library:
    """A file of compiled functions, and in words how it was linked."""

    path: Path
    linked_with: str


class Code(Protocol):
    """Compiled functions that are not in a file yet."""

    def save(self, folder: Path) -> Library:
        """Write the functions that the plan calls into `folder`."""

    def save_object(self, path: Path) -> None:
        """Write them as a relocatable object file, not linked."""


@dataclass(frozen=True)
class Built:
    """A compiled program: the plan, its functions, and the packed weights that it names.

    `architecture` and `requires` are what the machine that opens it must have: `x86_64` and the CPU
    features by the names of /proc/cpuinfo. `report` holds what the target adds to report.json.
    """

    plan: Plan
    code: Code
    weights: Mapping[str, np.ndarray]
    architecture: str = ""
    requires: tuple[str, ...] = ()
    threads: int = 1
    report: Mapping[str, Any] = field(default_factory=dict)

    def manifest(self, name: str, target: str, library: Library) -> Manifest:
        """What tells of this program, for `target`; not yet where and how it was made."""
        return Manifest(
            name,
            target,
            self.plan,
            self.threads,
            self.architecture,
            self.requires,
            library=library.path.name,
            linked_with=library.linked_with,
        )
