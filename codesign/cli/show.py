"""`codesign show`: a model or an artifact as text."""

from collections import Counter
from pathlib import Path
from typing import Any

import typer

from codesign.cli import options
from codesign.cli.output import result, say, settings


def show_verb(
    model: options.Model,
    input_shape: options.InputShape = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Print a model, or the program in an artifact's folder, in the text form of the IR."""
    found = _artifact(Path(model)) if Path(model).is_dir() else _model(model, input_shape)
    if settings.json:
        result(found)
        return
    typer.echo(found["text"], nl=False)
    counts = ", ".join(f"{count} {kind}" for kind, count in found["ops"].items())
    say(f"{found['name']}: {found['parameters']} parameters, {found['macs']} MACs; {counts}")


def _artifact(folder: Path) -> dict[str, Any]:
    """What an artifact says about its program."""
    from codesign.runtime.artifact import open_artifact

    compiled = open_artifact(folder, run=False)
    last = compiled.report["ledger"][-1]
    return {
        "name": compiled.manifest.name,
        "inputs": [{"name": p.name, "shape": p.shape, "dtype": p.dtype} for p in compiled.inputs],
        "outputs": [{"name": p.name, "shape": p.shape, "dtype": p.dtype} for p in compiled.outputs],
        "parameters": last["parameters"],
        "macs": last["macs"],
        "ops": dict(Counter(layer["op"] for layer in compiled.report["layers"])),
        "text": compiled.text,
    }


def _model(model: str, input_shape: list[str] | None) -> dict[str, Any]:
    """What a model says about itself."""
    from codesign.analysis import counts
    from codesign.cli.request import load_model

    program = load_model(model, input_shape)
    graph = program.graph

    def ports(names: tuple[str, ...], values: tuple[str, ...]) -> list[dict[str, Any]]:
        kinds = [graph.types[value] for value in values]
        return [
            {"name": name, "shape": kind.shape, "dtype": kind.dtype.numpy.name}
            for name, kind in zip(names, kinds, strict=True)
        ]

    return {
        "name": graph.name,
        "inputs": ports(graph.inputs, graph.inputs),
        "outputs": ports(graph.output_names, graph.outputs),
        "parameters": counts.parameters(graph),
        "macs": counts.macs(graph),
        "ops": dict(Counter(node.kind for node in graph.nodes).most_common()),
        "text": str(program),
    }
