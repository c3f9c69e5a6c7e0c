"""What an ONNX value is while importing: a constant, a value of the graph, or stored codes."""

from dataclasses import dataclass, field
from itertools import count

import numpy as np

from codesign.ir.dtype import DType
from codesign.ir.encodings.grid import Grid
from codesign.ir.types import TensorType

_numbers = count()


@dataclass(frozen=True, eq=False)
class Value:
    """One of three: `array` (a constant), `name` (a value of the graph), or `codes_of`.

    `codes_of` is an encoded float value whose integer codes this is: the result of QuantizeLinear,
    which only becomes an op if something but DequantizeLinear reads it. `width` is the number of
    bits of an integer narrower than its `type` (int4 in int8).
    """

    type: TensorType
    array: np.ndarray | None = None
    name: str | None = None
    codes_of: "Value | None" = None
    width: int | None = None
    label: str = ""
    serial: int = field(default_factory=lambda: next(_numbers))

    @property
    def shape(self) -> tuple[int, ...]:
        """Logical shape."""
        return self.type.shape

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.type.dtype

    @property
    def rank(self) -> int:
        """Number of axes."""
        return self.type.rank

    @property
    def constant(self) -> bool:
        """True if the content is known while importing."""
        return self.array is not None

    @property
    def encoding(self) -> Grid | None:
        """The element encoding of the type, if its values are multiples of a scale."""
        return self.type.grid
