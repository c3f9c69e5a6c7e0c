"""Recipes that come with codesign, by name: the `.yaml` files beside this one."""

from pathlib import Path

from codesign.errors import UnknownNameError
from codesign.rewrite.recipe import Recipe, read_recipe

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The recipes there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find_recipe(text: str) -> Recipe:
    """The recipe of that name, or else in the file of that path.

    UnknownNameError if `text` is neither; UsageError if the file is no recipe.
    """
    path = FOLDER / f"{text}.yaml"
    if "/" not in text and path.is_file():
        return read_recipe(path)
    if not Path(text).is_file() and not text.endswith((".yaml", ".yml")):
        raise UnknownNameError("recipe", text, names())
    return read_recipe(Path(text))
