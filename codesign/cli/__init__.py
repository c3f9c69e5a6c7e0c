"""The command line; `main` is the program `codesign`. Only this package prints."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    from codesign.cli.app import run

    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
