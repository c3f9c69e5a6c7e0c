"""Recipes: which passes in which order with which options, as YAML.

target: cpu{threads=2}
seed: 0
passes:
  - fold-batch-norm
  - prune-magnitude: {sparsity: 0.5}
  - quantize-int8
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from reprlib import repr as short
from typing import Any

from codesign import spec
from codesign.errors import UnknownNameError, UsageError
from codesign.rewrite.pass_ import Pass

KEYS = ("passes", "target", "seed")


@dataclass(frozen=True)
class Step:
    """A pass by name with the options that are given."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Steps in order; target (a spec) and seed where the recipe sets them.

    `origin` says in messages where all this was read, "" for what no file holds.
    """

    steps: tuple[Step, ...] = ()
    target: str | None = None
    seed: int | None = None
    origin: str = field(default="", compare=False)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Within, a UsageError about the recipe's content names its origin."""
        try:
            yield
        except UsageError as error:
            if not self.origin:
                raise
            raise UsageError(f"{self.origin}: {error}") from error


def read_recipe(path: Path) -> Recipe:
    """The recipe in the YAML file `path`; UsageError, naming the file, if it is none."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read recipe {path}: {error}") from None
    return parse_recipe(text, f"recipe {path}")


def parse_recipe(text: str, where: str = "recipe") -> Recipe:
    """The recipe that `text` holds; UsageError, starting with `where`, says what is wrong."""
    found = _read_yaml(text, where)
    if not isinstance(found, dict):
        raise UsageError(f"{where} holds no keys; expected `passes:` and a list of passes")
    for key in found:
        if key not in KEYS:
            raise UsageError(f"{where}: {UnknownNameError('key', str(key)[:40], KEYS)}")
    steps = found.get("passes", [])
    if not isinstance(steps, list):
        raise UsageError(f"{where}: passes is {short(steps)}, expected a list of passes")
    target, seed = found.get("target"), found.get("seed")
    return Recipe(
        tuple(parse_step(step, where) for step in steps),
        None if target is None else check_target(target, f"{where}: "),
        None if seed is None else check_seed(seed, f"{where}: "),
        where if where != "recipe" else "",
    )


def _read_yaml(text: str, where: str) -> Any:
    """The content of `text`; UsageError if it is no YAML, nested too deep, or has a key twice."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
            if twice is not None:
                line = node.start_mark.line + 1
                raise UsageError(f"{where}: key {twice!r} is there twice (from line {line} on)")
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        what, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
        line = "" if mark is None else f" (line {mark.line + 1})"
        raise UsageError(f"{where} is no YAML: {what or error}{line}") from None
    except RecursionError:
        raise UsageError(f"{where} is nested too deep; expected a list of passes") from None


def check_target(value: object, where: str) -> str:
    """`value` if it can be a target's spec; UsageError, starting with `where`, otherwise."""
    if not isinstance(value, str) or not value:
        raise UsageError(f"{where}target is {short(value)}, expected a name such as cpu")
    return value


def check_seed(value: object, where: str) -> int:
    """`value` if it can be a seed; UsageError, starting with `where`, otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"{where}seed is {short(value)}, expected an integer from 0 on")
    return value


def parse_step(value: object, where: str) -> Step:
    """A step from `name`, `name{option=value}` or `{name: {option: value}}`."""
    if isinstance(value, str):
        with Recipe(origin=where).blamed():
            return Step(*spec.parse(value))
    if isinstance(value, dict) and len(value) == 1:
        ((name, options),) = value.items()
        if isinstance(name, str) and (options is None or isinstance(options, dict)):
            return Step(name, {str(key): option for key, option in (options or {}).items()})
    raise UsageError(
        f"{where}: {short(value)} is no pass; expected `name`, `name{{option=value}}` or "
        "`name: {option: value}`"
    )


def parse_passes(text: str) -> tuple[Step, ...]:
    """The steps that `a{x=1},b` lists."""
    return tuple(Step(*spec.parse(part)) for part in spec.split(text))


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """`recipe` with `key=value` applied in order: `seed=1`, `target=cpu`, `PASS.OPTION=value`.

    UsageError for what is no assignment or names a key or a pass that the recipe does not have.
    """
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text!r} is no KEY=VALUE")
        recipe = _assign(recipe, key.strip(), spec.literal(value.strip()))
    if recipe.origin and assignments:
        recipe = replace(recipe, origin=f"{recipe.origin} with --set {' '.join(assignments)}")
    return recipe


def _assign(recipe: Recipe, key: str, value: spec.Option) -> Recipe:
    if key == "seed":
        return replace(recipe, seed=check_seed(value, "--set: "))
    if key == "target":
        return replace(recipe, target=check_target(value, "--set: "))
    name, dot, option = key.rpartition(".")
    names = [step.name for step in recipe.steps]
    if not dot or name not in names:
        raise UsageError(f"--set: {UnknownNameError('key', key, _settable(names))}")
    steps = (
        replace(step, options={**step.options, option: value}) if step.name == name else step
        for step in recipe.steps
    )
    return replace(recipe, steps=tuple(steps))


def _settable(names: Sequence[str]) -> list[str]:
    return ["seed", "target", *(f"{name}.OPTION" for name in names)]


def resolved(passes: Sequence[Pass], target: str, seed: int) -> dict[str, Any]:
    """A recipe that repeats a compile, every option of every pass written out."""
    return {"target": target, "seed": seed, "passes": [_written(step) for step in passes]}


def _written(step: Pass) -> dict[str, Any]:
    return {step.name: {f.name: _plain(getattr(step, f.name)) for f in fields(step)}}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
