"""All verbs, and what becomes of errors."""

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
    emit,
    estimate,
    explain,
    passes,
    profile,
    run_,
    sensitivity,
    show,
    targets,
    tune,
)
from codesign.cli.interrupts import Interrupts, interrupted
from codesign.cli.output import fail, say, settings, tell
from codesign.cli.streams import close_stdout, open_streams, stdout_fails
from codesign.errors import (
    CodesignError,
    CodesignWarning,
    ResourceError,
    UsageError,
    lacking,
    missing_package,
)

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
app.command("sensitivity")(sensitivity.sensitivity_verb)
app.command("run")(run_.run_verb)
app.command("bench")(bench.bench_verb)
app.command("show")(show.show_verb)
app.command("explain")(explain.explain_verb)
app.command("emit")(emit.emit_verb)
app.command("passes")(passes.passes_verb)
app.command("targets")(targets.targets_verb)
app.command("tune")(tune.tune_verb)
app.command("profile")(profile.profile_verb)
app.command("demo")(demo.demo_verb)
app.add_typer(db.app, name="db")

INTERRUPTED = 130
Misuse: type[Exception] = typer.BadParameter.__bases__[
    0
]  # the parser's own UsageError, wherever typer keeps it


def run(arguments: Sequence[str]) -> int:
    """The exit code of the command line `arguments`; errors are told in words."""
    settings.json = settings.verbose = settings.quiet = settings.events = False
    open_streams()
    try:
        return _outcome(arguments)
    except BrokenPipeError:
        close_stdout()
        return 0
    except OSError as error:
        return _failed_output(error) if stdout_fails() else _unexpected(error)


def _outcome(arguments: Sequence[str]) -> int:
    """`run`, but for what fails while results are printed."""
    try:
        with told_warnings(), Interrupts():
            _invoke(arguments)
        sys.stdout.flush()
    except (SystemExit, typer.Exit) as done:
        return _code(done)
    except Misuse as error:
        return _misused(error, arguments)
    except CodesignError as error:
        return _interrupted() if interrupted(error) else _told(error, error.exit_code)
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        return _unexpected(error) if missing is None else _told(missing, missing.exit_code)
    except KeyboardInterrupt:
        return _interrupted()
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  (the last resort of the program)
        return _interrupted() if interrupted(error) else _unexpected(error)
    return 0


def _invoke(arguments: Sequence[str]) -> None:
    """Parse and run; without typer's own way of telling errors, which knows no --json."""
    command = typer.main.get_command(app)
    with command.make_context(app.info.name, list(arguments)) as context:
        command.invoke(context)


def _code(done: "SystemExit | typer.Exit") -> int:
    """The exit code that was asked for; what was printed until then is written."""
    sys.stdout.flush()
    code = done.exit_code if isinstance(done, typer.Exit) else done.code
    return code if isinstance(code, int) else int(code is not None)


def _misused(error: Any, arguments: Sequence[str]) -> int:
    """What the parser of options refuses; no arguments at all get the help alone."""
    settings.json = settings.json or "--json" in arguments
    sys.stdout.flush()
    text, context = error.format_message(), error.ctx
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(text, err=True)
    else:
        where = app.info.name if context is None else context.command_path
        fail(UsageError(f"{text.rstrip('.')}; see `{where} --help`"), UsageError.exit_code)
    return UsageError.exit_code


def _failed_output(error: OSError) -> int:
    """Stdout cannot be written: a full disk behind it, say."""
    close_stdout()
    settings.json = False
    return _told(UsageError(f"cannot write to stdout: {error.strerror or error}"), 1)


def _interrupted() -> int:
    text = "interrupted; nothing was left half written"
    if settings.events:
        tell({"event": "error", "text": text})
    else:
        print(text, file=sys.stderr)
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
    """An error that nobody raised on purpose, or one that tells what the machine lacks."""
    lack = lacking(error)
    if lack is not None:
        return _told(ResourceError(f"{lack}: {error}"), lack.exit_code)
    if settings.verbose:
        traceback.print_exc()
    hint = "" if settings.verbose else "; -v shows where"
    kind = type(error).__name__
    fail(CodesignError(f"unexpected {kind}: {error}. This is a defect of codesign{hint}"), 1)
    return 1
