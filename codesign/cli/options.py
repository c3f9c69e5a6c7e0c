"""The options that verbs share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from codesign.cli.output import settings
from codesign.runtime.limits import MOST_THREADS


def _store(name: str) -> Any:
    """A callback that keeps the value of an option in the settings."""

    def keep(value: bool) -> bool:
        setattr(settings, name, value)
        return value

    return keep


Json = Annotated[
    bool,
    typer.Option("--json", callback=_store("json"), help="One JSON object on stdout, no more."),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", callback=_store("verbose"), help="More detail; tracebacks."),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", callback=_store("quiet"), help="Results alone: no progress, no remarks."
    ),
]
Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="An .onnx or .pt2 file, or package.module:function."),
]
Artifact = Annotated[
    Path, typer.Argument(metavar="DIR", help="A folder that `codesign compile` wrote.")
]
TargetSpec = Annotated[
    str | None,
    typer.Option("--target", metavar="T", help="The machine, such as cpu or cpu{threads=2}."),
]
Recipe = Annotated[
    str | None,
    typer.Option("--recipe", "--config", metavar="FILE", help="A recipe's file or its name."),
]
Passes = Annotated[
    str | None,
    typer.Option(
        "--passes",
        metavar="LIST",
        help='Passes in order: "a{x=1},b". Those that simplify come before them, place and layout '
        "after them, where the list names none of these.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the recipe: seed=1, PASS.OPTION=value."
    ),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape", metavar="NAME=1,3,224,224", help="Bind or change an input's shape."
    ),
]
Calibration = Annotated[
    Path | None, typer.Option(metavar="C.npz", help="Inputs to calibrate on, keyed by name.")
]
Training = Annotated[
    Path | None,
    typer.Option(metavar="T.npz", help="Inputs to train on, keyed by name, `labels` if any."),
]
Validation = Annotated[
    Path | None, typer.Option(metavar="V.npz", help="Inputs to score on, and `labels`.")
]
Records = Annotated[
    Path | None,
    typer.Option(
        "--tuning-records",
        metavar="DB",
        help="The tuning database, with the profile beside it; one a user by default. `none`: "
        "compile and estimate without either.",
    ),
]
RpcTracker = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Measure on the devices of this TVM RPC tracker."),
]
RpcKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="The key of the devices at the tracker.")
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="KEY", help="Use what was measured of the remote devices of this key, not of this."
    ),
]
ScoreSamples = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Samples that the ledger scores, 0: all. Else the first 1,024 with labels (accuracy), "
        "64 without (SNR).",
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of everything random.")]
Threads = Annotated[int | None, typer.Option(min=1, max=MOST_THREADS, help="Threads of a run.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")]
