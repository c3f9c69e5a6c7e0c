"""Compiled with tuning records a network computes what torch does, whatever they name."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

import codesign as cd
from codesign.mapping.target import Target
from codesign.runtime.host import device
from codesign.targets.tvm.target import Cpu
from codesign.tune.duel import Duel
from codesign.tune.journal import Journal
from codesign.tune.store import Store
from codesign.tune.work import tasks_of


def network() -> nn.Module:
    """Plain, strided, depthwise and 1x1 convolutions of odd sizes and a linear layer."""
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 20, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(20, 20, 3, stride=2, padding=1, groups=20),
        nn.ReLU(),
        nn.Conv2d(20, 33, 1),
        nn.ReLU(),
        nn.Conv2d(33, 17, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(17, 10),
    ]
    return nn.Sequential(*layers).eval()


def settle(path: Path, target: Target, program: object, last: int) -> dict[str, str]:
    """Make the `last` but so many of each task's candidates win; the kernels of those."""
    chosen = {}
    with Store(path) as store:
        journal = Journal(store, target, device())
        for task in tasks_of(target.place(program)):  # type: ignore[arg-type]
            others = [c for c in task.candidates(target) if c != task.start]
            if len(others) > last:
                other = others[-1 - last]
                store.add_task(journal.stored(task))
                journal.settle(task, other, Duel((0.5,) * 40, (1.0,) * 40), task.start)
                chosen[task.op] = other[0]
    return chosen


def test_compiling_with_records_gives_the_numbers_of_torch(tmp_path: Path) -> None:
    model, x = network(), torch.randn(1, 3, 13, 19)
    want = model(x).detach().numpy()
    texts = set()
    for last in (0, 2, 5):
        path = tmp_path / f"{last}.db"
        program = cd.load(model, example_inputs=(x,))
        chosen = settle(path, Cpu(), program, last)
        assert "conv" in chosen
        compiled = cd.compile(program, target="cpu", measure="none", records=path)
        got = compiled(x.numpy())
        assert isinstance(got, np.ndarray)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)
        texts.add(compiled.text)
    assert len(texts) == 3, "each named other schedules"
