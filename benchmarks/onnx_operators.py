"""Runs every operator case of the `onnx` package and writes docs/operators.md from the outcomes.

    python -m benchmarks.onnx_operators [--quick] [--only PATTERN] [--json FILE]

A case passes if the interpreter's results are within the case's own tolerance of those expected.
Many cases give shapes, axes or bounds as inputs. Shapes are static here, so those inputs become
constants before the import is tried again; such passes are counted apart, and so are cases of which
no input is left at run time.
"""

import contextlib
import io
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import Row, parse_options, publish, say, write_whole
from benchmarks.onnx_cases import Case, Outcome, run_case

DOCUMENT = Path(__file__).parent.parent / "docs" / "operators.md"
GOAL = 500
HEAD = """# ONNX operators

Written by `python -m benchmarks.onnx_operators` from the operator cases of the `onnx` package
({version}); do not edit. Each case is imported and run in the interpreter, and compared with its
expected results.

| outcome | cases |
|---|---|
"""
LEGEND = {
    "pass": "pass as they are",
    "bound": "pass with shape-like inputs (shapes, axes, bounds) given as constants",
    "folded": "pass with all inputs given as constants: computed while importing",
    "refused": "refused, naming operator, attribute and node",
    "wrong": "wrong results",
    "crash": "crash, or a valid model called invalid",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the cases; 1 if any is wrong or crashes."""
    options = parse_options("onnx_operators", "operator cases of the onnx package", argv)
    chosen = [case for case in collect() if options.selects(case.name)]
    outcomes = [run_case(case) for case in chosen[:: 20 if options.quick else 1]]
    counts = Counter(outcome.result for outcome in outcomes)
    for outcome in outcomes:
        if outcome.result in ("wrong", "crash"):
            say(f"{outcome.result}: {outcome.case}: {outcome.reason}")
    publish(options, rows(outcomes, counts), {"cases": len(outcomes)})
    if not options.quick and not options.only:
        write_whole(DOCUMENT, document(outcomes, counts))
    return int(counts["wrong"] + counts["crash"] > 0)


def collect() -> list[Case]:
    """The operator cases of the onnx package."""
    import onnx.backend.test.case.node as cases

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return [Case.of(case) for case in cases.collect_testcases("")]


def rows(outcomes: Sequence[Outcome], counts: Counter[str]) -> list[Row]:
    """The figures of a run."""
    passed = sum(outcome.passed for outcome in outcomes)
    refused: dict[str, dict[str, str]] = defaultdict(dict)
    for outcome in outcomes:
        if outcome.result == "refused":
            refused[outcome.operator][outcome.case] = outcome.reason
    return [
        Row("cases passed", passed, "cases", GOAL, ">=", dict(counts)),
        Row("cases wrong", counts["wrong"], "cases", 0, "<="),
        Row("cases that crash", counts["crash"], "cases", 0, "<="),
        Row("cases refused", counts["refused"], "cases", detail=refused),
    ]


def document(outcomes: Sequence[Outcome], counts: Counter[str]) -> str:
    """The text of docs/operators.md."""
    import onnx

    lines = [f"| {LEGEND[result]} | {counts[result]} |" for result in LEGEND]
    total = f"| all | {len(outcomes)} |\n"
    table = (
        "\n## By operator\n\n| operator | cases | pass | refused | why refused |\n"
        + "|---" * 5
        + "|\n"
    )
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.operator].append(outcome)
    body = [_line(name, groups[name]) for name in sorted(groups, key=str.lower)]
    head = HEAD.format(version=onnx.__version__)
    return head + "\n".join(lines) + "\n" + total + table + "\n".join(body) + "\n"


def _line(operator: str, outcomes: Sequence[Outcome]) -> str:
    passed = sum(outcome.passed for outcome in outcomes)
    reasons = Counter(brief(o.reason) for o in outcomes if o.result == "refused")
    shown = "; ".join(f"{why} ({n})" for why, n in reasons.most_common(4))
    more = len(reasons) - 4
    tail = f"; and {more} more" if more > 0 else ""
    return f"| {operator} | {len(outcomes)} | {passed} | {sum(reasons.values())} | {shown}{tail} |"


def brief(reason: str) -> str:
    """The part of a refusal that says why, short enough for a table."""
    text = reason.split(" is not supported: ", 1)[-1]
    for start in ("; supported are", "; inputs [", "; shapes are static"):
        text = text.split(start, 1)[0]
    if "has element type" in text:
        text = "element type" + text.rsplit("has element type", 1)[1]
    text = text.split(", which is computed", 1)[0]
    return text.replace("|", "\\|")[:90]


if __name__ == "__main__":
    sys.exit(main())
