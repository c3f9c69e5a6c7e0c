"""What is asked of the verbs that run passes over a model: their shared options, in one place."""

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import TYPE_CHECKING, Any

from codesign.cli import options

if TYPE_CHECKING:
    from codesign.compiler import Job
    from codesign.mapping.target import Target
    from codesign.progress import Progress


@dataclass(frozen=True)
class Asked:
    """The shared options; those from `json` on are kept in the settings as they are parsed."""

    model: options.Model
    target: options.TargetSpec = None
    recipe: options.Recipe = None
    passes: options.Passes = None
    assignments: options.Set = None
    calibration: options.Calibration = None
    training: options.Training = None
    input_shape: options.InputShape = None
    seed: options.Seed = None
    threads: options.Threads = None
    device: options.Device = None
    tuning_records: options.Records = None
    json: options.Json = False
    verbose: options.Verbose = False
    quiet: options.Quiet = False

    def job(self, progress: "Progress | None" = None, **more: Any) -> "Job":
        """Everything read and checked, the model last; `more` is what `prepare` takes besides."""
        from codesign.cli.request import choose, load_model, make_target
        from codesign.compiler import make_passes, prepare, usual

        started = time.perf_counter()
        chosen = choose(self.recipe, self.passes, self.assignments, "default")
        target = make_target(self.target, chosen, self.threads)
        if self.recipe is None and self.passes is None:
            which = usual(target, self.calibration is not None)
            chosen = choose(None, None, self.assignments, which)
        with chosen.blamed():
            make_passes(chosen)
        if progress is not None:
            progress(f"loading {self.model}", 0.0)
        found = prepare(
            load_model(self.model, self.input_shape),
            target,
            recipe=chosen,
            calibration=self.calibration,
            training=self.training,
            seed=self.seed,
            progress=progress,
            device=self.device,
            **{"records": self.tuning_records, **more},
        )
        return replace(found, seconds=time.perf_counter() - started)

    def machine(self) -> "Target":
        """The target alone, before anything is read that takes long."""
        from codesign.cli.request import choose, make_target

        chosen = choose(self.recipe, self.passes, self.assignments, "default")
        return make_target(self.target, chosen, self.threads)


def asking(verb: Callable[..., None]) -> Callable[..., None]:
    """`verb(asked, ...)` with the fields of `Asked` as parameters beside its own, for typer."""
    shared = inspect.signature(Asked).parameters
    own = list(inspect.signature(verb).parameters.values())[1:]

    @wraps(verb)
    def told(**values: Any) -> None:
        asked = Asked(**{field.name: values.pop(field.name) for field in fields(Asked)})
        verb(asked, **values)

    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*own, *shared.values())]
    told.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    told.__annotations__ = {p.name: p.annotation for p in parameters}
    return told
