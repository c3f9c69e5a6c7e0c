"""`codesign targets`: what targets there are, or one of them."""

from typing import Annotated

import typer

from codesign.cli import options
from codesign.cli.passes import listing


def targets_verb(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One target.")] = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """List the targets, or describe one with its options."""
    listing("target", name)
