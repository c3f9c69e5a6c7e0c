"""Why a kernel does not take a group, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """What was demanded, the bound it breaks, and what would make it fit."""

    demand: str
    bound: str
    remedy: str = ""

    def __str__(self) -> str:
        tail = f"; {self.remedy}" if self.remedy else ""
        return f"{self.demand}, but {self.bound}{tail}"
