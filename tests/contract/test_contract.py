"""The contract suite finds what is broken, blames nothing else, and passes what is not."""

from collections.abc import Mapping

import numpy as np
import pytest

from codesign import plugins
from codesign.contract.cases import Case, cases
from codesign.contract.coded import coded
from codesign.contract.samples import SAMPLES
from codesign.contract.suite import check_target
from codesign.errors import UnknownNameError
from codesign.interpret.integer import IntegerInterpreter
from codesign.ir.verify import verify_graph
from codesign.tune.work import random_inputs
from tests.contract import broken
from tests.contract.broken import TABLE, Plain

BUILT_IN = sorted(set(plugins.table("target")) - {"machine"})


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The targets of these tests, beside the others."""
    known: Mapping[str, str] = {**plugins.table("target"), **TABLE}
    monkeypatch.setattr(plugins, "table", lambda what: known)


def test_a_target_that_keeps_the_contract_passes() -> None:
    report = check_target(Plain(), "[lms]*")  # linear, matmul, softmax
    assert report.ok
    found = {(row.check, row.outcome) for row in report.rows}
    checks = (
        "spec",
        "kernels",
        "refuse",
        "place",
        "text",
        "verify",
        "cost",
        "grows",
        "run",
        "widths",
    )
    assert found >= {(check, "ok") for check in checks}
    (alone,) = {r.why for r in report.rows if r.outcome == "not run"}
    assert "layers are in float: %matmul" in alone


BROKEN = {
    broken.WrongNumbers: ({"run"}, "elements of out have other bits; at ["),
    broken.EmptyRefusal: ({"refuse"}, "host refuses %linear without demand or bound"),
    broken.EndlessCost: ({"cost"}, "energy_uj of linear %linear is inf"),
    broken.FallingCost: ({"grows"}, "twice the output channels takes"),
    broken.UnreadableText: ({"text"}, "reads back as another program"),
    broken.RaisingCost: ({"place", "cost", "widths"}, "it raised ZeroDivisionError: no lanes"),
    broken.MisspeltAnchor: ({"kernels"}, "mapped starts from conv-transpose: no kind of op"),
    broken.ForgetfulSpec: ({"spec"}, "'forgetful-spec' makes another target"),
    broken.EmptyOffer: ({"widths"}, "offered, but no sample is taken in them"),
    broken.Fickle: ({"verify", "run"}, "not any more"),
}


@pytest.mark.parametrize("target", BROKEN, ids=lambda cls: cls.name)
def test_what_is_broken_is_found_and_nothing_else_blamed(target: type[Plain]) -> None:
    checks, words = BROKEN[target]
    made = target(seconds=1.0) if target is broken.ForgetfulSpec else target()
    report = check_target(made, "linear")
    found = [row for row in report.rows if row.outcome == "failed"]
    assert {row.check for row in found} == checks
    assert any(words in row.why for row in found), found
    assert not report.ok


def test_sums_that_saturate_are_said_and_are_no_fault() -> None:
    report = check_target(broken.Narrow(), "linear")
    assert report.ok
    why = [row.why for row in report.rows if row.outcome == "refused"]
    assert why and all("sums saturate in the accumulators of narrow" in text for text in why)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_targets_of_this_project_keep_it(name: str) -> None:
    report = check_target(plugins.make("target", name), "linear")
    assert report.ok, [str(row) for row in report.rows if row.outcome == "failed"]
    ran = [row for row in report.rows if row.check == "run"]
    assert ran and all(row.outcome == "ok" for row in ran)


def test_what_a_machine_follows_other_rules_for_may_fall() -> None:
    def minimized(target: str) -> set[str]:
        made: Plain = plugins.make("target", target)
        return set(made.minimizes)

    assert minimized("cpu") == minimized("tpu_v1") == {"latency", "energy"}
    assert minimized("bitfusion") == {"latency"}  # then what DRAM moves
    assert minimized("eyeriss") == set() and len(minimized("eyeriss{objective=edp}")) == 2


def test_a_pattern_that_matches_nothing_is_told() -> None:
    with pytest.raises(UnknownNameError, match="unknown sample 'nothing'"):
        check_target(Plain(), "nothing")


def test_targets_of_floats_are_tried_in_float_and_in_codes() -> None:
    (sample,) = (one for one in SAMPLES if one.name == "linear")
    cpu, plain = plugins.make("target", "cpu"), Plain()
    assert [case.widths for case in cases(sample, cpu)] == [None, (8, 8)]
    assert [case.widths for case in cases(sample, plain)] == [(8, 8)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_samples_grow_as_they_are_asked_to(sample: object) -> None:
    case = Case(sample)  # type: ignore[arg-type]
    once, twice, wide = case.graph(), case.graph(batch=2), case.graph(times=2)
    (size,) = (graph.types[graph.outputs[0]].size for graph in (once,))
    assert twice.types[twice.outputs[0]].size == 2 * size
    assert wide.types[wide.outputs[0]].size == 2 * size


@pytest.mark.parametrize("widths", [(2, 2), (8, 8), (16, 4), (4, 16), (16, 16)])
@pytest.mark.parametrize("name", ["conv strided", "residual", "classifier"])
def test_codes_use_their_width_and_sums_fit_32_bits(name: str, widths: tuple[int, int]) -> None:
    (sample,) = (one for one in SAMPLES if one.name == name)
    graph = coded(sample.graph(), widths)
    verify_graph(graph)
    layers = [node for node in graph.nodes if node.kind in ("conv", "linear")]
    run = IntegerInterpreter(graph)
    run.run(random_inputs(graph, np.random.default_rng(0)))
    for node in layers:
        kinds = [graph.types[v].integer for v in node.operands[:2]]
        assert [kind and kind.width for kind in kinds] == [widths[1], widths[0]]
        assert np.abs(run.sums(node)).max() < 2**31
        assert np.abs(run.code(node.operands[1])).max() == 2 ** (widths[0] - 1) - 1
    given = run.code(layers[0].operands[0])
    assert given.max() - given.min() > 2 ** (widths[1] - 2)
