"""`codesign db`: what a tuning database holds, and its care."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli import options
from codesign.cli.output import console, result, say, settings
from codesign.cli.tables import count, ms, show_table
from codesign.errors import UsageError

if TYPE_CHECKING:
    from codesign.tune.prune import Pruned
    from codesign.tune.ranking import Entry
    from codesign.tune.store import Store
    from codesign.tune.summary import Line

Database = Annotated[
    Path, typer.Argument(metavar="DB", help="A tuning database that `codesign tune` wrote.")
]
DIGITS = 8

app = typer.Typer(
    help="Look into tuning databases, merge, export and prune them.", no_args_is_help=True
)


@app.command("list")
def list_verb(
    database: Database,
    profiled: Annotated[
        bool, typer.Option("--all", help="Also the points that `codesign profile` measured.")
    ] = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Tell for each task and device which schedule is settled, and what was tried.

    Settled is what compiling uses: it won a comparison in interleaved runs with what was used
    before. The best trial, measured once, is told where it is of something else.
    """
    from codesign.tune.store import Store
    from codesign.tune.summary import summary

    with Store(database, write=False) as store:
        found, counts = summary(store), store.counts()
        lines = [line for line in found if profiled or not line.profiled]
        if settings.json:
            result(
                {
                    "database": str(database),
                    "trials": counts.trials,
                    "duels": counts.duels,
                    "tasks": counts.tasks,
                    "devices": [{**d.fingerprint, "key": d.key} for d in store.devices()],
                    "statuses": counts.by_status,
                    "rows": [line.json() for line in lines],
                }
            )
        else:
            show_lines(store, lines)
            if left := len(found) - len(lines):
                console().print(f"{left} points of profiles are not shown; --all shows them")


def show_lines(store: "Store", lines: "list[Line]") -> None:
    """A row a task and device, then the devices."""
    counts = store.counts()
    won = f", {counts.duels} duels won" if counts.duels else ""
    told = f"{store.path}: {counts.trials} trials of {counts.tasks} tasks{won}"
    console().print(told, markup=False)
    if not lines:
        return
    show_table(
        "",
        (
            ("task", lambda x: x.name),
            ("target", lambda x: x.task.target),
            ("device", lambda x: x.device[:DIGITS]),
            ("settled", lambda x: x.settled.kernel if x.settled else ""),
            ("best trial", best_trial),
            ("settled ms", lambda x: seconds(x.settled)),
            ("best trial ms", lambda x: seconds(x.best)),
            ("GFLOP/s", lambda x: count(x.gflops)),
            ("trials", lambda x: str(x.trials)),
            ("failures", lambda x: str(x.failures or "")),
        ),
        lines,
        left=5,
        spare=("target", "GFLOP/s", "failures"),
    )
    if not all(line.settled for line in lines):
        console().print("where nothing is settled, compiling chooses by the cost model")
    for device in store.devices():
        told = ", ".join(f"{name} {value}" for name, value in device.fingerprint.items())
        console().print(f"device {device.key[:DIGITS]}: {told}", markup=False)


def seconds(entry: "Entry | None") -> str:
    """The time of a trial in ms; empty without."""
    return ms(entry.seconds * 1e3) if entry and entry.seconds else ""


def best_trial(line: "Line") -> str:
    """What the fastest trial was of, empty where that is settled."""
    if line.best is None or (line.settled is not None and not line.differs):
        return ""
    same = line.settled is not None and line.settled.kernel == line.best.kernel
    return f"{line.best.kernel}, another schedule" if same else line.best.kernel


@app.command("merge")
def merge_verb(
    database: Database,
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Databases or exported files.")
    ],
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Take what can be read of damaged sources.")
    ] = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Add the trials of SOURCE that DB lacks; DB is made if it is missing.

    All sources are read before anything is written.
    """
    from codesign.tune import exchange
    from codesign.tune.salvage import salvage as what_is_left
    from codesign.tune.store import Store

    found = [what_is_left(s) if salvage else (exchange.read(s), 0) for s in sources]
    with Store(database) as store:
        added = [store.add_all(records) for records, _ in found]
        total = store.counts().trials
    rows = [
        {"source": str(source), "trials": len(records), "added": new, "damaged": lost}
        for source, (records, lost), new in zip(sources, found, added, strict=True)
    ]
    for row in rows:
        lost = f", {row['damaged']} cannot be read" if row["damaged"] else ""
        say(f"{row['source']}: {row['added']} of {row['trials']} trials are new{lost}")
    if settings.json:
        result({"database": str(database), "trials": total, "sources": rows})
    else:
        console().print(f"{database} has {total} trials", markup=False)


@app.command("export")
def export_verb(
    database: Database,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="JSON lines.")],
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Write all trials of DB to FILE, one JSON object a line, for other programs or `db merge`."""
    from codesign.cli.request import check_output_file
    from codesign.tune.exchange import export
    from codesign.tune.store import Store

    check_output_file(output, database)
    with Store(database, write=False) as store:
        written, duels = export(store, output), store.counts().duels
    if settings.json:
        result({"database": str(database), "file": str(output), "trials": written})
    else:
        won = f" and {duels} duels won" if duels else ""
        console().print(f"wrote {written - duels} trials{won} to {output}", markup=False)


@app.command("prune")
def prune_verb(
    database: Database,
    keep: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Keep the N best of each task, device and kernel."),
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Drop failed trials; they will be tried again.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes/--dry-run", help="Drop them, or only tell what would go."),
    ] = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Drop trials that are not needed and make the file smaller; without --yes only tell."""
    from codesign.tune.prune import Rule, prune
    from codesign.tune.store import Store

    if keep is None and not failed:
        raise UsageError("nothing to prune: give --keep N, --failed, or both")
    with Store(database, write=False):  # it must be there: pruning makes no file
        pass
    with Store(database, write=yes) as store:
        show_pruned(database, prune(store, Rule(keep=keep, failed=failed), dry_run=not yes), yes)


def show_pruned(database: Path, pruned: "Pruned", done: bool) -> None:
    """How many went or would go, and why."""
    if settings.json:
        kinds = {"stale": pruned.stale, "failed": pruned.failed, "slower": pruned.slower}
        counts = {"dropped": pruned.dropped, **kinds, "kept": pruned.kept}
        result({"database": str(database), "done": done, **counts, "remark": pruned.remark})
        return
    what = "dropped" if done else "would drop"
    console().print(
        f"{what} {pruned.dropped} trials ({pruned.failed} failed, {pruned.slower} slower), "
        f"{pruned.kept} stay{'' if done else '; --yes does it'}",
        markup=False,
    )
    if pruned.remark:
        say(pruned.remark)
