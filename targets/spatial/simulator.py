"""A whole program on the simulator: layers on the array, everything else as the host computes it.

What is between layers has the integer meaning of the interpreter, so that a program gives the same
bits as there unless an accumulator of the machine saturates.
"""

from collections.abc import Mapping

import numpy as np

from codesign.interpret.arrays import to_numpy
from codesign.interpret.integer import Codes, IntegerInterpreter
from codesign.ir.graph import Node
from codesign.ir.program import Program
from codesign.mapping.group import Group
from codesign.targets.spatial.kernel import Mapped
from codesign.targets.spatial.simulate.operands import Operands
from codesign.targets.spatial.simulate.run import Run
from codesign.targets.spatial.target import Spatial

Arrays = dict[str, np.ndarray]


class Simulator(IntegerInterpreter):
    """Runs a placed program; `runs` has what the last run of each layer counted."""

    def __init__(self, program: Program, target: Spatial) -> None:
        super().__init__(program.graph)
        self.program, self.target = program, target
        self.runs: dict[str, Run] = {}

    def sums(self, node: Node) -> Codes:
        """The sums of a layer, by its mapping."""
        assignment = self.program.assignment_of[node.name]
        kernel = self.target.by_name[assignment.kernel]
        assert isinstance(kernel, Mapped)
        group = Group(self.graph, self.program.nodes_of(assignment))
        x, w, *bias = node.operands
        encoding = self.integer(x)
        assert encoding is not None
        begin = self.begin(node, self.graph.types[node.name].rank) if bias else None
        operands = Operands(self.code(x), self.code(w), int(encoding.zero.array), begin)
        self.runs[node.name] = found = kernel.simulate(group, assignment.point, operands)
        return found.sums

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> tuple[Arrays, dict[str, int]]:
        """Outputs by public name, and counts of all layers together."""
        self.run(inputs)
        pairs = zip(self.graph.output_names, self.graph.outputs, strict=True)
        found = {name: to_numpy(self.number(v), self.type(v).dtype) for name, v in pairs}
        runs = self.runs.values()
        return found, {
            "layers": len(runs),
            "macs": sum(run.macs for run in runs),
            self._word: sum(run.gated for run in runs),
            "saturated": sum(run.saturated for run in runs),
        }

    @property
    def _word(self) -> str:
        """What this machine does with a multiplication by zero."""
        path = self.target.machine.datapath
        if not path.skip:
            return "gated"
        return "skipped" if set(path.gate) <= set(path.skip) else "spared"
