"""What measuring a kernel told of its model: how far it is off, and whether a fit corrects it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from codesign.mapping.group import Group

ALL = "all"
ENOUGH = 12  # points to fit below which there is no fit to use
WORST = 0.5  # median error on points not fitted to above which a fit is not used


@dataclass(frozen=True)
class Judgement:
    """A kernel as of code `version`: its points, those of them to fit, and what they say.

    `model_error` is the relative standard error of the model alone, `error` the median of the
    fit's relative errors on points that it has not seen; None where too few points tell.
    """

    kernel: str
    version: str
    points: int
    fitted: int
    model_error: float | None = None
    error: float | None = None

    @property
    def used(self) -> bool:
        """Whether estimates use the fit."""
        return self.error is not None and self.error <= WORST

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def judgement(value: Mapping[str, Any]) -> Judgement:
    """Inverse of `Judgement.json`; TypeError or ValueError for anything else."""
    found = Judgement(**value)
    numbers = (found.model_error, found.error)
    if not all(n is None or (isinstance(n, int | float) and n >= 0) for n in numbers):
        raise ValueError(f"errors {numbers} of {found.kernel}")
    return found


def label_of(group: Group) -> str:
    """The op and how its operands are stored: `conv f32`, `linear csr f32`, `conv int8`."""
    x, w = group.input_type(0), group.input_type(1)
    structure = [e.kind for e in (w.encodings if w else ()) if e.role == "structure"]
    element = x.integer if x is not None else None
    form = f"int{element.width}" if element else "f32"
    return " ".join([group.anchor.kind, *structure, form])
