"""Layers and a network of signs on this CPU beside the tools that people use, and their bound.

python -m benchmarks.xnor [--quick] [--only PATTERN] [--json FILE]

A layer is an eighth of a chain of eight equal ones: 3x3 convolution, batch norm and relu for the
peers, which run it in float32 and in 8 bits (as onnxruntime quantizes it); for codesign weights are
signs and inputs one bit, first and last included, so that a chain begins by packing floats and ends
in floats. The network is a ResNet-18 whose 3x3 convolutions behind the stem are binary and whose
other layers have 8 bits. Contenders take turns in one process, one thread each, batch 1.

The bound is that of the population count: what a loop of nothing but counts of bits in registers
does, measured between the layers, for as many bits as the layer multiplies. Next to each count a
layer has to compare and to add, on the same two ports as the count on this kind of CPU, so that
two thirds of the bound are the most that a kernel could reach.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

import codesign
from benchmarks import cpu_zoo
from benchmarks.common import Options, Row, interleave, make_parser, options_from, publish, say
from benchmarks.cpu_models import onnxruntime_call, openvino_call, torch_calls
from benchmarks.cpu_zoo import SUBJECTS, Subject

Call = Callable[[], object]
LAYERS = ((128, 28), (256, 14), (512, 7))
CHAIN = 8
GOALS = {"float32": 15.0, "int8": 4.0, "bound": 0.65, "network": 6.0}
LAYER_PASSES = ["binarize{ends=true}", "fold-batch-norm", "quantize-int8"]
NETWORK_PASSES = ["binarize{skip=*downsample*}", "fold-batch-norm", "quantize-int8"]


def chain(channels: int, size: int) -> Subject:
    """Eight 3x3 layers of `channels` on `size` x `size` pixels, exported."""
    import onnx
    import torch
    from torch import nn

    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for _ in range(CHAIN):
        norm = nn.BatchNorm2d(channels)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
        parts += [nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm, nn.ReLU()]
    module = nn.Sequential(*parts).eval()
    example = torch.randn(1, channels, size, size)
    path = cpu_zoo.CACHE / f"xnor_{channels}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(module, (example,), str(path), dynamo=True, external_data=False)
    name = onnx.load(path).graph.input[0].name
    feed = example.numpy()
    noise = np.random.default_rng(0).standard_normal((4, *feed.shape[1:])).astype(np.float32)
    return Subject(f"{channels} channels {size}x{size}", path, {name: feed}, {name: noise}, module)


def compiled_of(subject: Subject, passes: list[str]) -> Any:
    """The torch module compiled with `passes` for one thread."""
    import torch

    example = tuple(torch.from_numpy(a) for a in subject.feeds.values())
    program = codesign.load(subject.module, example_inputs=example)
    calibration = dict(zip(program.graph.inputs, subject.calibration.values(), strict=True))
    return codesign.compile(program, "cpu", passes=passes, calibration=calibration, measure="none")


def own(subject: Subject, passes: list[str]) -> tuple[Any, Call]:
    """The compiled model and a call of it on the subject's feed."""
    compiled = compiled_of(subject, passes)
    names = [port.name for port in compiled.inputs]
    feeds = dict(zip(names, subject.feeds.values(), strict=True))
    return compiled, partial(compiled.run, feeds)


def peers(subject: Subject, options: Options) -> dict[str, Call]:
    """Calls of the peers by "precision name"."""
    feeds = subject.feeds
    calls = {
        "float32 onnxruntime": onnxruntime_call(subject.path, feeds, 1),
        "float32 openvino": openvino_call(subject.path, feeds, 1),
        "int8 onnxruntime": onnxruntime_call(subject.quantized, feeds, 1),
        "int8 openvino": openvino_call(subject.quantized, feeds, 1),
    }
    if not options.quick:
        calls |= {f"float32 {name}": call for name, call in torch_calls(subject, 1).items()}
    return calls


def counting() -> tuple[Call, float]:
    """A loop of counts of bits alone, and how many bits it counts."""
    import tvm

    from codesign.targets.tvm import pipeline
    from codesign.targets.tvm.host import host_isa
    from codesign.targets.tvm.isa import isa
    from codesign.targets.tvm.tir import Function, llvm, load

    target = isa(host_isa())
    lanes, registers, repeats = target.vector_bits // 64, 16, 20_000
    f = Function("count")
    x = f.argument("x", (registers, lanes), "int64")
    local = [f.local("r", (lanes,), "int64") for _ in range(registers)]
    for i, register in enumerate(local):
        f.store(register, load(x, (i, 0), lanes), (0,), lanes)
    with f.serial(repeats):
        for register in local:
            counted = llvm(f"int64x{lanes}", f"llvm.ctpop.v{lanes}i64", load(register, (0,), lanes))
            f.store(register, counted, (0,), lanes)
    for i, register in enumerate(local):
        f.store(x, load(register, (0,), lanes), (i, 0), lanes)
    module = tvm.IRModule({"count": f.build()})
    goal = tvm.target.Target(target.tvm_target)
    library = tvm.compile(module, target=goal, tir_pipeline=pipeline.register())
    array = tvm.runtime.tensor(np.arange(registers * lanes).reshape(registers, lanes))
    return partial(library["count"], array), float(registers * repeats * target.vector_bits)


def fastest(medians: dict[str, float], precision: str) -> str:
    """The peer of the least median in `precision`."""
    return min((n for n in medians if n.startswith(precision)), key=lambda n: medians[n])


def layer_rows(channels: int, size: int, options: Options) -> list[Row]:
    """A layer beside both kinds of peers, and its share of the bound."""
    subject = chain(channels, size)
    compiled, call = own(subject, LAYER_PASSES)
    count, bits = counting()
    contenders = {"codesign": call, "counts": count, **peers(subject, options)}
    timings = interleave(contenders, rounds=9 if options.quick else 41)
    medians = {name: timing.median for name, timing in timings.items()}
    detail = {
        "median_ms_of_a_layer": {
            n: round(m / CHAIN, 4) for n, m in medians.items() if n != "counts"
        },
        "giga_bits_counted_a_second": round(bits / medians["counts"] / 1e6, 1),
    }
    rows = []
    for precision in ("float32", "int8"):
        peer = fastest(medians, precision)
        ratio = medians[peer] / medians["codesign"]
        given = {"fastest_peer": peer, **detail}
        name = f"{subject.name} beside {precision}"
        rows.append(Row(name, ratio, "x faster", GOALS[precision], ">=", given))
    macs = channels * channels * 9 * size * size
    turns = [(_layer_ms(compiled), _ms(count)) for _ in range(5 if options.quick else 21)]
    layer_ms, count_ms = (float(np.median(column)) for column in zip(*turns, strict=True))
    share = macs / bits * count_ms / layer_ms
    given = {"layer_ms": round(layer_ms, 4), "giga_macs_a_second": round(macs / layer_ms / 1e6, 1)}
    name = f"{subject.name} of the bound of counts"
    return [*rows, Row(name, share, "of the bound", GOALS["bound"], ">=", given)]


def _layer_ms(compiled: Any) -> float:
    """Milliseconds of a layer between others, from bits to bits."""
    kernels = {layer["name"]: layer["kernel"] for layer in compiled.report["layers"]}
    times = zip(compiled.manifest.plan.steps, compiled.time_steps(9), strict=True)
    inner = [np.median(s) for step, s in times if kernels[step.layer] == "bits-threshold"]
    return float(np.median(inner)) * 1e3


def _ms(call: Call) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def network_row(options: Options) -> Row:
    """The network beside peers in float32."""
    subject = SUBJECTS["resnet18"]()
    _, call = own(subject, NETWORK_PASSES)
    theirs = {n: c for n, c in peers(subject, options).items() if n.startswith("float32")}
    timings = interleave({"codesign": call, **theirs}, rounds=9 if options.quick else 25)
    medians = {name: timing.median for name, timing in timings.items()}
    peer = fastest(medians, "float32")
    detail = {"fastest_peer": peer, "median_ms": {n: round(m, 3) for n, m in medians.items()}}
    ratio = medians[peer] / medians["codesign"]
    return Row("resnet18 beside float32", ratio, "x faster", GOALS["network"], ">=", detail)


def main(argv: list[str] | None = None) -> None:
    """Measure the chosen layers and the network, and publish the rows."""
    options = options_from("xnor", make_parser(__doc__ or "").parse_args(argv))
    rows: list[Row] = []
    for channels, size in LAYERS[: 1 if options.quick else None]:
        if options.selects(f"{channels} channels {size}x{size}"):
            say(f"{channels} channels")
            rows += layer_rows(channels, size, options)
    if options.selects("resnet18"):
        rows.append(network_row(options))
    publish(options, rows, {"batch": 1, "threads": 1, "chain": CHAIN})


if __name__ == "__main__":
    main(sys.argv[1:])
