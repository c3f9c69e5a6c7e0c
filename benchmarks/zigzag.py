"""Our mapper beside ZigZag's, on ZigZag's own accelerators and networks.

python -m benchmarks.zigzag --zigzag-python PATH [--keep FOLDER [--kept]] [--quick]

PATH is the Python of an environment of its own that has `zigzag-dse` 3.9.1 (Mei et al., IEEE TC
2021) with what it imports: numpy, networkx, sympy, matplotlib, seaborn, onnx<1.20, tqdm, pyyaml,
cerberus, typeguard, six and multiprocessing_on_dill. Its search takes minutes a network; with
--keep results of finished ones are written to FOLDER and taken from there, with --kept no others.

Both search for the least product of energy and delay of each layer, ZigZag with the mapping file
and the settings that it ships, and both results are priced by the same cost model, that of
codesign: `zigzag_machines` says what the two models do not mean alike, and `detail` has what
ZigZag itself says. The delay of a network is the sum over its layers. Searching counts from the
description of accelerator and layers to the last mapping; layers of one shape are searched once
here, each anew there.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml

from benchmarks import peers
from benchmarks.common import Options, Row, make_parser, options_from, publish, say
from benchmarks.zigzag_machines import machine_text, problem_of_layer, spatial_of
from benchmarks.zigzag_mappings import price
from codesign.cost.operands import Widths
from codesign.cost.problem import Problem
from codesign.machine.load import parse_machine
from codesign.machine.machine import Machine
from codesign.mapping.mapper import Found, search

MACHINES = {"tpu_like": "tpu_like", "eyeriss_like": "default"}  # and their mapping files
NETWORKS = ("resnet18", "alexnet", "mobilenetv2")
SECONDS = {"tpu_like": 2.3, "eyeriss_like": 2.7}  # for a network, shared by its different layers
LEAST = 0.1  # for a layer
WIDTHS = Widths(8, 8, 16, 8)
PEER = Path(__file__).with_name("zigzag_peer.py")
# as a script, the peer would take this module for the package of the same name
ALONE = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
WHERE = "import pathlib, zigzag; print(pathlib.Path(zigzag.__file__).parent / 'inputs')"


def inputs_of(python: str) -> Path:
    """Where the package of an environment keeps its inputs; UsageError if there is none."""
    asked = ["-c", WHERE]
    return Path(peers.has(python, "--zigzag-python", "zigzag-dse==3.9.1", asked).strip())


def peer(python: str, machine: str, network: str, keep: Path) -> Mapping[str, Any]:
    """What ZigZag finds, from `keep` if it is there."""
    path = keep / f"{machine}-{network}.json"
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / "found.json"
            asked = [str(PEER), machine, MACHINES[machine], network, str(part)]
            peers.finish(python, ["-c", ALONE, *asked], Path(folder))
            keep.mkdir(parents=True, exist_ok=True)
            path.write_text(part.read_text(encoding="utf-8"), encoding="utf-8")
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def converted(inputs: Path, name: str) -> Machine:
    """One of ZigZag's accelerators, with the mapping file that goes with it."""
    hardware = yaml.safe_load((inputs / "hardware" / f"{name}.yaml").read_text("utf-8"))
    mapping = yaml.safe_load((inputs / "mapping" / f"{MACHINES[name]}.yaml").read_text("utf-8"))
    return parse_machine(machine_text(hardware, spatial_of(mapping)), name)


def mapped(machine: Machine, problems: list[Problem], seconds: float) -> list[Found]:
    """Our mapping of each layer; those of one shape share it."""
    different = dict.fromkeys(problems)
    each = max(LEAST, seconds / len(different))
    known = {one: search(one, machine, WIDTHS, seconds=each) for one in different}
    return [known[problem] for problem in problems]


def rows_of(inputs: Path, name: str, network: str, theirs: Mapping[str, Any]) -> Iterator[Row]:
    """The product of energy and delay, and the time of the search, of one network."""
    start = perf_counter()
    machine, layers = converted(inputs, name), theirs["layers"]
    problems = [problem_of_layer(layer) for layer in layers]
    found = mapped(machine, problems, SECONDS[name])
    seconds = perf_counter() - start
    ours = [(float(f.costs.picojoules[0]), float(f.costs.latency[0])) for f in found]
    peers = [
        (one.picojoules, one.cycles)
        for one in (
            price(problem, machine, layer, WIDTHS)
            for problem, layer in zip(problems, layers, strict=True)
        )
    ]
    best = sum(a * b <= c * d for (a, b), (c, d) in zip(ours, peers, strict=True))
    detail = {
        "ours": _total(ours),
        "theirs": _total(peers),
        "theirs_by_zigzag": [theirs["energy"], theirs["latency"]],
        "layers": len(layers),
        "no_worse": best,
        "proven": sum(one.proven for one in found),
    }
    value = _product(ours) / _product(peers)
    yield Row(f"{name} {network} EDP", value, "x ZigZag", 1.0, "<=", detail)
    times = {"ours_s": round(seconds, 2), "theirs_s": round(theirs["seconds"], 1)}
    faster = theirs["seconds"] / seconds
    yield Row(f"{name} {network} search", faster, "x faster", 30.0, ">=", times)


def _total(pairs: list[tuple[float, float]]) -> list[float]:
    return [sum(energy for energy, _ in pairs), sum(delay for _, delay in pairs)]


def _product(pairs: list[tuple[float, float]]) -> float:
    energy, delay = _total(pairs)
    return energy * delay


def main(argv: list[str] | None = None) -> None:
    """Search with both on the chosen accelerators and networks, and publish the rows."""
    parser = make_parser(__doc__ or "")
    parser.add_argument("--zigzag-python", metavar="PATH", default=sys.executable)
    parser.add_argument("--keep", metavar="FOLDER", type=Path)
    parser.add_argument("--kept", action="store_true", help="only what --keep has already")
    parsed = parser.parse_args(argv)
    options: Options = options_from("zigzag", parsed)
    inputs, rows = inputs_of(parsed.zigzag_python), list[Row]()
    with tempfile.TemporaryDirectory() as folder:
        for name in MACHINES:
            for network in NETWORKS[: 1 if options.quick else None]:
                kept = parsed.keep and (parsed.keep / f"{name}-{network}.json").exists()
                if not options.selects(f"{name} {network}") or (parsed.kept and not kept):
                    continue
                say(f"{name} {network}")
                theirs = peer(parsed.zigzag_python, name, network, parsed.keep or Path(folder))
                rows += rows_of(inputs, name, network, theirs)
    settings = {"seconds_a_network": SECONDS, "seconds_a_layer_at_least": LEAST}
    publish(options, rows, settings | {"zigzag": "zigzag-dse 3.9.1"})


if __name__ == "__main__":
    main()
