"""What layers cost on a target: the answer to the question that any pass may ask."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class LayerCost:
    """The cost of one placed group of ops.

    `macs` are the multiply-accumulates that its kernel does: a sparse one leaves the zeros out.
    `latency_ms` is the whole time, `cycles` what that is in cycles where one clock times all of it,
    else what the model knows of them, `energy_uj` None where the target has no energy model,
    `utilization` the share of peak arithmetic in that time (multiplications that are skipped are
    none), `bound` what limits it (`compute`, `memory`, `overhead`, a bus; `a + b` where b follows a
    and does not overlap with it), `traffic_bytes` bytes moved by memory level. `alternatives` are
    other kernels' latencies in ms. `origin` says where the latency comes from: the kernel's
    `model`, the model corrected by the device's `profile`, `tuned` (measured alone by the tuner),
    or `measured` in its network. What was tuned keeps in `model_ms` the latency by the model, to be
    compared with those of `alternatives`, which are always by the model. `error` is the relative
    standard error of `latency_ms`, None where it is not known. `energy_parts_uj` is the energy by
    memory, of multiplications (`mac`) and of what is drawn all the time (`idle`), where it is
    known.
    """

    name: str
    op: str
    kernel: str
    macs: int
    latency_ms: float
    cycles: float
    utilization: float
    bound: str
    energy_uj: float | None = None
    traffic_bytes: Mapping[str, int] = field(default_factory=dict)
    alternatives: Mapping[str, float] = field(default_factory=dict)
    origin: str = "model"
    error: float | None = None
    energy_parts_uj: Mapping[str, float] = field(default_factory=dict)
    model_ms: float | None = None

    @property
    def modelled_ms(self) -> float:
        """The latency by the model, whatever was measured."""
        return self.latency_ms if self.model_ms is None else self.model_ms

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Estimate:
    """The costs of all layers of a placed program, in execution order.

    `remarks` say in words what these figures are, and what they leave out.
    """

    layers: tuple[LayerCost, ...]
    remarks: tuple[str, ...] = ()

    @property
    def latency_ms(self) -> float:
        """Sum of the layers' latencies."""
        return sum(layer.latency_ms for layer in self.layers)

    @property
    def error_ms(self) -> float | None:
        """The layers' standard errors added up, as if all were off the same way; None if unknown.

        Layers whose error is not known do not count; `unsure` has those.
        """
        known = [x.latency_ms * x.error for x in self.layers if x.error is not None]
        return sum(known) if known else None

    @property
    def unsure(self) -> tuple[LayerCost, ...]:
        """The layers that take time and whose error is not known."""
        return tuple(x for x in self.layers if x.error is None and x.latency_ms > 0)

    @property
    def tuned(self) -> int:
        """How many layers have the latency and the schedule of a tuning record."""
        return sum(layer.origin == "tuned" for layer in self.layers)

    @property
    def energy_uj(self) -> float | None:
        """Sum of the layers' energies, None if any is unknown."""
        known = [layer.energy_uj for layer in self.layers if layer.energy_uj is not None]
        return sum(known) if len(known) == len(self.layers) else None

    @property
    def macs(self) -> int:
        """Sum of the layers' multiply-accumulates."""
        return sum(layer.macs for layer in self.layers)

    def json(self) -> dict[str, Any]:
        """`{"layers": [...], "total": {...}}`."""
        traffic: dict[str, int] = {}
        for layer in self.layers:
            for level, count in layer.traffic_bytes.items():
                traffic[level] = traffic.get(level, 0) + count
        total = {
            "macs": self.macs,
            "cycles": sum(layer.cycles for layer in self.layers),
            "latency_ms": self.latency_ms,
            "error_ms": self.error_ms,
            "layers_without_error": len(self.unsure),
            "energy_uj": self.energy_uj,
            "traffic_bytes": traffic,
            "remarks": list(self.remarks),
        }
        return {"layers": [layer.json() for layer in self.layers], "total": total}
