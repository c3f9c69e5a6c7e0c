"""`codesign targets`: what targets there are, one of them, or what it keeps of the contract."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli import options
from codesign.cli.output import console, result, settings
from codesign.cli.passes import listing
from codesign.cli.progress import progress
from codesign.cli.tables import show_table
from codesign.errors import UsageError

if TYPE_CHECKING:
    from codesign.contract.suite import Report

CHECK = "check"
OUTCOMES = ("ok", "refused", "not run", "failed")


def targets_verb(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME | check T]", help="One target, or one to check."),
    ] = None,
    only: Annotated[
        str, typer.Option(metavar="PATTERN", help="With check: the samples to try, such as conv*.")
    ] = "*",
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """List the targets, describe one with its options, or check one.

    `check T` tries a target (its name, with options or not, or a machine's TOML file) on small
    graphs: that every kernel computes what the interpreter does, that costs are finite and grow
    with the work, that refusals say why, that programs read back from their text.
    """
    match names or []:
        case ["check", target]:
            checked(target, only)
        case ["check"]:
            raise UsageError("check needs a target, such as `codesign targets check eyeriss`")
        case [] | [_] as one:
            listing("target", one[0] if one else None)
        case many:
            raise UsageError(
                f"given {' '.join(many)!r}, expected one target, or `check` and one target"
            )


def checked(target: str, only: str) -> None:
    """Run the contract over a target; exit code 1 if anything failed."""
    from codesign import plugins
    from codesign.contract.suite import check_target

    made = plugins.make("target", target)
    with progress(CHECK) as report:
        found = check_target(made, only, report)
    result(found.json()) if settings.json else show(found)
    if not found.ok:
        raise typer.Exit(1)


def show(found: "Report") -> None:
    """How many checks of each kind came to what, and what failed; with -v also what was not run."""
    counts = Counter((row.check, row.outcome) for row in found.rows)
    show_table(
        found.target,
        (
            ("check", str),
            *((what, lambda name, what=what: str(counts[name, what] or "")) for what in OUTCOMES),
        ),
        list(dict.fromkeys(row.check for row in found.rows)),
    )
    out = console()
    for row in found.rows:
        if row.outcome == "failed" or (settings.verbose and row.why):
            out.print(str(row), markup=False)
    failed = sum(row.outcome == "failed" for row in found.rows)
    others = sum(row.outcome in ("refused", "not run") for row in found.rows)
    more = (
        f"; {others} refused or not run (-v tells why)" if others and not settings.verbose else ""
    )
    out.print(f"{found.target}: {failed} of {len(found.rows)} checks failed{more}", markup=False)
