"""Model + target + passes -> compiled program: the one main path."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

from codesign import plugins
from codesign.analysis.estimate import Estimate
from codesign.data import Source, load_dataset
from codesign.errors import UnknownNameError, UsageError
from codesign.ir.program import Program
from codesign.ir.text import print_program
from codesign.mapping.target import Target
from codesign.model import load
from codesign.progress import Progress
from codesign.recipes import find_recipe
from codesign.report import make_report
from codesign.rewrite.context import Context
from codesign.rewrite.ledger import Ledger
from codesign.rewrite.pass_ import Pass
from codesign.rewrite.pipeline import run_pass, run_pipeline
from codesign.rewrite.recipe import Recipe, Step, parse_passes, resolved
from codesign.rewrite.recorder import Measure
from codesign.rewrite.zeros import seeing
from codesign.runtime.built import Built
from codesign.runtime.compiled import Compiled
from codesign.runtime.folder import scratch_folder
from codesign.runtime.host import fingerprint
from codesign.tune.informed import informed

Passes = str | Sequence[str | Pass]
PACKAGES = ("codesign", "apache-tvm", "apache-tvm-ffi", "numpy")
SIMPLIFY = (  # canonicalize first: it finds composite ops before folding changes their pieces
    "fold-constants",
    "canonicalize",
    "fold-batch-norm",
    "common-subexpressions",
    "dead-code",
)
FOLDS = frozenset({"fold-batch-norm"})  # of these what training cannot do without
SCHEDULE = ("place", "layout")


@dataclass(frozen=True)
class Job:
    """What is to be done: a program, passes, a target, and the context they run in.

    `seconds` is what reading and checking all of it took.
    """

    program: Program
    target: Target
    passes: Sequence[Pass]
    context: Context
    seconds: float = 0.0

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe with every option written out."""
        return resolved(self.passes, self.target.spec, self.context.seed)

    def check_training(self) -> None:
        """UsageError unless there is data for the passes that train."""
        for step in self.passes:
            self.context.check(step.needs & {"training"}, step.name)

    def unscheduled(self) -> "Job":
        """This job without the passes that schedule: the others do not depend on them."""
        return replace(self, passes=[step for step in self.passes if not step.schedules])

    def uncoded(self) -> "Job":
        """This job without the passes that schedule or give widths: layers stay as given."""
        left = self.unscheduled()
        return replace(left, passes=[step for step in left.passes if not step.encodes])


def compile_model(
    model: Any,
    target: str | Target | None = None,
    passes: Passes | None = None,
    recipe: str | Path | Recipe | None = None,
    calibration: Source | None = None,
    validation: Source | None = None,
    seed: int | None = None,
    measure: Measure = "ends",
    progress: Progress | None = None,
    records: str | Path | None = None,
    score_samples: int | None = None,
    require_speedup: float | None = None,
    device: str | None = None,
    training: Source | None = None,
) -> Compiled:
    """`model` (see `load`), rewritten by the passes and built for `target`.

    `passes` are names with options (`"quantize-int8{method=entropy}"`), one text of them, or Pass
    objects; else a `recipe` (its name or file) lists them; else the recipe `default` runs. Passes
    that simplify come first where a list names none, and `place` and `layout` last unless it
    schedules after its last pass that changes the program (which undoes any scheduling before).
    `calibration` and `validation` are .npz files or mappings of arrays [samples, ...]; with labels
    the ledger shows accuracies. `measure` says which rows of the ledger are timed. `records` is a
    tuning database; without it the user's own is used where there is one, with "none" neither
    records nor a profile. `score_samples` is how
    many samples the ledger scores, 0 for all; else the first 1,024 with labels, 64 without. With
    `require_speedup` passes that do not make the program so many times faster are undone. `device`
    is the RPC key of remote devices: what was measured of those is used, not of this machine.
    `training` is what passes that train do so on, with labels or without.
    """
    job = prepare(
        model,
        target,
        passes,
        recipe,
        calibration=calibration,
        validation=validation,
        seed=seed,
        progress=progress,
        records=records,
        score_samples=score_samples,
        device=device,
        training=training,
    )
    return compile_job(job, measure, require_speedup)


def prepare(
    model: Any,
    target: str | Target | None = None,
    passes: Passes | None = None,
    recipe: str | Path | Recipe | None = None,
    calibration: Source | None = None,
    validation: Source | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    records: str | Path | None = None,
    score_samples: int | None = None,
    device: str | None = None,
    training: Source | None = None,
) -> Job:
    """Everything that `compile_model` needs, read and checked before any long step."""
    started = time.perf_counter()
    plan = choose_recipe(passes, recipe)
    goal = informed(make_target(target or plan.target or "cpu"), records, device)
    if passes is None and recipe is None:
        plan = find_recipe(usual(goal, calibration is not None))
    with plan.blamed():
        steps = make_passes(plan, passes)
    program = load(model)
    context = Context(
        goal,
        None if calibration is None else load_dataset(calibration, program.graph, "calibration"),
        None if validation is None else load_dataset(validation, program.graph, "validation"),
        (plan.seed or 0) if seed is None else seed,
        score_samples=score_samples,
        training=None if training is None else load_dataset(training, program.graph, "training"),
    )
    for step in steps:
        context.check(step.needs - {"training"}, step.name)
    if progress is not None:
        context.progress = progress
    return Job(program, goal, steps, context, time.perf_counter() - started)


def compile_job(
    job: Job, measure: Measure = "ends", require_speedup: float | None = None
) -> Compiled:
    """Run the passes of `job` and build what comes out.

    UsageError for a `require_speedup` that is not positive, or if there is no data to train on.
    """
    job.check_training()
    if require_speedup is not None and not 0 < require_speedup < float("inf"):
        raise UsageError(f"the speed-up required is {require_speedup}, expected such as 1.1")
    started = time.perf_counter()
    tidying = (*SIMPLIFY, *SCHEDULE)
    placed, ledger = run_pipeline(
        job.program, job.passes, job.context, measure, tidying, require_speedup
    )
    job.context.progress("building", 1.0)
    target = seeing(job.target, placed.graph, job.context)
    target.verify(placed)
    built = target.build(placed)
    compiled = finish(placed, target, built, ledger, job.recipe, measure)
    compiled.report["seconds"] = job.seconds + time.perf_counter() - started
    job.context.progress("done", 1.0)
    return compiled


def estimate_model(
    model: Any,
    target: str | Target | None = None,
    passes: Passes | None = None,
    recipe: str | Path | Recipe | None = None,
    calibration: Source | None = None,
    seed: int | None = None,
) -> Estimate:
    """What each layer would cost on `target` after the passes; nothing is built or measured."""
    return estimate_job(prepare(model, target, passes, recipe, calibration, seed=seed))


def estimate_job(job: Job) -> Estimate:
    """What each layer would cost after the passes of `job`.

    Where zeros count on the target and there is calibration data, with the zeros that are seen
    there.
    """
    program = run_passes(job)
    return seeing(job.target, program.graph, job.context).estimate(program)


def usual(target: Target, calibrated: bool) -> str:
    """The recipe to run where none is given: where layers cannot stay in float, one for codes."""
    return "codes" if calibrated and not target.floats else "default"


def with_target(job: Job, target: Target) -> Job:
    """`job` for another target."""
    return replace(job, target=target, context=replace(job.context, target=target))


def run_passes(job: Job) -> Program:
    """The program after all passes, verified after each, without a ledger.

    Those that train are left out: they change numbers alone, not what is computed or what it costs.
    """
    program = job.program
    for step in job.passes:
        program = program if step.trains else run_pass(program, step, job.context)
    return program


def check_measure(text: str) -> Measure:
    """`text` as a choice of what to time; UsageError if it is none."""
    for choice in get_args(Measure):
        if choice == text:
            found: Measure = choice
            return found
    raise UnknownNameError("value of --measure", text, get_args(Measure))


def make_target(target: str | Target) -> Target:
    """The target that a spec such as `cpu{threads=2}` names; UsageError if there is none."""
    found: Target = plugins.make("target", target) if isinstance(target, str) else target
    return found


def choose_recipe(passes: Passes | None, recipe: str | Path | Recipe | None) -> Recipe:
    """What to run: the recipe given, or `default`; its steps are empty if `passes` are given."""
    if passes is not None and isinstance(recipe, Recipe) and recipe.steps:
        raise UsageError("both passes and a recipe are given; give one of them")
    if recipe is None:
        return Recipe() if passes is not None else find_recipe("default")
    return recipe if isinstance(recipe, Recipe) else find_recipe(str(recipe))


def make_passes(recipe: Recipe, passes: Passes | None = None) -> list[Pass]:
    """The passes to run, completed by simplification in front and scheduling behind.

    The first where `passes` name none of it (batch norms are folded behind the last pass that
    trains), the second where it does not follow the last pass that
    changes the program, as that undoes what was scheduled before.
    """
    given = _given(passes) if passes is not None else list(recipe.steps)
    steps = [plugins.make("pass", s.name, s.options) if isinstance(s, Step) else s for s in given]
    return [
        *_simplified(steps),
        *(plugins.make("pass", n) for n in _left_to_schedule(steps)),
    ]


def _simplified(steps: Sequence[Pass]) -> list[Pass]:
    """`steps` with simplification in front where they name none of it.

    Training needs batch norms as they are: what folds them follows the last pass that trains.
    """
    if {step.name for step in steps} & set(SIMPLIFY):
        return list(steps)
    known = plugins.table("pass")
    trained = max((i + 1 for i, step in enumerate(steps) if step.trains), default=0)
    before = [n for n in SIMPLIFY if n in known and not (trained and n in FOLDS)]
    after = [n for n in SIMPLIFY if n in known and trained and n in FOLDS]
    return [
        *(plugins.make("pass", n) for n in before),
        *steps[:trained],
        *(plugins.make("pass", n) for n in after),
        *steps[trained:],
    ]


def _left_to_schedule(steps: Sequence[Pass]) -> Sequence[str]:
    """What of `SCHEDULE` has to follow `steps` so that they end in a scheduled program."""
    left: Sequence[str] = SCHEDULE
    for step in steps:
        if step.name in SCHEDULE:
            left = SCHEDULE[SCHEDULE.index(step.name) + 1 :]
        elif not step.schedules:
            left = SCHEDULE
    return left


def _given(passes: Passes) -> list[Step | Pass]:
    if isinstance(passes, str):
        return list(parse_passes(passes))
    found: list[Step | Pass] = []
    for item in passes:
        found += parse_passes(item) if isinstance(item, str) else [item]
    return found


def finish(
    program: Program,
    target: Target,
    built: Built,
    ledger: Ledger,
    recipe: dict[str, Any],
    measure: Measure,
) -> Compiled:
    """The compiled program, its library in a temporary folder that lives as long as it does."""
    owner = scratch_folder()
    library = built.code.save(Path(owner.name))
    measured = target.measure(program) if measure != "none" else None
    report = {
        **make_report(program, target, ledger, measured),
        "build": {"linked_with": library.linked_with, **built.report},
        "machine": fingerprint(),
    }
    plain = built.manifest(program.graph.name, target.spec, library)
    manifest = replace(plain, machine=fingerprint(), versions=versions(), recipe=recipe)
    as_saved = json.loads(json.dumps(report))
    return Compiled(manifest, built.weights, print_program(program), as_saved, library.path, owner)


def versions() -> dict[str, str]:
    """The versions of what took part."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
