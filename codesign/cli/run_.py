"""`codesign run`: an artifact on inputs from a file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli import options
from codesign.cli.modelled import show_run
from codesign.cli.output import console, result, say, settings
from codesign.cli.progress import progress
from codesign.cli.tables import ms, percent

if TYPE_CHECKING:
    import numpy as np

    from codesign.runtime.compiled import Compiled


def run_verb(
    artifact: options.Artifact,
    source: Annotated[Path, typer.Option("--input", metavar="IN.npz", help="Arrays by name.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT.npz", help="Where results go.")
    ] = None,
    threads: options.Threads = None,
    print_time: Annotated[bool, typer.Option("--print-time", help="Tell the time.")] = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Run an artifact on one sample or many; with `labels` in the file, count the right answers."""
    from codesign.cli.request import check_output_file, use_threads
    from codesign.data import load_dataset
    from codesign.rewrite.score import accuracy
    from codesign.runtime.artifact import open_artifact
    from codesign.runtime.batches import run_samples

    check_output_file(output, source)
    compiled = open_artifact(artifact)
    use_threads(compiled, threads)
    data = load_dataset(source, compiled.inputs, "input")
    start = time.perf_counter()
    with progress("run") as report_progress:
        found = run_samples(compiled, data.inputs, report_progress)
    seconds = time.perf_counter() - start
    if output is not None:
        write_npz(output, found)
    score = None
    if data.labels is not None:
        score = accuracy(next(iter(found.values())), data.labels)
    report = {
        "artifact": str(artifact),
        "samples": data.size,
        "seconds": seconds,
        "accuracy": score,
        "outputs": [described(name, array) for name, array in found.items()],
        "output": None if output is None else str(output),
    }
    if compiled.modelled:
        report["simulated"] = simulated(compiled)
    if settings.json:
        result(report)
    else:
        show(report, print_time)


def simulated(compiled: "Compiled") -> dict[str, Any]:
    """What the simulator counted, and what its machine would take by the model."""
    from codesign.runtime.modelled import modelled

    return {**compiled.counts, "modelled": modelled(compiled)}


def described(name: str, array: "np.ndarray") -> dict[str, Any]:
    """An output in numbers; the values themselves if they are few."""
    few = {"values": array.reshape(-1).tolist()} if array.size <= 16 else {}
    return {
        "name": name,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "min": array.min() if array.size else None,
        "max": array.max() if array.size else None,
        **few,
    }


def write_npz(path: Path, arrays: "dict[str, np.ndarray]") -> None:
    """Save `arrays` to `path`, whole or not at all."""
    import numpy as np

    from codesign.runtime.folder import write_file

    write_file(path, lambda stream: np.savez(stream, **arrays))  # type: ignore[arg-type]


def show(report: dict[str, Any], print_time: bool) -> None:
    """The outputs in words."""
    out = console()
    for one in report["outputs"]:
        shape = "x".join(map(str, one["shape"])) or "scalar"
        values = " ".join(f"{value:.6g}" for value in one.get("values", ()))
        text = values or f"{one['min']:.6g} to {one['max']:.6g}"
        out.print(f"{one['name']}: {one['dtype']} {shape}: {text}", markup=False)
    if report["accuracy"] is not None:
        out.print(f"right answers: {percent(report['accuracy'])} of {report['samples']}")
    if print_time:
        each = report["seconds"] * 1e3 / max(1, report["samples"])
        out.print(f"time: {ms(each)} ms a sample, {report['samples']} sample(s)")
    if "simulated" in report:
        show_run(report["simulated"])
    if report["output"]:
        say(f"wrote {report['output']}")
