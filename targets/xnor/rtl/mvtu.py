"""The matrix unit: rows of products and trees of adders, sums, thresholds."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed

from codesign.targets.xnor.engine import Mvtu
from codesign.targets.xnor.rtl.fifo import Link
from codesign.targets.xnor.rtl.form import Form
from codesign.targets.xnor.rtl.parts import (
    all_of,
    counter,
    delayed,
    kept,
    nest,
    ones,
    table,
    total,
)
from codesign.targets.xnor.rtl.search import Search, search


@dataclass(frozen=True)
class MatrixWords:
    """What a matrix unit holds: words of its weights, the thresholds of each output, None: sums."""

    words: tuple[int, ...]
    weight_bits: int
    weights_binary: bool
    form: Form
    searches: tuple[Search | None, ...]
    blocks: bool  # whether weights lie in blocks of RAM
    kept_in_blocks: bool


def mvtu(engine: Mvtu, held: MatrixWords, into: Link, out: list[Link]) -> Module:
    """Step t: products and their tree; t + 1: the sum; a bit of a code in each cycle from then."""
    m, go = Module(), Signal()
    step, fold = nest(m, (("step", engine.steps), ("fold", engine.folds)), go)
    first = fold.value == 0
    m.d.comb += [
        go.eq((~first | into.there) & (~step.last | all_of([link.room for link in out]))),
        into.take.eq(go & first),
        *(link.claim.eq(go & step.last) for link in out),
    ]
    word = _word(m, engine, held, into, step, first)
    at = counter(m, "at", len(held.words), go)
    width = engine.pe * engine.simd * held.weight_bits
    weights = table(m, "weights", held.words, width, at.ahead, held.blocks)
    sums = _sums(m, engine, held, word, weights, (go, step.value == 0))
    done, place = delayed(m, go & step.last, 1), delayed(m, fold.value, 1)
    for link, one in zip(out, held.searches, strict=True):
        _leave(m, engine, link, one, sums, done, place)
    return m


def _word(m: Module, engine: Mvtu, held: MatrixWords, into: Link, step: Any, first: Any) -> Any:
    """The inputs of a step: from outside for the first rows, kept for the others."""
    if engine.folds == 1:
        return into.word
    memory = kept(m, "kept", engine.steps, into.stream.width, step, held.kept_in_blocks)
    memory.keep(into.take, into.word)
    return Mux(first, into.word, memory.word)


def _sums(
    m: Module, engine: Mvtu, held: MatrixWords, word: Any, weights: Any, when: tuple[Any, Any]
) -> list[Any]:
    """The sum of each row, two cycles' work; it is right in the cycle after the last step."""
    go, begins = when
    now, fresh = delayed(m, go, 1), delayed(m, begins, 1)
    size, found = engine.simd * held.weight_bits, []
    for p in range(engine.pe):
        tree = _row(engine, held, word, weights[p * size : (p + 1) * size])
        part = Signal(signed(engine.sums), name=f"part{p}")
        kept_sum, sum_ = Signal(signed(engine.sums)), Signal(signed(engine.sums), name=f"sum{p}")
        m.d.sync += part.eq(tree)
        m.d.comb += sum_.eq(Mux(fresh, 0, kept_sum) + part)
        with m.If(now):
            m.d.sync += kept_sum.eq(sum_)
        found.append(sum_)
    return found


def _row(engine: Mvtu, held: MatrixWords, word: Any, weights: Any) -> Any:
    """The sum of the products of a row in a step."""
    inputs, simd = engine.simd * engine.input_bits, engine.simd
    valid = ~word[inputs:] if engine.masked else Const(1, 1)
    if engine.signs:
        same = ~(word[:inputs] ^ weights)
        if not engine.masked:
            return (ones(same) << 1) - simd
        return (ones(same & _spread(valid, engine)) << 1) - ones(valid) * engine.masked
    if held.weights_binary and held.form == Form(
        1, False
    ):  # of 0 and 1: those by +1 twice, less all
        given = word[:inputs] & _spread(valid, engine) if engine.masked else word[:inputs]
        return (ones(given & weights) << 1) - ones(given)
    terms = []
    for s in range(simd):
        code = word[s * engine.input_bits : (s + 1) * engine.input_bits]
        weight = weights[s * held.weight_bits : (s + 1) * held.weight_bits]
        product = _product(held, code, weight)
        terms.append(Mux(valid[s // engine.masked], product, 0) if engine.masked else product)
    return total(terms)


def _spread(valid: Any, engine: Mvtu) -> Any:
    """A bit for each lane of one for `masked` of them."""
    return Cat(*(v.replicate(engine.masked) for v in valid))


def _product(held: MatrixWords, code: Any, weight: Any) -> Any:
    """A product of multiples; by signs without a multiplier."""
    given = held.form.multiple(code)
    if held.weights_binary:
        return Mux(weight[0], given, -given)
    number = weight.as_signed()
    if held.form.binary:
        return Mux(code[0], number, -number)
    if held.weight_bits == 2:
        return Mux(weight[0], Mux(weight[1], -given, given), Mux(weight[1], -(given << 1), 0))
    return given * number


def _leave(
    m: Module,
    engine: Mvtu,
    link: Link,
    held: Search | None,
    sums: list[Any],
    done: Any,
    fold: Any,
) -> None:
    """Sums or codes of an output, `latency` cycles after the last step of their fold."""
    late = max(engine.levels)
    if held is None:
        made, spent = Cat(*sums), 0
    else:
        made, spent = search(m, link.stream.name, held, sums, fold), held.bits
    m.d.comb += [
        link.push.eq(delayed(m, done, late)),
        link.given.eq(delayed(m, made, late - spent)),
    ]
