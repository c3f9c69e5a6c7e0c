"""`codesign passes`: what passes there are, or one of them."""

from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli import options
from codesign.cli.output import result, say, settings
from codesign.cli.tables import show_table
from codesign.errors import UsageError

if TYPE_CHECKING:
    from codesign.mapping.target import Hardware, Target


def passes_verb(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One pass.")] = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """List the passes, or describe one with its options."""
    listing("pass", name)


def listing(what: str, name: str | None) -> None:
    """All passes or targets with a line each, or one with its options, and its machine."""
    from codesign import plugins
    from codesign.cli.describe import describe, summary

    if name is not None:
        show_one(what, name)
        return
    found = []
    for known in sorted(plugins.table(what)):
        try:
            found.append((known, plugins.find(what, known)))
        except UsageError as error:
            say(f"warning: {error}")
    if settings.json:
        plural = {"pass": "passes", "target": "targets"}[what]
        result({plural: [describe(known, cls) for known, cls in found]})
        return
    columns = ((what, lambda row: str(row[0])), ("what it does", lambda row: summary(row[1])))
    show_table("", columns, found, left=2)


def show_one(what: str, name: str) -> None:
    """A pass or target with its options; of a target, also the machine that it is."""
    from codesign import plugins
    from codesign.cli.describe import describe, text

    known = plugins.parse(what, name)[0] if what == "target" else name
    entry = describe(known, plugins.find(what, known))
    machine = hardware_of(name, known) if what == "target" else None
    if settings.json:
        result(entry if machine is None else {**entry, "machine": machine[0]})
        return
    typer.echo(text(entry))
    if machine is not None:
        typer.echo("\n".join(["", *machine[1]]))


def hardware_of(text: str, name: str) -> "Hardware | None":
    """What the target `text` is in hardware; None where it lacks options to be any, or is none."""
    from codesign import plugins

    try:
        target: Target = plugins.make("target", text)
    except UsageError:
        if text.strip() != name:
            raise
        return None
    return target.hardware
