"""All verbs, and what becomes of errors."""

import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from codesign.cli import (
    bench,
    check,
    compile_,
    db,
    demo,
    estimate,
    explain,
    passes,
    profile,
    run_,
    show,
    targets,
    tune,
)
from codesign.cli.output import fail, say, settings
from codesign.errors import CodesignError, CodesignWarning

app = typer.Typer(
    name="codesign",
    help="Compile a neural network for a machine, and change both sides while doing so.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        import codesign

        typer.echo(f"codesign {codesign.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="The version.")
    ] = False,
) -> None:
    """Compile a neural network for a machine, and change both sides while doing so."""


app.command("compile")(compile_.compile_verb)
app.command("check")(check.check_verb)
app.command("estimate")(estimate.estimate_verb)
app.command("run")(run_.run_verb)
app.command("bench")(bench.bench_verb)
app.command("show")(show.show_verb)
app.command("explain")(explain.explain_verb)
app.command("passes")(passes.passes_verb)
app.command("targets")(targets.targets_verb)
app.command("tune")(tune.tune_verb)
app.command("profile")(profile.profile_verb)
app.command("demo")(demo.demo_verb)
app.add_typer(db.app, name="db")

INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """The exit code of the command line `arguments`; errors are told in words."""
    settings.json = settings.verbose = settings.quiet = False
    try:
        with told_warnings():
            app(args=list(arguments))
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
        return _interrupted() if code == INTERRUPTED else code
    except CodesignError as error:
        return _told(error, error.exit_code)
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        return _closed()
    except Exception as error:  # noqa: BLE001  (the last resort of the program)
        return _unexpected(error)
    return 0


def _interrupted() -> int:
    print("interrupted; nothing was left half written", file=sys.stderr)
    return INTERRUPTED


@contextmanager
def told_warnings() -> Iterator[None]:
    """Within, codesign's own warnings are remarks on stderr, others as they always are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", CodesignWarning)
        usual = warnings.showwarning

        def show(message: Any, category: type[Warning], *rest: Any, **named: Any) -> None:
            if issubclass(category, CodesignWarning):
                say(f"warning: {message}")
            else:
                usual(message, category, *rest, **named)

        warnings.showwarning = show
        yield


def _told(error: CodesignError, code: int) -> int:
    if settings.verbose:
        traceback.print_exc()
    fail(error, code)
    return code


def _unexpected(error: Exception) -> int:
    """An error that nobody raised on purpose."""
    if settings.verbose:
        traceback.print_exc()
    hint = "" if settings.verbose else "; -v shows where"
    kind = type(error).__name__
    fail(CodesignError(f"unexpected {kind}: {error}. This is a defect of codesign{hint}"), 1)
    return 1


def _closed() -> int:
    """The reader of stdout went away, as `head` does: no error, and nothing more to flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
