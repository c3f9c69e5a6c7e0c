"""`codesign emit`: an artifact's program as a description of hardware."""

import json as text_of
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli import options
from codesign.cli.output import console, result, settings

if TYPE_CHECKING:
    from codesign.mapping.emitted import Emitted

REPORT = "report.json"


def emit_verb(
    artifact: options.Artifact,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="The folder to write.")
    ],
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the hardware that runs an artifact: Verilog, what memories hold, expected cycles."""
    from codesign.runtime.artifact import open_artifact
    from codesign.runtime.folder import write_folder

    compiled = open_artifact(artifact, run=False)
    found: Emitted = compiled.emitted()
    names = [*found.files, REPORT]
    write_folder(output, lambda folder: _fill(folder, found), names)
    if settings.json:
        result({"output": str(output), "files": names, **found.report})
    else:
        _show(output, names, found)


def _fill(folder: Path, found: "Emitted") -> None:
    for name, text in found.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    report = text_of.dumps(dict(found.report), indent=1)
    (folder / REPORT).write_text(report + "\n", encoding="utf-8")


def _show(output: Path, names: list[str], found: "Emitted") -> None:
    out: Any = console()
    for line in found.lines:
        out.print(line, markup=False)
    out.print(f"{output}: {', '.join(names)}", markup=False)
