"""From a placed program to object code, a plan and packed weights."""

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import ArtifactError, VerificationError, lacking
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.mapping.group import Group
from codesign.mapping.memory import Life, arrange
from codesign.mapping.ports import ports
from codesign.runtime.built import Built, Library
from codesign.runtime.library import load_runtime
from codesign.runtime.plan import Plan, Slot, Step
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.link import OBJECT, link
from codesign.targets.tvm.patterns.move import constant
from codesign.targets.tvm.storage import physical_bytes, physical_dtype, physical_shape
from codesign.targets.tvm.target import Cpu


@dataclass(frozen=True)
class TvmCode:
    """Functions compiled by TVM for machines of one architecture."""

    module: Any
    architecture: str

    def save_object(self, path: Path) -> None:
        """Write the relocatable object file; ResourceError or ArtifactError if that fails."""
        try:
            self.module.mod.write_to_file(str(path), "o")
        except (RuntimeError, OSError) as error:
            raise lacking(error) or ArtifactError(f"cannot write {path}: {error}") from None

    def save(self, folder: Path) -> Library:
        """Write the functions into `folder`, linked if anything here can link them."""
        self.save_object(folder / OBJECT)
        return link(folder / OBJECT, self.architecture)


def build(program: Program, target: Cpu) -> Built:
    """Compile a placed `program`: one function for each distinct kernel, called in order."""
    library = _Functions()
    emitted = []
    for assignment in program.placement:
        kernel = target.by_name[assignment.kernel]
        group = Group(program.graph, program.nodes_of(assignment))
        one: Emitted = kernel.emit(group, assignment.point)  # type: ignore[attr-defined]
        emitted.append((group.name, library.add(kernel.name, one), one))
    for value in dict.fromkeys(v for v in program.graph.outputs if v in program.graph.constants):
        one = constant(value, program.graph.constants[value].array, target.instructions)
        emitted.append((value, library.add("constant", one), one))
    aliases = _aliases(emitted)
    plan, weights = _plan(program.graph, emitted, aliases, library)
    isa = target.instructions
    return Built(
        plan,
        TvmCode(library.compile(target), isa.architecture),
        weights,
        isa.architecture,
        isa.requires,
        target.threads,
        {"functions": len(library.functions), "calls": len(plan.steps)},
    )


class _Functions:
    """Functions that are equal but for their name are compiled once."""

    def __init__(self) -> None:
        self.functions: dict[str, Any] = {}
        self.known: dict[int, list[tuple[str, Any]]] = {}

    def add(self, kernel: str, emitted: Emitted) -> str | None:
        """The name of the function for `emitted`, None for a view."""
        if emitted.make is None:
            return None
        load_runtime()
        import tvm_ffi

        name = f"{kernel.replace('-', '_')}_{len(self.functions)}"
        bare = emitted.make("kernel")
        digest = tvm_ffi.structural_hash(bare)
        for other, function in self.known.get(digest, []):
            if tvm_ffi.structural_equal(function, bare):
                return other
        self.known.setdefault(digest, []).append((name, bare))
        self.functions[name] = bare.with_attr("global_symbol", name)
        return name

    def shapes(self, name: str) -> list[tuple[int, ...]]:
        """The shapes that function `name` declares for its arguments."""
        function = self.functions[name]
        return [tuple(int(extent) for extent in buffer.shape) for buffer in function.params]

    def compile(self, target: Cpu) -> Any:
        """One library of all functions."""
        import tvm

        from codesign.targets.tvm.pipeline import register

        machine = tvm.target.Target(target.instructions.tvm_target)
        return tvm.compile(tvm.IRModule(self.functions), machine, tir_pipeline=register())


Emission = tuple[str, str | None, Emitted]


def _aliases(emitted: list[Emission]) -> dict[str, str]:
    """The value whose buffer each view shares."""
    found: dict[str, str] = {}
    for _, function, one in emitted:
        if function is None:
            source, result = one.arguments
            assert isinstance(source, str) and isinstance(result, str)
            found[result] = found.get(source, source)
    return found


def _reshaped(slot: Slot, shape: tuple[int, ...], layer: str, value: str) -> Slot:
    """`slot` as a function reads it; VerificationError if that reads beyond it."""
    if prod(shape) > prod(slot.shape):
        raise VerificationError(
            f"%{layer} reads %{value} as {list(shape)}, but its buffer is {list(slot.shape)}; the "
            "kernel and the layouts that it asked for disagree, which is a defect of the kernel"
        )
    return replace(slot, shape=shape)


def _plan(
    graph: Graph, emitted: list[Emission], aliases: dict[str, str], library: _Functions
) -> tuple[Plan, dict[str, np.ndarray]]:
    first: dict[str, int] = {aliases.get(v, v): -1 for v in graph.inputs}
    last: dict[str, int] = dict(first)
    for i, (_, _, one) in enumerate(emitted):
        for argument in one.arguments:
            if isinstance(argument, str):
                value = aliases.get(argument, argument)
                first.setdefault(value, i)
                last[value] = i
    for value in (*graph.outputs, *graph.inputs):
        first.setdefault(aliases.get(value, value), len(emitted))  # nobody makes what is empty
        last[aliases.get(value, value)] = len(emitted)
    size = dict.fromkeys(first, 0)
    for value in (*graph.types,):
        root = aliases.get(value, value)
        if root in size:
            size[root] = max(size[root], physical_bytes(graph.types[value]))
    offsets, arena = arrange([Life(v, size[v], first[v], last[v]) for v in first])

    def slot(value: str) -> Slot:
        kind = graph.types[value]
        return Slot(offsets[aliases.get(value, value)], physical_shape(kind), physical_dtype(kind))

    weights: dict[str, np.ndarray] = {}
    steps = []
    for layer, function, one in emitted:
        if function is None:
            continue
        arguments: list[Slot | str] = []
        for argument, shape in zip(one.arguments, library.shapes(function), strict=True):
            if isinstance(argument, str):
                arguments.append(_reshaped(slot(argument), shape, layer, argument))
            else:
                arguments.append(f"w{len(weights)}")
                weights[f"w{len(weights)}"] = argument.reshape(shape)
        steps.append(Step(layer, function, tuple(arguments)))
    return Plan(tuple(steps), arena, *ports(graph, slot)), weights
