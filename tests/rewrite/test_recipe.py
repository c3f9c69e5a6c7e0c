"""Recipes: reading, overriding, writing out again."""

from pathlib import Path

import pytest
import yaml

from codesign import plugins
from codesign.compiler import compile_job, make_passes, prepare, run_passes
from codesign.errors import UnknownNameError, UsageError
from codesign.recipes import find_recipe, names
from codesign.rewrite.context import Context
from codesign.rewrite.recipe import Recipe, Step, override, parse_passes, parse_recipe, resolved
from tests.small import small_graph

TEXT = """
target: cpu{threads=2}
seed: 4
passes:
  - fold-constants
  - prune-magnitude: {sparsity: 0.7, skip: [first]}
  - quantize-int8{method=entropy}
  - dead-code:
"""


def test_three_ways_to_write_a_step() -> None:
    recipe = parse_recipe(TEXT)
    assert (recipe.target, recipe.seed) == ("cpu{threads=2}", 4)
    assert recipe.steps == (
        Step("fold-constants"),
        Step("prune-magnitude", {"sparsity": 0.7, "skip": ["first"]}),
        Step("quantize-int8", {"method": "entropy"}),
        Step("dead-code"),
    )


def test_a_pass_may_come_twice_and_lists_split_outside_braces() -> None:
    steps = parse_passes("a{x=1,y=[2,3]},b,a")
    assert steps == (Step("a", {"x": 1, "y": [2, 3]}), Step("b"), Step("a"))


def test_overrides_reach_every_step_of_that_name() -> None:
    recipe = Recipe((Step("a", {"x": 1}), Step("b"), Step("a")))
    changed = override(recipe, ["a.x=5", "seed=2", "target=cpu"])
    assert changed == Recipe((Step("a", {"x": 5}), Step("b"), Step("a", {"x": 5})), "cpu", 2)
    assert recipe.steps[0].options == {"x": 1}
    with pytest.raises(UsageError, match=r"did you mean b\.OPTION"):
        override(Recipe((Step("b"),)), ["bb.OPTION=1"])


@pytest.mark.parametrize("name", names())
def test_recipes_that_come_along_name_passes_that_exist(name: str) -> None:
    steps = make_passes(find_recipe(name))
    assert [step.name for step in steps][-2:] == ["place", "layout"]
    assert [step.name for step in steps] == [step.name for step in find_recipe(name).steps]


def test_what_a_list_does_not_mention_is_added_around_it() -> None:
    added = [step.name for step in make_passes(Recipe(), "quantize-int8")]
    assert added[0] == "fold-constants" and added[-3:] == ["quantize-int8", "place", "layout"]
    chosen = [step.name for step in make_passes(Recipe(), "dead-code,quantize-int8,place")]
    assert chosen == ["dead-code", "quantize-int8", "place", "layout"]


def test_batch_norms_are_folded_behind_the_last_pass_that_trains() -> None:
    names = [s.name for s in make_passes(Recipe(), "binarize,recover,recover,quantize-int8")]
    before = ["fold-constants", "canonicalize", "common-subexpressions", "dead-code"]
    trained = ["binarize", "recover", "recover", "fold-batch-norm", "quantize-int8"]
    assert names == [*before, *trained, "place", "layout"]
    mine = [s.name for s in make_passes(Recipe(), "fold-batch-norm,recover")]
    assert mine == ["fold-batch-norm", "recover", "place", "layout"]


@pytest.mark.parametrize("name", ["binary", "ternary"])
def test_recipes_that_train_fold_afterwards(name: str) -> None:
    steps = [step.name for step in make_passes(find_recipe(name))]
    assert steps.index("binarize") < steps.index("recover") < steps.index("fold-batch-norm")
    assert steps.index("fold-batch-norm") < steps.index("quantize-int8")


def test_training_data_is_asked_for_before_anything_is_trained() -> None:
    job = prepare(small_graph(), passes="recover")
    assert run_passes(job).graph  # estimates do without: training changes numbers alone
    with pytest.raises(UsageError, match=r"recover needs training data.*--training"):
        compile_job(job)


def test_resolved_recipe_repeats_itself(tmp_path: Path) -> None:
    passes = make_passes(parse_recipe(TEXT))
    written = resolved(passes, "cpu", 4)
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(written))
    again = find_recipe(str(path))
    assert make_passes(again) == passes
    assert resolved(make_passes(again), "cpu", 4) == written
    prune = next(step["prune-magnitude"] for step in written["passes"] if "prune-magnitude" in step)
    assert prune["sparsity"] == 0.7 and prune["scope"] == "layer"


def test_unknown_recipe_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean int8"):
        find_recipe("int9")


def test_every_pass_can_be_described() -> None:
    from codesign.cli.describe import describe, text

    for name in plugins.table("pass"):
        entry = describe(name, plugins.find("pass", name))
        assert entry["description"] and name in text(entry)


def test_what_passes_need_is_checked_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="quantize-int8 needs calibration data"):
        prepare(small_graph(), passes="quantize-int8")
    assert prepare(small_graph(), passes="prune-magnitude").passes
    with pytest.raises(UsageError, match="layout asks the target"):
        Context().check(plugins.make("pass", "layout").needs, "layout")
    with pytest.raises(UnknownNameError, match="need of pass mine 'targets'; did you mean target"):
        Context().check({"targets"}, "mine")
