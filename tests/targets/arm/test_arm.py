"""Code for Arm CPUs, emulated, computes what the interpreter does."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.runtime.host import architecture
from codesign.targets.tvm.patterns.table import KERNELS
from codesign.targets.tvm.target import Cpu
from tests.small import small_graph, small_input
from tests.strategies import inputs_of
from tests.targets.arm.emulate import StoppedError, emulated, missing
from tests.targets.arm.networks import Forced, convolutions, network, others, placed, quantized
from tests.targets.tvm.blocks import Case, fused, whole
from tests.targets.tvm.blocks import quantized as coded
from tests.targets.tvm.harness import compare, graph_of, run
from tests.targets.tvm.test_bits_network import PASSES, compiled, plain, residual

BLOCK = Case(1, 20, (9, 7), 24, (3, 3), (1, 1), ((1, 1), (1, 1)), 20)
WITHOUT = missing("aarch64")
emulator = pytest.mark.skipif(bool(WITHOUT), reason=WITHOUT)


def check(net: Forced, target: Cpu) -> None:
    """Every output is what the interpreter says."""
    program = placed(graph_of(net), target, net.forced)
    got, want = emulated(program, target, net.data), evaluate(graph_of(net), net.data)
    for name, tolerance in net.results_of.items():
        compare(name, got[name], want[name], tolerance)


def together(graph: Graph, target: Cpu) -> Program:
    """`graph` with its first layers as one block."""
    choice = whole(graph, target)
    return fused(graph, target, choice, choice[2])


def check_exactly(program: Program, target: Cpu) -> None:
    """Every output of a quantized program is the integer meaning."""
    data = inputs_of(program.graph, 3)
    got, want = emulated(program, target, data), evaluate_integer(program.graph, data)
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


@emulator
@pytest.mark.parametrize("isa", ["arm", "arm-dot"])
def test_convolutions_of_float32(isa: str) -> None:
    check(convolutions(), Cpu(isa))


@emulator
def test_everything_else_in_floating_point() -> None:
    check(others(), Cpu("arm"))


@emulator
@pytest.mark.parametrize("isa", ["arm", "arm-dot"])
def test_networks_in_8_bits_are_exact(isa: str) -> None:
    target = Cpu(isa)
    check_exactly(quantized(network(), target), target)


BINARY = [(residual, "binary"), (plain, "two"), (plain, "binary")]


@emulator
@pytest.mark.parametrize(("make", "passes"), BINARY)
def test_networks_of_few_bits(make: Callable[[], Graph], passes: str) -> None:
    target = Cpu("arm")
    program = compiled(make(), PASSES[passes], target)
    data = inputs_of(program.graph, 3)
    got, want = emulated(program, target, data), evaluate_integer(program.graph, data)
    np.testing.assert_allclose(got["classes"], want["classes"], rtol=1e-5, atol=1e-5)


@emulator
@pytest.mark.parametrize("isa", ["arm", "arm-dot"])
@pytest.mark.parametrize("wide", [None, 24])
def test_blocks_of_convolutions(isa: str, wide: int | None) -> None:
    target, (net, y) = Cpu(isa), replace(BLOCK, wide=wide).net(last=True)
    program = together(net.graph(y), target)
    compare(y, emulated(program, target, net.data)[y], evaluate(net.graph(y), net.data)[y], 1e-5)
    check_exactly(together(coded(net, y), target), target)


@emulator
def test_dot_products_stop_a_cpu_that_has_none() -> None:
    """So the emulator tells if code for the plain instruction set goes beyond it."""
    target = Cpu("arm-dot")
    program = quantized(small_graph(), target)
    emulated(program, target, inputs_of(program.graph))
    with pytest.raises(StoppedError) as caught:
        emulated(program, target, inputs_of(program.graph), "cortex-a53")
    assert caught.value.args[0] == -signal.SIGILL


@pytest.mark.skipif(bool(missing(architecture())), reason=missing(architecture()))
def test_the_program_that_runs_steps_agrees_with_the_runtime() -> None:
    target, data = Cpu(threads=2), {"x": small_input()}
    program = target.place(Program(small_graph()))
    want, got = run(program, target, data), emulated(program, target, data)
    np.testing.assert_array_equal(got["out"], want["out"])


def test_libraries_for_arm_are_linked_without_an_arm_compiler(tmp_path: Path) -> None:
    target = Cpu("arm")
    library = target.build(target.place(Program(small_graph()))).code.save(tmp_path)
    header = library.path.read_bytes()[:20]
    shared, aarch64 = 3, 183
    assert header[:4] == b"\x7fELF" and header[16] == shared and header[18] == aarch64


def test_every_kernel_is_among_them() -> None:
    target = Cpu("arm")
    nets = convolutions(), others()
    programs = [placed(graph_of(net), target, net.forced) for net in nets]
    programs.append(quantized(network(), target))
    for case in (BLOCK, replace(BLOCK, wide=None)):
        net, y = case.net(last=True)
        programs += [together(graph, target) for graph in (net.graph(y), coded(net, y))]
    programs += [compiled(make(), PASSES[passes], target) for make, passes in BINARY]
    used = {assignment.kernel for program in programs for assignment in program.placement}
    assert {kernel.name for kernel in KERNELS} == used
