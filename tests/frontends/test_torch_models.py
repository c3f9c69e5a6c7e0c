"""Whole small models with their real weights; benchmarks/import_models.py has the large ones."""

import pytest

from benchmarks.torch_zoo import load
from tests.frontends.torch_agreement import agree, kinds


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("mtcnn/pnet", "prelu", 3),
        ("mtcnn/onet", "max_pool", 3),
        ("crepe-tiny", "batch_norm", 6),
    ],
)
def test_models_agree_with_torch(name: str, kind: str, count: int) -> None:
    try:
        module, inputs = load(name)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error}; see requirements-models.txt")
    graph = agree(module, *inputs, tolerance=1e-4)
    assert kinds(graph).count(kind) == count
