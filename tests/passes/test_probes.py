"""The samples that sensitivity is measured on."""

import numpy as np
import pytest

from codesign.passes.quantize import probes
from codesign.passes.quantize.probes import runs
from codesign.rewrite.context import Dataset
from tests.small import small_graph, small_input


@pytest.mark.parametrize("room", [1, 60_000, 1 << 30])
@pytest.mark.parametrize("count", [1, 6, 7])
def test_every_sample_is_run_once(room: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "ROOM", room)
    data = Dataset({"x": small_input(9)})
    found = [inputs["x"] for _, inputs in runs(small_graph(), data, count)]
    assert np.array_equal(np.concatenate(found), data.spread(count).inputs["x"])
    assert len(np.concatenate(found)) == count
