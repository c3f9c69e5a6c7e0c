"""Why a kernel does not take a group, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """What was demanded, the bound it breaks and by how much (`gap`), and what would help."""

    demand: str
    bound: str
    remedy: str = ""
    gap: str = ""

    def __str__(self) -> str:
        tail = f"; {self.remedy}" if self.remedy else ""
        gap = f", {self.gap}" if self.gap else ""
        return f"{self.demand}, but {self.bound}{gap}{tail}"
