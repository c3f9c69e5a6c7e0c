"""Latency of whole models on this CPU beside the tools that people use: float32, int8, sparse.

python -m benchmarks.cpu_models [--quick] [--only PATTERN] [--json FILE]

Contenders are interleaved in one process: codesign, onnxruntime, openvino, torch eager, torch
inductor. Every row is the ratio of codesign's median to the fastest other median; the medians are
in its detail. The 8-bit peers run the model that onnxruntime's quantizer makes, codesign its own
pass with the same calibration data. Of the models in PRUNED there is a row where codesign runs
them with 90 % of all weights pruned, in float32, and the peers run the dense model. Batch 1.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

import codesign
from benchmarks import cpu_zoo
from benchmarks.common import Options, Row, interleave, make_parser, options_from, publish, say
from benchmarks.cpu_memory import peak_mib
from benchmarks.cpu_zoo import SUBJECTS, Subject

Call = Callable[[], object]
SPARSE = "90 % sparse float32"
PRUNED = ("resnet50",)
PASSES = {"int8": ["quantize-int8"], SPARSE: ["prune-magnitude{sparsity=0.9}"]}
GOALS = {
    ("float32", 1): {
        "resnet18": 1 / 1.6,
        "vgg16": 1 / 1.6,
        "resnet50": 1 / 1.25,
        "mobilenet_v2": 1 / 1.15,
        "efficientnet_lite0": 1 / 1.15,
        "": 1.3,
    },
    ("int8", 1): {"resnet18": 1.0, "resnet50": 1.0, "mobilenet_v2": 1 / 1.15},
    (SPARSE, 1): {"resnet50": 1 / 3},
}
COMPILE_SECONDS = {"resnet18": 30.0, "resnet50": 60.0}
QUICK = ("resnet18", "mobilenet_v2")


def onnxruntime_call(path: Path, feeds: cpu_zoo.Feeds, threads: int) -> Call:
    """A call of onnxruntime on a model file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    return lambda: session.run(None, dict(feeds))


def openvino_call(path: Path, feeds: cpu_zoo.Feeds, threads: int) -> Call:
    """A call of openvino on a model file, computing floats in float32."""
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.compile_model(str(path), "CPU", settings).create_infer_request()
    return lambda: request.infer(dict(feeds))


def torch_calls(subject: Subject, threads: int) -> dict[str, Call]:
    """Eager torch, and the inductor if it can compile here."""
    import torch

    if not isinstance(subject.module, torch.nn.Module):
        return {}
    torch.set_num_threads(threads)
    module, inputs = subject.module, [torch.from_numpy(a) for a in subject.feeds.values()]

    def eager() -> object:
        with torch.inference_mode():
            return module(*inputs)

    calls: dict[str, Call] = {"torch eager": eager}
    try:
        compiled = torch.compile(module)
        with torch.inference_mode():
            compiled(*inputs)
    except Exception as error:  # noqa: BLE001  (a peer that fails here is left out and named)
        say(f"{subject.name}: torch inductor does not run here: {type(error).__name__}")
        return calls

    def inductor() -> object:
        with torch.inference_mode():
            return compiled(*inputs)

    return {**calls, "torch inductor": inductor}


def compile_subject(subject: Subject, precision: str, threads: int) -> tuple[Any, float]:
    """The model compiled for `threads` threads and the seconds it took."""
    passes = PASSES.get(precision, [])
    program = codesign.load(str(subject.path))
    start = time.perf_counter()
    compiled = codesign.compile(
        program,
        f"cpu{{threads={threads}}}",
        passes=passes,
        calibration=dict(subject.calibration),
        measure="none",
    )
    return compiled, time.perf_counter() - start


def error_of(compiled: Any, subject: Subject) -> float:
    """Largest difference from onnxruntime's float32 result, relative to its largest value."""
    want = onnxruntime_call(subject.path, subject.feeds, 1)()
    have = compiled.run(dict(subject.feeds))
    worst = 0.0
    for reference, port in zip(want, compiled.outputs, strict=True):  # type: ignore[call-overload]
        scale = max(float(np.abs(reference).max()), 1e-12)
        worst = max(worst, float(np.abs(reference - have[port.name]).max()) / scale)
    return worst


def measure(
    subject: Subject, precision: str, thread_counts: tuple[int, ...], options: Options
) -> list[Row]:
    """The rows of one model in one precision."""
    path = subject.quantized if precision == "int8" else subject.path
    compiled, seconds = compile_subject(subject, precision, thread_counts[0])
    error = error_of(compiled, subject)
    name, rows = f"{subject.name} {precision}", []
    goal = COMPILE_SECONDS.get(subject.name)
    sense = None if goal is None else "<="
    rows.append(Row(f"{name} compile", seconds, "s", goal, sense))  # type: ignore[arg-type]
    if precision == "float32":
        rows.append(Row(f"{name} error", error, "relative", 1e-4, "<="))
    for threads in thread_counts:
        if threads != compiled.threads:
            compiled, _ = compile_subject(subject, precision, threads)
        rows.append(_latency(subject, path, precision, compiled, options))
    rows += _artifact(name, compiled, path, subject)
    return rows


def _latency(subject: Subject, path: Path, precision: str, compiled: Any, options: Options) -> Row:
    threads = compiled.threads
    feeds = dict(subject.feeds)
    calls: dict[str, Call] = {"codesign": lambda: compiled.run(feeds)}
    missing = {}
    for peer, make in (("onnxruntime", onnxruntime_call), ("openvino", openvino_call)):
        try:
            calls[peer] = make(path, feeds, threads)
        except Exception as error:  # noqa: BLE001  (a peer that refuses the model is named)
            missing[peer] = str(error).strip().splitlines()[-1][:200]
            say(f"{subject.name} {precision}: {peer} does not take it: {missing[peer]}")
    if precision != "int8" and not options.quick:
        calls |= torch_calls(subject, threads)
    timings = interleave(calls, rounds=9 if options.quick else 25)
    medians = {name: timing.median for name, timing in timings.items()}
    peer = min((n for n in medians if n != "codesign"), key=lambda n: medians[n])
    goals = GOALS.get((precision, threads), {})
    goal = goals.get(subject.name, goals.get(""))
    return Row(
        f"{subject.name} {precision} {threads} thread{'s' * (threads > 1)}",
        medians["codesign"] / medians[peer],
        "x fastest peer",
        goal,
        None if goal is None else "<=",
        {
            "fastest_peer": peer,
            **({"refused_by": missing} if missing else {}),
            "median_ms": {n: round(m, 3) for n, m in medians.items()},
            "p10_ms": {n: round(t.p10, 3) for n, t in timings.items()},
            "p90_ms": {n: round(t.p90, 3) for n, t in timings.items()},
        },
    )


def _artifact(name: str, compiled: Any, path: Path, subject: Subject) -> list[Row]:
    """Time to open the saved artifact, and peak memory of a run, each in fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "artifact"
        compiled.save(saved)
        feeds = Path(folder) / "feeds.npz"
        np.savez(feeds, **subject.feeds)  # type: ignore[arg-type]
        mine, seconds = peak_mib("codesign", saved, feeds)
        peer, _ = peak_mib("onnxruntime", path, feeds)
    detail = {"codesign_mib": round(mine, 1), "onnxruntime_mib": round(peer, 1)}
    return [
        Row(f"{name} open", seconds, "s", 0.5, "<="),
        Row(f"{name} memory", mine / peer, "x onnxruntime", 1.5, "<=", detail),
    ]


def main(argv: list[str] | None = None) -> None:
    """Measure the chosen models and publish the rows."""
    options = options_from("cpu_models", make_parser(__doc__ or "").parse_args(argv))
    threads = (1,) if options.quick else (1, 2)
    rows: list[Row] = []
    failed = []
    for name, make in SUBJECTS.items():
        offered = ("float32", "int8", *([SPARSE] if name in PRUNED else []))
        wanted = [p for p in offered if options.selects(f"{name} {p}")]
        if not wanted or (options.quick and not options.only and name not in QUICK):
            continue
        subject = make()
        for precision in wanted:
            say(f"{name} {precision}")
            try:
                rows += measure(subject, precision, threads, options)
            except Exception as error:  # noqa: BLE001  (the other models are still worth their time)
                say(f"{name} {precision} failed: {type(error).__name__}: {error}")
                failed.append(f"{name} {precision}")
    settings = {"batch": 1, "threads": list(threads), "calibration": cpu_zoo.CALIBRATION}
    publish(options, rows, {**settings, "quick": options.quick, "failed": failed})
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
