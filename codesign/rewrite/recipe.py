"""Recipes: which passes in which order with which options, as YAML.

target: cpu{threads=2}
seed: 0
passes:
  - fold-batch-norm
  - prune-magnitude: {sparsity: 0.5}
  - quantize-int8
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
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
    """Steps in order; target (a spec) and seed where the recipe sets them."""

    steps: tuple[Step, ...] = ()
    target: str | None = None
    seed: int | None = None


def read_recipe(path: Path) -> Recipe:
    """The recipe in the YAML file `path`; UsageError, naming the file, if it is none."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read recipe {path}: {error}") from None
    return parse_recipe(text, f"recipe {path}")


def parse_recipe(text: str, where: str = "recipe") -> Recipe:
    """The recipe that `text` holds; UsageError, starting with `where`, says what is wrong."""
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is no YAML: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{where} holds no keys; expected `passes:` and a list of passes")
    for key in found:
        if key not in KEYS:
            raise UsageError(f"{where}: {UnknownNameError('key', str(key), KEYS)}")
    steps = found.get("passes", [])
    if not isinstance(steps, list):
        raise UsageError(f"{where}: passes is {steps!r}, expected a list of passes")
    target, seed = found.get("target"), found.get("seed")
    if target is not None and not isinstance(target, str):
        raise UsageError(f"{where}: target is {target!r}, expected a name such as cpu")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise UsageError(f"{where}: seed is {seed!r}, expected an integer")
    return Recipe(tuple(parse_step(step, where) for step in steps), target, seed)


def parse_step(value: object, where: str) -> Step:
    """A step from `name`, `name{option=value}` or `{name: {option: value}}`."""
    if isinstance(value, str):
        return Step(*spec.parse(value))
    if isinstance(value, dict) and len(value) == 1:
        ((name, options),) = value.items()
        if isinstance(name, str) and (options is None or isinstance(options, dict)):
            return Step(name, {str(key): option for key, option in (options or {}).items()})
    raise UsageError(
        f"{where}: {value!r} is no pass; expected `name`, `name{{option=value}}` or "
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
    return recipe


def _assign(recipe: Recipe, key: str, value: spec.Option) -> Recipe:
    if key == "seed" and isinstance(value, int):
        return replace(recipe, seed=value)
    if key == "target" and isinstance(value, str):
        return replace(recipe, target=value)
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
