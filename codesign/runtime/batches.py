"""Running an artifact on many samples."""

from collections.abc import Mapping

import numpy as np

from codesign.errors import DataError
from codesign.progress import Progress, silent
from codesign.runtime.compiled import Compiled


def run_samples(
    compiled: Compiled, inputs: Mapping[str, np.ndarray], progress: Progress = silent
) -> dict[str, np.ndarray]:
    """Outputs by name on arrays [samples, ...], as many samples at a time as were compiled for.

    DataError if the samples are no whole number of batches.
    """
    size = compiled.inputs[0].shape[0] if compiled.inputs and compiled.inputs[0].shape else 1
    count = len(next(iter(inputs.values())))
    if count % size:
        raise DataError(f"{count} samples are no whole number of batches of {size}")
    found = []
    for start in range(0, count, size):
        progress(f"sample {start + 1} of {count}", start / count)
        batch = {name: array[start : start + size] for name, array in inputs.items()}
        found.append(compiled.run(batch))
    if len(found) == 1:
        return found[0]
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}
