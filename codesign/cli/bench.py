"""`codesign bench`: how long an artifact takes here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from codesign.cli import options
from codesign.cli.modelled import bench_modelled
from codesign.cli.output import console, result, say, settings, write_json
from codesign.cli.progress import progress
from codesign.cli.tables import ms, show_table
from codesign.errors import UsageError


def bench_verb(
    artifact: options.Artifact,
    threads: options.Threads = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="Time to spend.")] = 2.0,
    layers: Annotated[bool, typer.Option("--layers", help="Time each layer too.")] = False,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="TRACE.json", help="Write a Chrome trace of some runs, by layer."),
    ] = None,
    seed: options.Seed = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Time an artifact on random inputs: median, 10th and 90th percentile in ms.

    Of one that runs on a simulator, tell what its machine would take by the model.
    """
    from codesign.cli.request import check_output_file, use_threads
    from codesign.runtime.artifact import open_artifact
    from codesign.runtime.host import fingerprint
    from codesign.runtime.timing import percentiles, time_layers, time_runs
    from codesign.runtime.trace import chrome_trace

    check_output_file(trace)
    with progress("bench") as report:
        report("timing", 0.0)
        compiled = open_artifact(artifact)
        use_threads(compiled, threads)
        if compiled.modelled:
            if trace is not None:
                raise UsageError(f"{artifact} is simulated, so there are no runs to trace")
            bench_modelled(compiled, str(artifact), layers or settings.verbose)
            return
        runs = time_runs(compiled, seconds, seed or 0)
        rows = time_layers(compiled, seed or 0) if layers or settings.verbose else []
        if trace is not None:
            write_json(trace, chrome_trace(compiled, seed or 0))
            say(f"wrote {trace}; open it in about:tracing or ui.perfetto.dev")
    found = {
        "artifact": str(artifact),
        "target": compiled.manifest.target,
        "threads": compiled.threads,
        "runs": len(runs),
        "latency_ms": percentiles(runs),
        "predicted_ms": compiled.report["total"]["latency_ms"],
        "layers": rows,
        "machine": fingerprint(),
    }
    if settings.json:
        result(found)
        return
    show_times(compiled.manifest.name, found)


def show_times(name: str, found: Mapping[str, Any]) -> None:
    """A row a layer if they were timed, and the whole in a line."""
    if found["layers"]:
        show_table(
            name,
            (
                ("layer", lambda r: f"%{r['name']}"),
                ("kernel", lambda r: r["kernel"]),
                ("predicted ms", lambda r: ms(r["predicted_ms"])),
                ("measured ms", lambda r: ms(r["measured_ms"])),
            ),
            found["layers"],
            left=2,
        )
    times = found["latency_ms"]
    console().print(
        f"{found['artifact']}: median {ms(times['median'])} ms (p10 {ms(times['p10'])}, p90 "
        f"{ms(times['p90'])}) in {found['runs']} runs, {found['threads']} thread(s); "
        f"predicted {ms(found['predicted_ms'])} ms"
    )
