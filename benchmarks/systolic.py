"""Our systolic arrays beside the package `scalesim`, layer by layer of ResNet-18."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import peers
from benchmarks.common import Row
from benchmarks.published import RESNET18, Shape
from codesign import plugins
from codesign.cost.operands import Widths
from codesign.cost.problem import Problem
from codesign.mapping.mapper import search

SIZE = 32
SECONDS = 0.3  # for a layer: how long computing takes is the same for all mappings that fit
PEER = Path(__file__).with_name("scalesim_peer.py")


def product_of(shape: Shape) -> Problem:
    """The product of matrices that a layer is with its windows laid out."""
    problem = shape.problem()
    return problem.unfolded() if shape.size else problem


def peer(python: str, shapes: Mapping[str, Shape]) -> dict[str, list[int]]:
    """Cycles by dataflow of each layer; UsageError if `python` has no scalesim."""
    problems = map(product_of, shapes.values())
    asked = json.dumps([[p.bound("n"), p.bound("c"), p.bound("m")] for p in problems])
    command = [str(PEER), str(SIZE), str(SIZE)]
    answer = peers.has(python, "--scalesim-python", "scalesim==3.0.0", command, asked)
    found: dict[str, list[int]] = json.loads(answer)
    return found


def cycles(dataflow: str, shape: Shape) -> int:
    """Ours, of computing alone: memories are so large and fast that nothing is cut for them."""
    target = f"systolic{{array={SIZE}x{SIZE},dataflow={dataflow},glb=256MiB,flow=1MiB/cycle}}"
    machine = plugins.make("target", target).machine
    costs = search(product_of(shape), machine, Widths(8, 8, 32, 8), seconds=SECONDS).costs
    return int(costs.compute[0] + costs.fill[0])


def rows(python: str) -> Iterator[Row]:
    """How far apart both are on the layer where they are furthest, by dataflow."""
    for dataflow, theirs in peer(python, RESNET18).items():
        ours = [cycles(dataflow, shape) for shape in RESNET18.values()]
        apart = [abs(a / b - 1) for a, b in zip(ours, theirs, strict=True)]
        layers = {name: [a, b] for name, a, b in zip(RESNET18, ours, theirs, strict=True) if a != b}
        detail = {"modelled": sum(ours), "published": sum(theirs), "apart": layers}
        name = f"systolic {dataflow} ResNet-18, scalesim 3.0.0"
        yield Row(name, max(apart), "relative", 0.0, "<=", detail)
