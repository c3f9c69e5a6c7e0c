"""`codesign compile`: a model to an artifact."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli import options
from codesign.cli.asked import Asked, asking
from codesign.cli.output import result, say, settings
from codesign.cli.progress import progress

if TYPE_CHECKING:
    from codesign.compiler import Job
    from codesign.runtime.compiled import Compiled


@asking
def compile_verb(
    asked: Asked,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    validation: options.Validation = None,
    score_samples: options.ScoreSamples = None,
    measure: Annotated[
        str, typer.Option(help="Rows of the ledger to time: none, ends or all.")
    ] = "ends",
    require_speedup: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Undo a pass that does not make the program X times faster here."
        ),
    ] = None,
    dry_run: options.DryRun = False,
) -> None:
    """Compile MODEL for a target and write the artifact to a folder."""
    from codesign.cli.request import check_output
    from codesign.compiler import check_measure, compile_job

    check_output(output)
    how = check_measure(measure)
    with progress("compile") as report:
        work = asked.job(
            report,
            validation=validation,
            score_samples=score_samples,
        )
        if dry_run:
            work.check_training()
            compiled = None
        else:
            compiled = compile_job(work, how, require_speedup)
            compiled.save(output)
    if compiled is None:
        show_plan(work, output)
    else:
        show_compiled(compiled, output)


def show_plan(work: "Job", output: Path) -> None:
    """What would be done: the recipe with every option."""
    if settings.json:
        result({"output": str(output), "recipe": work.recipe})
        return
    import yaml

    say(f"would compile {work.program.graph.name} and write {output} with this recipe:")
    typer.echo(yaml.safe_dump(work.recipe, sort_keys=False).rstrip())


def show_compiled(compiled: "Compiled", output: Path) -> None:
    """The ledger and where everything is."""
    if settings.json:
        result({"output": str(output), **compiled.report})
        return
    from codesign.cli.ledger import show_ledger

    report = compiled.report
    show_ledger(report["ledger"], f"{report['name']} on {report['target']}")
    if report["fallbacks"]:
        names = ", ".join(f"%{name}" for name in report["fallbacks"][:5])
        say(f"{len(report['fallbacks'])} layers run on a fallback kernel: {names}")
    say(summary(report, output))


def summary(report: dict[str, Any], output: Path) -> str:
    """One line: where, how large, how long, how linked."""
    from codesign.cli.modelled import linked
    from codesign.cli.tables import size

    total = sum(entry.stat().st_size for entry in output.iterdir())
    return f"wrote {output} ({size(total)}) in {report['seconds']:.1f} s; {linked(report)}"
