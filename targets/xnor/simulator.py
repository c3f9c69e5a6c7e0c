"""A whole program on its engines, bit for bit; what is before and behind them as the host computes.

Where engines leave sums, the host goes on from these by the integer meaning of the interpreter.
"""

from collections.abc import Mapping

import numpy as np

from codesign.analysis.codes import digits
from codesign.interpret.arrays import to_numpy
from codesign.interpret.integer import RULES, Codes, IntegerInterpreter
from codesign.ir.graph import Node
from codesign.ir.program import Program
from codesign.targets.xnor.compute import Computer
from codesign.targets.xnor.stages import Stage

Arrays = dict[str, np.ndarray]


class Simulator(IntegerInterpreter):
    """Runs a placed program; `computers` are engines by the name of their stage's first node."""

    def __init__(self, program: Program, computers: Mapping[str, Computer]) -> None:
        super().__init__(program.graph)
        self.computers = computers
        stages = (computer.stage for computer in computers.values())
        self.stage_of = {node.name: stage for stage in stages for node in stage.nodes}
        self.raw: dict[str, Codes] = {}

    def sums(self, node: Node) -> Codes:
        """The sums that an engine left, with the layer's coded bias; else as the host computes."""
        if node.name not in self.raw:
            return super().sums(node)
        found = self.raw[node.name]
        coded = len(node.operands) > 2 and self.grid(node.operands[2]) is not None
        if not coded:
            return found
        total: Codes = (found << digits(node, self.graph.types)) + self.begin(node, found.ndim)
        return total

    def compute(self) -> None:
        """Compute the nodes in order, a stage's at its first."""
        for node in self.graph.nodes:
            stage = self.stage_of.get(node.name)
            if stage is not None and node.name == stage.anchor.name:
                self._run(stage)
            if stage is None or (stage.sums and not self._leaves(stage, node)):
                rule = RULES.get(node.kind)
                if rule is None or not rule(self, node):
                    self.fall_back(node)

    def _leaves(self, stage: Stage, node: Node) -> bool:
        return any(head.value == node.name for head in stage.heads)

    def _run(self, stage: Stage) -> None:
        """A stage on its engines."""
        read = [v for v in stage.anchor.operands if v not in self.graph.constants]
        given = [self.raw[v] if v in self.raw else self.code(v) for v in read]
        found = self.computers[stage.anchor.name].run(given)
        for value, codes in found.items():
            if stage.sums and value == stage.anchor.name:
                self.raw[value] = codes
            else:
                self.codes[value] = codes

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> tuple[Arrays, dict[str, int]]:
        """Outputs by public name, and counts of all layers together."""
        self.run(inputs)
        pairs = zip(self.graph.output_names, self.graph.outputs, strict=True)
        found = {name: to_numpy(self.number(v), self.type(v).dtype) for name, v in pairs}
        layers = [s for s in self.computers.values() if s.stage.kind == "layer"]
        macs = sum(_macs(self, c.stage.anchor) for c in layers)
        return found, {"layers": len(layers), "macs": macs, "saturated": 0}


def _macs(run: IntegerInterpreter, node: Node) -> int:
    types = run.graph.input_types(node), run.graph.output_types(node)
    nest = node.op.loops(*types)
    return nest.macs if nest else 0
