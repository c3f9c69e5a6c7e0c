"""Element-wise ops on the CPU against torch: functions, special values, types, broadcasting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.interpret.integer import evaluate_integer
from codesign.ir.ops import OPS
from codesign.ir.ops.activation import Clip, Gelu, Prelu, Relu
from codesign.ir.ops.cast import Cast
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Binary, Div, Mod, Mul, Pow, Shift, Sub, Unary
from codesign.ir.ops.logic import IsInf, Logical, Not, Where
from codesign.ir.ops.unary import Reciprocal
from codesign.ir.parse import parse_program
from codesign.targets.tvm.target import Cpu
from tests.targets.tvm import int8_oracle as oracle
from tests.targets.tvm.harness import Net, f32, make, run

SPECIAL = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-40, 100.0, -100.0, 1.0]
POSITIVE = {"log", "sqrt", "rsqrt", "acosh"}
FUNCTIONS = sorted(
    kind for kind, op in OPS.items() if issubclass(op, Unary) and kind not in ("cast", "not")
)


def _functions(net: Net, dtype: str, tolerance: float) -> None:
    values = np.concatenate([net.random.uniform(-6, 6, 1000), SPECIAL]).astype(dtype)
    x, positive = net.given(values), net.given(np.abs(values) + values.dtype.type(1.01))
    bounded = net.given(np.where(np.isinf(values), 1, values).astype(dtype))
    for kind in FUNCTIONS:
        # torch's vectorized gelu makes NaN of infinity.
        source = positive if kind in POSITIVE else bounded if kind == "gelu" else x
        net.returns(net.op(make(kind), source), tolerance)


@pytest.mark.parametrize("isa", ["host", "x86"])
def test_functions_of_float32(isa: str) -> None:
    net = Net()
    _functions(net, "float32", 1e-6)
    net.returns(net.op(Gelu("tanh"), net.normal(37)), 1e-6)
    net.check(Cpu(isa))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-3), ("float64", 1e-12)])
def test_functions_of_other_floats(dtype: str, tolerance: float) -> None:
    net = Net()
    _functions(net, dtype, tolerance)
    net.check()


BINARY = sorted(k for k, op in OPS.items() if issubclass(op, Binary) and k != "shift")


def test_two_operands_of_every_type() -> None:
    net = Net()
    real = [net.normal(3, 5, 7), net.normal(5, 1)]
    edges = [
        net.given(np.repeat(f32(SPECIAL), len(SPECIAL))),
        net.given(np.tile(f32(SPECIAL), len(SPECIAL))),
    ]
    for kind in BINARY:
        op = OPS[kind]
        if not issubclass(op, Logical):
            net.returns(net.op(op(), *real), 1e-5)
            if kind not in ("mod", "pow"):
                net.returns(net.op(op(), *edges))
    for dtype in ("uint8", "int64"):
        a = net.given(net.random.integers(0, 100, (4, 33)).astype(dtype))
        b = net.given(net.random.integers(1, 7, (4, 1)).astype(dtype))
        for kind in BINARY:
            if kind != "pow":
                net.returns(net.op(make(kind), a, b))
        for left in (True, False):
            net.returns(net.op(Shift(left), a, b))
        net.returns(net.op(Mod(fmod=True), a, b))
    truth = [net.given(net.random.integers(0, 2, 40).astype(bool)) for _ in range(2)]
    for kind in ("and", "or", "xor", "equal"):
        net.returns(net.op(make(kind), *truth))
    net.returns(net.op(Not(), truth[0]))
    net.check()


def test_division_by_an_integer_zero_does_not_stop_the_process() -> None:
    net = Net()
    zero = net.given(np.zeros(20, np.int32))
    quotient = net.op(Div(), net.given(np.arange(20, dtype=np.int32)), zero)
    net.returns(net.op(Mul(), quotient, zero))
    program_result = np.zeros(20, np.int32)
    from codesign.ir.program import Program
    from tests.targets.tvm.harness import HOST, graph_of, run

    program = HOST.place(Program(graph_of(net)))
    (found,) = run(program, HOST, net.data).values()
    np.testing.assert_array_equal(found, program_result)


def test_casts_powers_and_choices() -> None:
    net = Net()
    values: dict[str, np.ndarray] = {
        "float32": net.random.uniform(-100, 100, 50).astype(np.float32),
        "int64": net.random.integers(-1000, 1000, 50),
        "uint8": net.random.integers(0, 255, 50).astype(np.uint8),
        "bool": net.random.integers(0, 2, 50).astype(bool),
    }
    given = {name: net.given(array) for name, array in values.items()}
    for value in given.values():
        for want in ("bool", "u8", "i8", "i32", "i64", "f16", "f32", "f64"):
            net.returns(net.op(Cast(want), value))
    x = net.given(f32([0.5, 2, 3.25, 0, 7]))
    for exponent in (0.5, 1.0, 2.0, 3.0, -1.0, 1.7):
        net.returns(net.op(Pow(), x, net.constant(f32(exponent))))
    a, b = net.normal(50), net.normal(1)
    net.returns(net.op(Where(), given["bool"], a, b))
    for positive, negative in ((True, False), (False, True), (False, False)):
        net.returns(net.op(IsInf(positive, negative), net.given(f32(SPECIAL))))
    net.check()


@settings(deadline=None, max_examples=4)
@given(st.data())
def test_broadcasting_of_chains(data: st.DataObject) -> None:
    """(x op a) op b with operands that lack or share axes, variables and constants."""
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    shape = (*shape, data.draw(st.sampled_from([1, 5, 16, 37])))
    net = Net()
    for _ in range(4):
        value = net.normal(*shape)
        for op in (Add(), Mul(), Sub()):
            lost = data.draw(st.integers(0, len(shape)))
            other = tuple(data.draw(st.sampled_from([1, extent])) for extent in shape[lost:])
            make = data.draw(st.sampled_from([net.normal, net.weight]))
            value = net.op(op, value, make(*other))
        net.returns(value)
    net.check()


@pytest.mark.parametrize("channels", [16, 24])
def test_blocked_chains_with_operands_of_every_kind(channels: int) -> None:
    """Behind a convolution: per channel, per pixel, per sample, plain and blocked, divided."""
    net = Net()
    shape = (2, channels, 5, 7)
    conv = Conv((1, 1), ((0, 0), (0, 0)))
    x = net.op(conv, net.normal(2, 16, 5, 7), net.weight(channels, 16, 1, 1))
    gate = net.op(conv, net.normal(2, 16, 1, 1, name="s"), net.weight(channels, 16, 1, 1))
    for operand in [
        gate,
        net.normal(channels, 1, 1),
        net.weight(1, channels, 1, 1),
        net.normal(2, 1, 5, 7),
        net.weight(5, 7),
        net.normal(*shape),
    ]:
        product = net.op(Mul(), x, operand)
        net.returns(net.op(Add(), net.op(Prelu(), product, net.weight(channels, 1, 1)), x))
    quotient = net.op(Div(), net.op(Relu(), x), net.op(Clip(0.5, 2.0), x))
    inverse = net.op(Reciprocal(), net.op(Clip(0.5, 2.0), quotient))
    net.returns(net.op(conv, inverse, net.weight(16, channels, 1, 1)))
    net.check()


@pytest.mark.parametrize("channels", [16, 24])
def test_comparisons_of_blocked_values(channels: int) -> None:
    """A bool between convolutions lies in blocks as its operands do, alone or fused away."""
    net = Net()
    conv = Conv((1, 1), ((0, 0), (0, 0)))
    x = net.op(conv, net.normal(2, 16, 5, 7), net.weight(channels, 16, 1, 1))
    above = net.op(make("greater"), x, net.weight(1))
    chosen = net.op(Where(), above, x, net.weight(7))
    other = net.op(Where(), net.op(Not(), above), net.weight(channels, 1, 1), x)
    for value in (chosen, other):
        net.returns(net.op(conv, value, net.weight(16, channels, 1, 1)))
    net.returns(above)
    program = net.check()
    assert program.graph.types[above].layout is not None


@pytest.mark.parametrize("isa", ["host", "x86", "generic"])
def test_functions_of_the_c_library_inside_chains(isa: str) -> None:
    net = Net()
    for last in (make("selu"), make("celu", 1.5), make("gelu")):
        net.returns(net.op(last, net.op(make("cos"), net.normal(1, 37))), 2e-6)
    net.check(Cpu(isa))


def test_long_chains_of_functions_are_cut_where_compiling_would_take_minutes() -> None:
    net = Net()
    for kinds in (["sigmoid"] * 3, ["elu"] * 7, ["log", "softplus", "gelu", "mish", "tanh", "exp"]):
        value = net.op(make("abs"), net.normal(3, 37))
        for kind in kinds:
            value = net.op(make(kind), net.op(Add(), value, net.constant(f32(1.5))))
        net.returns(value)
    assert len(net.check().placement) == 3 + 3 + 5


UNIFORM = """graph "g"(%x: tensor<1x1x1xf32>) {
  %b: tensor<1x1x1xf32, tiled<1, 16>> = relayout(%x)
  %t: tensor<1x1x1xf32, tiled<1, 16>> = tanh(%b)
  %m: tensor<1x1x1xf32, tiled<1, 16>, int<8, scale=f32:0.01, signed=false>> = mul(%t, %b)
  %d: tensor<1x1x1xf32, tiled<1, 16>> = decode(%m)
  %y: tensor<1x1x1xf32> = relayout(%d)
  return %y as "y"
}
place "cpu" {
  relayout(%b)
  elementwise(%t, %m)
  elementwise(%d)
  relayout(%y)
}
"""


@pytest.mark.parametrize("isa", oracle.runnable())
def test_a_function_of_the_only_channel_in_a_block(isa: str) -> None:
    """One value for all lanes, in which names are bound."""
    program, x = parse_program(UNIFORM, {}), np.full((1, 1, 1), 0.8, np.float32)
    found, want = run(program, Cpu(isa), {"x": x}), evaluate_integer(program.graph, {"x": x})
    np.testing.assert_array_equal(found["y"], want["y"])
