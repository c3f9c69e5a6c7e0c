"""The tuner on ResNet-18, float32, one thread: how soon it is good, and beside MetaSchedule.

python -m benchmarks.tuner [--quick] [--only PATTERN] [--json FILE]

Tuning starts from an empty database, with as many workers as there are cores. Its rows are: minutes
until the sum of the best found is within 5 % of that at the end; the untuned network's latency as a
ratio to the tuned one's, whole networks interleaved; and MetaSchedule's latency as a ratio to the
tuned one's after as many minutes (with a builder in its own process: the one it comes with finishes
no trial here). --quick takes 2 minutes instead of 10.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import codesign
from benchmarks.common import Options, Row, interleave, make_parser, options_from, publish, say
from benchmarks.cpu_zoo import SUBJECTS, Subject
from codesign.compiler import prepare
from codesign.tune.tuner import Settings
from codesign.tuning import tune_job

MODEL = "resnet18"
NEAR = 1.05
ROUNDS = 25
Call = Callable[[], object]


class Course:
    """What the tuner has reached, by the clock."""

    def __init__(self) -> None:
        self.rows: dict[str, Mapping[str, Any]] = {}
        self.points: list[tuple[float, float]] = []
        self.trials = 0

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the tuner in."""
        for row in event.get("tasks", [event] if "work" in event else []):
            if "weight" in row:
                self.rows[row["work"]] = row
        self.trials += event["event"] == "trial"
        if event["event"] == "trial" and all(r["best_ms"] for r in self.rows.values()):
            total = sum(row["weight"] * row["best_ms"] for row in self.rows.values())
            self.points.append((event["seconds"], total))

    @property
    def near(self) -> float:
        """Seconds until the sum of the best was within 5 % of what it was in the end."""
        end = self.points[-1][1]
        return next(seconds for seconds, total in self.points if total <= NEAR * end)


def tuned(subject: Subject, records: Path, seconds: float) -> Course:
    """Tune the model into `records`."""
    course = Course()
    job = prepare(codesign.load(str(subject.path)), "cpu")
    tune_job(job, records, Settings(10**9, seconds), course.hear)
    return course


def compiled(subject: Subject, records: Path | None) -> Call:
    """A call of the model, compiled with `records` or none."""
    made = codesign.compile(
        codesign.load(str(subject.path)), "cpu", measure="none", records=records
    )
    feeds = dict(subject.feeds)
    return lambda: made.run(feeds)


def metaschedule(path: Path, folder: Path) -> None:
    """Tune the model in `path` until the process is ended; what is found is kept in `folder`."""
    import onnx
    import tvm
    from tvm import relax
    from tvm.driver import build
    from tvm.ir.utils import derived_object
    from tvm.relax.frontend.onnx import from_onnx
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.meta_schedule.builder import BuilderResult, PyBuilder
    from tvm.s_tir.meta_schedule.builder.local_builder import default_export

    tidy = tvm.s_tir.transform.RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)

    @derived_object
    class InProcess(PyBuilder):  # type: ignore[misc]
        def build(self, inputs: list[Any]) -> list[Any]:
            found = []
            for one in inputs:
                try:
                    made = default_export(build(tidy(one.mod), target=one.target))
                    found.append(BuilderResult(made, None))
                except Exception as error:  # noqa: BLE001  (a candidate of another tool)
                    found.append(BuilderResult(None, str(error)))
            return found

    module = relax.get_pipeline("zero")(from_onnx(onnx.load(path)))
    ms.relax_integration.tune_relax(
        module,
        params={},
        target=llvm(),
        work_dir=str(folder),
        max_trials_global=10**6,
        num_trials_per_iter=16,
        builder=InProcess(),
    )


def llvm() -> dict[str, Any]:
    """This CPU as a target of TVM, one thread."""
    from codesign.targets.tvm.host import host_isa
    from codesign.targets.tvm.isa import isa

    found = {"kind": "llvm", "num-cores": 1, "mcpu": isa(host_isa()).mcpu}
    return {key: value for key, value in found.items() if value}


def metascheduled(path: Path, folder: Path, feeds: Mapping[str, np.ndarray]) -> Call:
    """A call of the model as MetaSchedule's database in `folder` has it."""
    import onnx
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx
    from tvm.s_tir import meta_schedule as ms

    database = ms.database.JSONDatabase(work_dir=str(folder))
    module = relax.get_pipeline("zero")(from_onnx(onnx.load(path)))
    library = ms.relax_integration.compile_relax(database, module, tvm.target.Target(llvm()), {})
    machine = relax.VirtualMachine(library, tvm.cpu())
    arguments = [tvm.runtime.tensor(array) for array in feeds.values()]
    return lambda: machine["main"](*arguments)


def trials_of(folder: Path) -> int:
    """How many trials of MetaSchedule are on record in `folder`: a line each."""
    record = folder / "database_tuning_record.json"
    return len(record.read_text().splitlines()) if record.exists() else 0


def peer(subject: Subject, folder: Path, seconds: float) -> Call | None:
    """MetaSchedule after `seconds`, None if it found nothing that runs."""
    process = multiprocessing.get_context("spawn").Process(
        target=metaschedule, args=(subject.path, folder), daemon=False
    )
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    try:
        return metascheduled(subject.path, folder, subject.feeds)
    except Exception as error:  # noqa: BLE001  (a peer that fails here is left out and named)
        say(f"MetaSchedule: {type(error).__name__}: {str(error).strip()[-300:]}")
        return None


def measure(options: Options, seconds: float) -> list[Row]:
    """All rows."""
    subject = SUBJECTS[MODEL]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = folder / "tuned.db"
        say(f"tuning for {seconds:.0f} s")
        course = tuned(subject, records, seconds)
        calls = {"tuned": compiled(subject, records), "untuned": compiled(subject, None)}
        if options.selects("metaschedule"):
            say(f"MetaSchedule for {seconds:.0f} s")
            other = peer(subject, folder / "metaschedule", seconds)
            calls |= {} if other is None else {"metaschedule": other}
            finished = trials_of(folder / "metaschedule")
        medians = {k: t.median for k, t in interleave(calls, rounds=ROUNDS).items()}
    detail = {"trials": course.trials, "median_ms": {k: round(m, 3) for k, m in medians.items()}}
    minutes = course.near / 60
    rows = [Row("tuner, minutes to within 5 % of its end", minutes, "min", 5.0, "<=", detail)]
    ratio = medians["untuned"] / medians["tuned"]
    rows.append(Row("untuned latency", ratio, "x tuned", 1.15, "<=", detail))
    if "metaschedule" in medians:
        ratio = medians["metaschedule"] / medians["tuned"]
        others = {**detail, "trials": finished}
        rows.append(Row("MetaSchedule latency", ratio, "x tuned", 2.0, ">=", others))
    return rows


def main(argv: list[str] | None = None) -> None:
    """Measure and publish."""
    options = options_from("tuner", make_parser(__doc__ or "").parse_args(argv))
    seconds = 120.0 if options.quick else 600.0
    start = time.perf_counter()
    rows = measure(options, seconds)
    settings = {"model": MODEL, "seconds": seconds, "batch": 1, "threads": 1, "precision": "f32"}
    publish(options, rows, settings)
    say(f"took {(time.perf_counter() - start) / 60:.0f} min")


if __name__ == "__main__":
    main()
