"""`codesign demo`: a small trained network, compiled three ways and compared."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli import options
from codesign.cli.output import console, result, say, settings
from codesign.cli.progress import progress
from codesign.cli.tables import ms, percent, show_table, size

if TYPE_CHECKING:
    from codesign.demo.compare import Outcome


def demo_verb(
    target: options.TargetSpec = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Keep the artifacts in this folder.")
    ] = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Compile a small Fashion-MNIST network in fp32, int8, and pruned + factorized + int8.

    Shows what each pass changed and, for each variant, accuracy, size and latency here, with ONNX
    Runtime beside it if it is installed.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch gains nothing on images this small
    with tempfile.TemporaryDirectory(prefix="codesign-demo-") as scratch:
        outcomes, peers = compare(target or "cpu", output or Path(scratch), Path(scratch))
    if settings.json:
        rows = {"codesign": outcomes, "onnxruntime": peers}
        result({name: [row.json() for row in found] for name, found in rows.items()})
        return
    show_comparison(outcomes, peers)
    if output is not None:
        say(f"the artifacts are in {output}; try: codesign explain {output}/int8")


def compare(target: str, output: Path, scratch: Path) -> "tuple[list[Outcome], list[Outcome]]":
    """All variants, then ONNX Runtime's."""
    from codesign.compiler import prepare, run_passes
    from codesign.demo.compare import VARIANTS, load_demo, race, run_variant
    from codesign.demo.peer import installed, run_peer

    say("loading the network")
    program = load_demo()
    outcomes = []
    for name, recipe in VARIANTS.items():
        with progress(name) as report:
            outcomes.append(run_variant(name, program, target, output / recipe, report))
        if not settings.json:
            show_ledger(outcomes[-1])
    if not installed():
        say("onnxruntime is not installed: no comparison with it")
        return race(outcomes), []
    with progress("onnxruntime"):
        job = prepare(program, target, ["fold-batch-norm", "dead-code"])
        peers = run_peer(run_passes(job.unscheduled()).graph, scratch)
        timed = race([*outcomes, *peers])
    return timed[: len(outcomes)], timed[len(outcomes) :]


def show_ledger(outcome: "Outcome") -> None:
    """The ledger of one variant."""
    from codesign.cli.ledger import show_ledger as show

    show(outcome.ledger, outcome.name)


def show_comparison(outcomes: "Sequence[Outcome]", peers: "Sequence[Outcome]") -> None:
    """A row a contender."""
    base = outcomes[0]
    rows = [("codesign", row) for row in outcomes] + [("onnxruntime", row) for row in peers]
    show_table(
        "Fashion-MNIST: the artifacts on all 4,000 test images, one at a time, one thread",
        (
            ("by", lambda row: row[0]),
            ("variant", lambda row: row[1].name),
            ("accuracy", lambda row: percent(row[1].accuracy)),
            ("points", lambda row: f"{(row[1].accuracy - base.accuracy) * 100:+.2f}"),
            ("weights", lambda row: size(row[1].weight_bytes)),
            ("all files", lambda row: size(row[1].file_bytes)),
            ("latency ms", lambda row: ms(row[1].latency_ms)),
            ("speed-up", lambda row: f"{base.latency_ms / row[1].latency_ms:.2f}x"),
        ),
        rows,
        left=2,
    )
    for row in outcomes:
        if step := in_float(row):
            console().print(
                f"{row.name}: {step} left every layer in float, for 8 bits are not predicted to be "
                "faster on this target (option slower=true takes them all the same)",
                markup=False,
            )
    if not peers:
        console().print("onnxruntime is not installed; pip install onnxruntime to compare")


def in_float(outcome: "Outcome") -> str:
    """The quantizing pass of a variant if it changed nothing, else nothing."""
    steps = (row for row in outcome.ledger if row["step"].startswith("quantize-int8"))
    return next((row["step"] for row in steps if row["remark"].startswith("changed nothing")), "")
