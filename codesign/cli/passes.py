"""`codesign passes`: what passes there are, or one of them."""

from typing import Annotated

import typer

from codesign.cli import options
from codesign.cli.output import result, say, settings
from codesign.cli.tables import show_table
from codesign.errors import UsageError


def passes_verb(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One pass.")] = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """List the passes, or describe one with its options."""
    listing("pass", name)


def listing(what: str, name: str | None) -> None:
    """All passes or targets with a line each, or one with its options."""
    from codesign import plugins
    from codesign.cli.describe import describe, summary, text

    if name is not None:
        entry = describe(name, plugins.find(what, name))
        result(entry) if settings.json else typer.echo(text(entry))
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
