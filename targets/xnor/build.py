"""From a placed program to an artifact: the program itself, and the device that it is for."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from codesign.ir.program import Program
from codesign.ir.text import named_constants
from codesign.runtime.built import Built
from codesign.targets.spatial.build import MachineText, simulated_plan
from codesign.targets.xnor.area import design_area
from codesign.targets.xnor.costs import costs_of

if TYPE_CHECKING:
    from codesign.targets.xnor.target import Finn


def build(program: Program, target: "Finn") -> Built:
    """A placed `program` as `target`'s simulator takes it."""
    constants = named_constants(program.graph)
    stages = target.stages(program)
    report: dict[str, Any] = {
        "simulated": True,
        "layers": sum(stage.kind == "layer" for stage in stages),
        "densities": {},
    }
    if stages:
        costs = costs_of(program, target)
        report["interval_ms"] = costs.times.interval / target.board.clock * 1e3
        report["area"] = asdict(design_area(costs.design))
        report["fifos"] = {s.name: s.depth for s in costs.design.streams}
    text = MachineText(target.text, target.board.name)
    weights = {name: const.array for name, const in constants.items()}
    return Built(simulated_plan(program), text, weights, report=report)
