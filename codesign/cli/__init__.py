"""The command line; `main` is the program `codesign`. Only this package prints."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    try:
        from codesign.cli.app import run

        code = run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # before the first verb is known, or while the end is told
        code = 130
    sys.exit(code)
