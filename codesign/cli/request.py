"""From the options of the command line to what the compiler takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.cli.output import say
from codesign.errors import UsageError

if TYPE_CHECKING:
    from codesign.ir.program import Program
    from codesign.mapping.target import Target
    from codesign.rewrite.recipe import Recipe
    from codesign.runtime.compiled import Compiled
    from codesign.tune.remote import Tracker


def parse_shapes(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """`name=1,3,224,224` as shapes by name; UsageError for anything else."""
    found = {}
    for text in texts or ():
        name, equals, extents = text.rpartition("=")
        try:
            shape = tuple(int(extent) for extent in extents.replace("x", ",").split(","))
        except ValueError:
            shape = ()
        if not equals or not shape or min(shape) < 1:
            raise UsageError(f"--input-shape {text!r} is no NAME=1,3,224,224")
        found[name] = shape
    return found


def load_model(model: str, input_shape: Sequence[str] | None) -> "Program":
    """The program in MODEL."""
    from codesign.model import load

    return load(model, input_shapes=parse_shapes(input_shape) or None)


def choose(
    recipe: str | None, passes: str | None, assignments: Sequence[str] | None, default: str
) -> "Recipe":
    """The recipe that --recipe, --passes and --set describe, else the one called `default`."""
    from codesign.recipes import find_recipe
    from codesign.rewrite.recipe import Recipe, override, parse_passes

    if recipe is not None and passes is not None:
        raise UsageError("both --recipe and --passes are given; give one of them")
    listed = None if passes is None else Recipe(parse_passes(passes))
    return override(listed or find_recipe(recipe or default), assignments or ())


def make_target(spec: str | None, recipe: "Recipe", threads: int | None) -> "Target":
    """The target named by --target, else by the recipe, else the CPU; with --threads."""
    from codesign import plugins

    options = {} if threads is None else {"threads": threads}
    found: Target = plugins.make("target", spec or recipe.target or "cpu", options)
    return found


def parse_tracker(tracker: str | None, key: str | None) -> "Tracker | None":
    """The tracker that --rpc-tracker and --rpc-key name, None without; UsageError for one alone."""
    from codesign.tune.remote import Tracker

    if tracker is None and key is not None:
        raise UsageError("--rpc-key is given without --rpc-tracker HOST:PORT")
    return None if tracker is None else Tracker.parse(tracker, key or "")


def use_threads(compiled: "Compiled", count: int | None) -> None:
    """Run on `count` threads, or on as many as it was compiled for, saying so."""
    if count is None:
        return
    if count > compiled.manifest.threads:
        say(compiled.most_threads())
    compiled.threads = min(count, compiled.manifest.threads)


def check_output(path: Path) -> None:
    """Refuse an output that could not be written, before the work is done."""
    from codesign.runtime.artifact import NAMES
    from codesign.runtime.folder import check_replaceable

    check_replaceable(path, NAMES)
