"""Inputs to run a program on when none are given."""

from collections.abc import Sequence

import numpy as np

from codesign.runtime.plan import Port


def random_inputs(ports: Sequence[Port], seed: int = 0) -> dict[str, np.ndarray]:
    """Standard normal floats, and zeros for integers, which may be indices."""
    generator = np.random.default_rng(seed)
    return {port.name: _random(port, generator) for port in ports}


def _random(port: Port, generator: np.random.Generator) -> np.ndarray:
    dtype = np.dtype(port.dtype)
    if dtype.kind != "f":
        return np.zeros(port.shape, dtype)
    return generator.standard_normal(port.shape).astype(dtype)
