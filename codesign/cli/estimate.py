"""`codesign estimate`: what each layer would cost, without building anything."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli.asked import Asked, asking
from codesign.cli.output import console, result, settings
from codesign.cli.progress import progress
from codesign.cli.tables import count, ms, percent, show_table, size
from codesign.errors import UsageError

if TYPE_CHECKING:
    from codesign.analysis.estimate import Estimate
    from codesign.mapping.target import Target
    from codesign.progress import Progress


Sweep = Annotated[
    str | None,
    typer.Option(
        "--sweep",
        metavar="RANGES",
        help='Over options of the target: "array=8x8..32x32,dataflow=ws|os".',
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="With --sweep: keep each point here as it is done; run again to go on.",
    ),
]


@asking
def estimate_verb(asked: Asked, sweep: Sweep = None, output: Output = None) -> None:
    """Estimate cycles, latency, utilization and traffic of each layer on a target.

    Energy too where the target knows it. With --sweep the totals for each of several targets, and
    which of them no other beats in both latency and energy.
    """
    from codesign.compiler import estimate_job

    if sweep is not None:
        show_sweep(asked, sweep, output)
        return
    if output is not None:
        raise UsageError("--output keeps the points of a --sweep; give that too")
    with progress("estimate") as report:
        work = asked.job(report)
        estimate = estimate_job(work)
    if settings.json:
        head = {"model": work.program.graph.name, "target": work.target.spec}
        result({**head, **estimate.json()})
    else:
        show_estimate(estimate, f"{work.program.graph.name} on {work.target.spec}")


def show_sweep(asked: Asked, text: str, records: Path | None) -> None:
    """A row a target, the totals; all of them and the file are checked before the model is read."""
    from codesign.cli.request import check_output_file, choose
    from codesign.compiler import estimate_job, with_target
    from codesign.identity import job_identity, target_identity
    from codesign.points import check
    from codesign.sweep import made, points, swept
    from codesign.tune.informed import informed

    chosen = choose(asked.recipe, asked.passes, asked.assignments, "default")
    base = asked.target if asked.target is not None else chosen.target or "cpu"
    threads = {} if asked.threads is None else {"threads": asked.threads}
    targets = made(points(base, text, threads))
    if records is not None:
        check_output_file(records, Path(asked.model))
        check(records)
    with progress("estimate") as report:
        work = replace(asked, target=next(iter(targets)), threads=None).job(report)
        name, of = work.program.graph.name, job_identity(work)
        targets = {
            text: informed(target, asked.tuning_records, asked.device)
            for text, target in targets.items()
        }

        def estimate(target: "Target", part: "Progress") -> "Estimate":
            one = with_target(work, target)
            return estimate_job(replace(one, context=replace(one.context, progress=part)))

        found = swept(targets, lambda one: target_identity(of, one), estimate, records, report)
    if settings.json:
        result({"model": name, "sweep": text, "points": [one.json() for one in found]})
        return
    columns = (
        ("target", lambda x: x.target),
        ("best", lambda x: "*" if x.best else ""),
        ("cycles", lambda x: "" if x.refused else count(x.cycles)),
        ("ms", lambda x: "" if x.refused else ms(x.latency_ms)),
        ("uJ", lambda x: count(x.energy_uj)),
        ("refused", lambda x: x.refused),
    )
    show_table(f"{name}: * where no other target is better in both", columns, found, left=2)


def show_estimate(estimate: "Estimate", title: str) -> None:
    """A row a layer, and the sum."""
    show_table(
        title,
        (
            ("layer", lambda x: f"%{x.name}"),
            ("op", lambda x: x.op),
            ("kernel", lambda x: x.kernel),
            ("bound", lambda x: x.bound),
            ("MACs", lambda x: count(x.macs)),
            ("cycles", lambda x: count(x.cycles)),
            ("ms", lambda x: ms(x.latency_ms)),
            ("from", lambda x: x.origin if estimate.tuned else ""),
            ("+-", lambda x: "" if x.error is None else percent(x.error)),
            ("uJ", lambda x: count(x.energy_uj)),
            ("utilization", lambda x: percent(x.utilization)),
            ("traffic", lambda x: ", ".join(f"{k} {size(v)}" for k, v in x.traffic_bytes.items())),
        ),
        estimate.layers,
        left=4,
    )
    console().print(f"total: {totals(estimate)}")
    for remark in estimate.remarks:
        console().print(remark, markup=False)
    if estimate.tuned:
        console().print(
            f"tuned: {estimate.tuned} of {len(estimate.layers)} layers have schedule and time of a "
            "tuning record, cycles and utilization follow; --tuning-records none leaves them aside"
        )


def totals(estimate: "Estimate") -> str:
    """Time, cycles and energy of all layers, as far as they are known, and their work."""
    cycles = sum(layer.cycles for layer in estimate.layers)
    parts = [f"{ms(estimate.latency_ms)} ms{error_bar(estimate)}"]
    parts += [f"{count(cycles)} cycles"] if cycles else []
    parts += [f"{count(estimate.energy_uj)} uJ"] if estimate.energy_uj is not None else []
    return ", ".join([*parts, f"{count(estimate.macs)} MACs"])


def error_bar(estimate: "Estimate") -> str:
    """How far the total may be off, and which part of it that leaves out; "" if unknown."""
    error, unsure = estimate.error_ms, estimate.unsure
    if error is None:
        return ""
    text = f"+- {ms(error)} ms if all layers are off the same way"
    if unsure:
        share = sum(layer.latency_ms for layer in unsure) / estimate.latency_ms
        text += f"; {len(unsure)} layers have no error bar, {share:.0%} of the time"
    return f" ({text})"
