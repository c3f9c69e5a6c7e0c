"""The text form: prints and parses back, whatever the names and numbers; broken text is refused."""

import random
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import InvalidModelError, VerificationError
from codesign.ir.attributes import check_attributes
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.dtype import DType
from codesign.ir.encoding import Encodings
from codesign.ir.encodings import ENCODINGS, NM, TT, Codebook, Int, Minifloat
from codesign.ir.ops import OPS
from codesign.ir.ops.activation import Clip
from codesign.ir.ops.convolution import Conv
from codesign.ir.parse import parse_program, parse_type
from codesign.ir.program import Assignment, Program
from codesign.ir.text import DIGITS, named_constants, print_const, print_literal, print_program
from codesign.ir.types import TensorType
from tests.ir.encodings_strategies import SHAPES, encodings
from tests.ir.graph_strategies import programs


def encoding_constants(nest: Encodings) -> dict[str, Const]:
    found = [value for e in nest for value in vars(e).values() if isinstance(value, Const)]
    return {const.digest[:DIGITS]: const for const in found}


@settings(deadline=None, max_examples=100)
@given(st.data(), SHAPES, st.sampled_from([DType.F16, DType.F32, DType.F64]))
def test_types_parse_back(data: st.DataObject, shape: tuple[int, ...], dtype: DType) -> None:
    nest = data.draw(encodings(shape))
    kind = TensorType(shape, dtype, nest)
    assert parse_type(str(kind), encoding_constants(nest)) == kind


@settings(deadline=None, max_examples=60)
@given(programs())
def test_programs_parse_back(program: Program) -> None:
    text = print_program(program)
    back = parse_program(text, named_constants(program.graph))
    assert back == program
    assert print_program(back) == text


def sample() -> Program:
    b = Builder("net")
    x = b.input("x", (1, 4, 8, 8))
    scale = Const([0.1, 0.2, 0.3, 0.4], "float32")
    w = b.constant(np.ones((4, 4, 3, 3), np.float32), "w", (NM(), Int(8, scale, axis=0)))
    table = Codebook(Const([0.0, -1.5, 2.0], "float32"))
    k = b.constant(np.array([1, 2, 3, 4], np.float32), "k", (table,))
    y = b.op(Conv(), x, w, k, name="y")
    z = b.op(Clip(low=0.0, high=6.0), y, name='odd name\n"é"')
    graph = b.graph(z, y, output_names=["logits", "y"])
    first = Assignment("conv-direct", ("y",), (("tile", 7), ("order", ("m", "c")), ("s", 0.5)))
    return Program(graph, "cpu{threads=2}", (first, Assignment("3x3 nan", (z,))))


GOLDEN = """\
graph "net"(%x: tensor<1x4x8x8xf32>) {
  const %w: tensor<4x4x3x3xf32, nm<2, 4>, int<8, scale=f32:[0.1, 0.2, 0.3, 0.4], axis=0>> = @W
  const %k: tensor<4xf32, codebook<f32:[0.0, -1.5, 2.0]>> = f32:[1.0, 2.0, 3.0, 4.0]
  %y: tensor<1x4x6x6xf32> = conv(%x, %w, %k)
  %"odd name\\n\\"\\u00e9\\"": tensor<1x4x6x6xf32> = clip(%y) {low=0.0, high=6.0}
  return %"odd name\\n\\"\\u00e9\\"" as "logits", %y
}
place "cpu{threads=2}" {
  conv-direct(%y) {tile=7, order=("m", "c"), s=0.5}
  "3x3 nan"(%"odd name\\n\\"\\u00e9\\"")
}
"""


def test_the_text_of_a_program() -> None:
    program = sample()
    (name,) = named_constants(program.graph)
    assert print_program(program) == GOLDEN.replace("@W", f"@{name}")
    assert parse_program(str(program), named_constants(program.graph)) == program


def test_comments_spaces_and_named_fields() -> None:
    loose = "tensor<4x8xf32, # comment > with\n nm<2,m=4>,int < width = 8 > >"
    assert parse_type(loose) == TensorType((4, 8), encodings=(NM(), Int(8)))
    assert parse_type("tensor<f32>") == TensorType(())
    assert parse_type("tensor<0x3xi64>") == TensorType((0, 3), DType.I64)


def test_numbers_are_exact() -> None:
    floats = [0.1, 1e-45, 3.4028235e38, -0.0, 16777217.0, 1 / 3, float("inf"), -float("inf")]
    for dtype in ("float16", "float32", "float64"):
        with np.errstate(over="ignore"):
            consts = [Const(np.asarray(value).astype(dtype)) for value in floats]
        for const in consts:
            kind = TensorType((2,), encodings=(Codebook(const),))
            text = str(kind).replace("tensor<2xf32, codebook<", "").removesuffix(">>")
            assert text == print_const(const)
            b = Builder()
            value = b.constant(const, "c")
            graph = b.graph(value)
            assert parse_program(str(graph), {}).graph == graph
    for integer in (2**63 - 1, -(2**63), 2**64 - 1):
        b = Builder()
        graph = b.graph(b.constant(np.array(integer), "c"))
        assert parse_program(str(graph), {}).graph == graph


def test_nan() -> None:
    """NaN constants keep their bits, beside the text; NaN attributes print and read as nan."""
    payload = np.array([0x7FC00001, 0xFFC00000], np.uint32).view(np.float32)
    b = Builder()
    x = b.input("x", (2,))
    clip = b.op(Clip(low=float("nan")), x)
    graph = b.graph(b.constant(payload, "c"), clip)
    text = str(graph)
    assert "{low=nan}" in text
    back = parse_program(text, named_constants(graph)).graph
    assert back.constants == graph.constants
    assert str(back) == text


def test_what_has_no_text_form() -> None:
    with pytest.raises(VerificationError, match="no text form"):
        print_literal([1, 2])
    assert print_literal((np.int64(3), np.float32(0.5), np.float64(2), True, None)) == (
        "(3, 0.5, 2.0, true, none)"
    )


def test_declared_types_of_attributes() -> None:
    for table in (OPS, ENCODINGS):
        for cls in table.values():
            check_attributes(cls())
    for wrong in (
        Clip(low="0"),  # type: ignore[arg-type]
        Clip(low=True),
        Conv(strides=[1, 1]),  # type: ignore[arg-type]
        Conv(strides=(1, 1.0)),  # type: ignore[arg-type]
        Conv(pads=((0, 0, 0), (0, 0))),  # type: ignore[arg-type]
        Conv(groups=np.int64(1)),  # type: ignore[arg-type]
        Int(8, axis=True),
        Int(8, scale=1.0),  # type: ignore[arg-type]
        Minifloat(special="ieee"),  # type: ignore[arg-type]
        TT(((1, 1, 1),)),  # type: ignore[arg-type]
    ):
        with pytest.raises(VerificationError, match="expected"):
            check_attributes(wrong)
    check_attributes(Clip(low=0, high=6))
    check_attributes(Int(8, axis=None))


BROKEN = [
    ("graph net(%x: tensor<1xf32>) {\n return %x\n}", 1, "quoted string"),
    ('graph "n"(%x: tensor<1xf32>) {\n return %x', 2, "','"),
    ('graph "n"(%x: tensor<1xf32>) {\n\n  %y = relu(%x)\n return %y\n}', 3, "':'"),
    ('graph "n"(%x: tensor<1xf32>) {\n\n  %y: tensor<1xf32> = rleu(%x)\n}', 3, "relu"),
    ('graph "n"(%x: tensor<1xf32>) {\n  %y: tensor<1xf32> = relu(%x) {a=1}\n}', 2, "no 'a'"),
    ('graph "n"(%x: tensor<1xf32>) {\n  %y: tensor<1xf32> = clip(%x) {low="1"}\n}', 2, "expected"),
    (
        'graph "n"(%x: tensor<1xf32>) {\n  %y: tensor<1xf32> = clip(%x) {low=1, low=2}\n}',
        2,
        "twice",
    ),
    ('graph "n"(%x: tensor<1xf33>) {\n return %x\n}', 1, "f33"),
    ('graph "n"(%x: tensor<1xf32, int<9, 9>>) {\n return %x\n}', 1, "a name"),
    ('graph "n"(%x: tensor<1xf32, nmm<2>>) {\n return %x\n}', 1, "nm"),
    ('graph "n"(%x: tensor<1xf32>) {\n const %x: tensor<f32> = f32:1\n return %x\n}', 2, "twice"),
    ('graph "n"(%x: tensor<1xf32>) {\n const %c: tensor<f32> = f32:u\n return %x\n}', 2, "number"),
    ('graph "n"(%x: tensor<1xf32>) {\n const %c: tensor<u8> = u8:256\n return %x\n}', 2, "fit u8"),
    ('graph "n"(%x: tensor<1xf32>) {\n const %c: tensor<u8> = @0123\n return %x\n}', 2, "@0123"),
    ('graph "n"(%x: tensor<1xf32>, %x: tensor<1xf32>) {\n return %x\n}', 1, "twice"),
    ('graph "n"(%x: tensor<1xf32>) {\n return %x\n}\n}', 4, "the end"),
    ('graph "n\\q"(%x: tensor<1xf32>) {\n return %x\n}', 1, "JSON"),
    ('graph "n"(%x: tensor<1xf32>) {\n return ?\n}', 2, "unexpected"),
    ("", 1, "'graph'"),
    ("\n\n" + '"', 3, "unexpected"),
]


@pytest.mark.parametrize(("text", "line", "message"), BROKEN)
def test_errors_name_the_line(text: str, line: int, message: str) -> None:
    with pytest.raises(InvalidModelError) as caught:
        parse_program(text, {})
    assert str(caught.value).startswith(f"line {line}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "tensor<",
        "tensor<" + "9" * 30 + "xf32>",
        "tensor<2x3>",
        "tensor<f32xf32>",
        "tensor<1xf32, int<" + "9" * 5000 + ">>",
        "tensor<1xf32, tt<" + "(" * 5000 + ">>",
        "tensor<1xf32, int<",
        "tensor<1xf32, int<8",
        "tensor<1xf32, int<8,",
        "tensor<1xf32, int<8>> 1",
        "tensor<1xf32, codebook<f32:[true, 1.0, (1)]>>",
        "tensor<1xf32, codebook<i8:[1.0e99, 1.0]>>",
        "tensor<1xf32, codebook<i8:[inf, nan]>>",
        "tensor<\u0663xf32>",
        "1" * 20_000 + "z",
    ],
)
def test_broken_types(text: str) -> None:
    with pytest.raises(InvalidModelError, match="line 1: "):
        parse_type(text)


PIECES = ["(", ")", "<", ">", "{", "}", "[", "]", ",", ":", "=", '"', "%", "@", "none", "-1", "0"]
PIECES += ["inf", "nan", "x", "f32", "\n", "true", "999999999999", "int<8>", "1x0xf32", "é", "0.5"]
PIECES += ["as", "return", "const", "place", "(1, 1)", '"s"', "%y", "%x", "f32:1.0", "axis=7"]


def mutate(text: str, chance: random.Random) -> str:
    """`text` with one to three deletions, insertions, copies or replacements."""
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(text) + 1)
        stop = min(len(text), start + chance.choice([0, 1, 1, 3, 9]))
        piece = chance.choice([*PIECES, "", "", text[stop : stop + 5], chr(chance.randrange(128))])
        text = text[:start] + piece + text[stop:]
    return text


def fuzzed() -> list[tuple[str, Mapping[str, Const]]]:
    """The sample, and each op whose defaults take one image or two."""
    found = []
    for kind, cls in OPS.items():
        for count in (1, 2):
            b = Builder(kind)
            x = b.input("x", (2, 4, 4, 4))
            with suppress(VerificationError):
                found.append(Program(b.graph(b.op(cls(), *[x] * count, name="y"))))
                break
    assert len(found) > 60
    found += [sample()] * len(found)
    return [(str(p), named_constants(p.graph)) for p in found]


def test_mutated_texts_are_read_or_refused() -> None:
    """Whatever the text: a verified program, or an error of ours."""
    chance, texts, read = random.Random(0), fuzzed(), 0
    for round_ in range(2000):
        text, constants = texts[round_ % len(texts)]
        broken = mutate(text, chance)
        try:
            program = parse_program(broken, constants)
        except (InvalidModelError, VerificationError):
            continue
        read += 1
        assert parse_program(str(program), {**constants, **named_constants(program.graph)})
    assert 20 < read < 1800


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (lambda: parse_program(text, {}), lambda: parse_type(text)):
        with pytest.raises((InvalidModelError, VerificationError)):
            read()
