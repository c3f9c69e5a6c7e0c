"""Profiles: kept whole, applied to estimates, refused where damaged, dropped where stale."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.cli.estimate import error_bar
from codesign.errors import CodesignWarning, StoreError
from codesign.mapping.group import Group
from codesign.mapping.version import kernel_version
from codesign.profile.features import NAMES, features
from codesign.profile.process import Process
from codesign.profile.table import Fit, OutdatedProfileError, Profile, load_profile, profile_path
from codesign.runtime.host import device
from codesign.tune.informed import informed
from tests.tune.small_task import TARGET, network, task

KERNEL = task().start[0]


def twice() -> Profile:
    """A profile that has seen the kernel of the task take twice what its model says."""
    kernel, group = TARGET.by_name[KERNEL], task().group
    x = features(group, kernel.cost(group, kernel.default(group)), kernel.default(group))
    points = x + np.random.default_rng(0).normal(size=(12, len(NAMES))) * 0.01
    process = Process.fit(points, np.full(12, np.log(2.0)))
    return Profile(TARGET.spec, device(), {KERNEL: Fit(kernel_version(kernel), process)})


def test_features_are_finite_and_named() -> None:
    for assignment in network(2).placement:
        group = Group(network(2).graph, network(2).nodes_of(assignment))
        kernel = TARGET.by_name[assignment.kernel]
        found = features(group, kernel.cost(group, kernel.default(group)), kernel.default(group))
        assert found.shape == (len(NAMES),) and np.isfinite(found).all()


def test_estimates_and_placement_use_the_fit_and_carry_its_error() -> None:
    plain = TARGET.estimate(network())
    estimate = TARGET.informed(correction=twice()).estimate(network())
    one, other = (
        next(x for x in found.layers if x.kernel == KERNEL) for found in (plain, estimate)
    )
    assert other.latency_ms == pytest.approx(2 * one.latency_ms, rel=0.02)
    assert (one.origin, one.error, other.origin) == ("model", None, "profile")
    assert other.error is not None and 0 <= other.error < 0.2
    assert estimate.error_ms == pytest.approx(other.latency_ms * other.error)
    assert plain.error_ms is None


def test_the_total_tells_what_has_no_error_bar() -> None:
    estimate = TARGET.informed(correction=twice()).estimate(network())
    bare = [layer for layer in estimate.layers if layer.error is None]
    assert 0 < len(bare) < len(estimate.layers) and estimate.unsure == tuple(bare)
    share = sum(layer.latency_ms for layer in bare) / estimate.latency_ms
    assert f"; {len(bare)} layers have no error bar, {share:.0%} of the time)" in error_bar(
        estimate
    )
    assert estimate.json()["total"]["layers_without_error"] == len(bare)
    pooled = replace(twice(), model_errors={"all": 0.4})
    whole = TARGET.informed(correction=pooled).estimate(network())
    assert not whole.unsure and {x.error for x in whole.layers if x.origin == "model"} == {0.4}
    assert "no error bar" not in error_bar(whole) and error_bar(TARGET.estimate(network())) == ""


def test_what_lies_outside_is_corrected_as_at_the_edge_and_less_sure() -> None:
    fit = twice().fits[KERNEL]
    kernel, group = TARGET.by_name[KERNEL], task().group
    cost = kernel.cost(group, kernel.default(group))
    near, far = (
        fit.factor(group, kernel.default(group), told)
        for told in (cost, replace(cost, latency_ms=1e6))
    )
    assert far[0] == pytest.approx(near[0], rel=0.05)
    assert far[1] > 3 * near[1]


def test_round_trip_and_path(tmp_path: Path) -> None:
    profile = twice()
    path = profile_path(tmp_path, TARGET.spec, device())
    profile.save(path)
    found = load_profile(path)
    assert found.json() == profile.json()
    assert profile_path(tmp_path, "cpu{isa=x86}", device()) != path
    assert profile_path(tmp_path, TARGET.spec, {"cpu": "other"}) != path
    target = informed(TARGET, _empty_database(tmp_path))
    assert {x.origin for x in target.estimate(network()).layers} >= {"profile"}


def _empty_database(folder: Path) -> Path:
    from codesign.tune.store import Store

    with Store(folder / "t.db") as store:
        assert store.counts().trials == 0
    return folder / "t.db"


def test_kernels_that_changed_since_are_left_to_their_models() -> None:
    profile = twice()
    stale = replace(
        profile,
        fits={KERNEL: replace(profile.fits[KERNEL], version="older"), "gone": None},  # type: ignore[dict-item]
    )
    assert profile.current(TARGET).fits.keys() == {KERNEL}
    old = replace(stale, fits={KERNEL: stale.fits[KERNEL]})
    assert old.current(TARGET).fits == {}


def test_a_profile_of_another_format_is_left_aside_with_a_warning(tmp_path: Path) -> None:
    path, records = profile_path(tmp_path, TARGET.spec, device()), _empty_database(tmp_path)
    twice().save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 1}))
    with pytest.raises(OutdatedProfileError, match=r"format 1, this one reads 3.*again"):
        load_profile(path)
    with pytest.warns(CodesignWarning, match="run `codesign profile` again"):
        found = informed(TARGET, records).estimate(network())
    assert {x.origin for x in found.layers} == {"model"}


def test_the_schedule_is_looked_at() -> None:
    """Idle lanes and columns, and the numbers of the point, are in the features by name."""
    kernel, group = TARGET.by_name[KERNEL], task().group
    point = kernel.default(group)
    cost = kernel.cost(group, point)
    assert dict(point)["cols"] == 6 and group.output_type.shape[-1] == 6
    other = tuple((name, 4 if name == "cols" else value) for name, value in point)
    first, second = (
        dict(zip(NAMES, features(group, cost, p), strict=True)) for p in (point, other)
    )
    assert first["idle columns"] == 0 and second["idle columns"] == pytest.approx(np.log2(8 / 6))
    assert first["idle lanes"] == 0 and first["curves"] == 0
    changed = {name for name in NAMES if first[name] != second[name]}
    assert changed == {"idle columns", "choice 1", "tile"}
    assert first["idle inputs"] == 0 and first["border"] == 1 and first["groups"] == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: json.dumps({**json.loads(text), "format": 0}),
        lambda text: text.replace('"theta": [', '"theta": [1.0,', 1),
        lambda text: text.replace('"y": [', '"y": [NaN,', 1),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "p.json"
    twice().save(path)
    path.write_text(damage(path.read_text()))  # type: ignore[operator]
    with pytest.raises(StoreError, match=r"p\.json .* `codesign profile`"):
        load_profile(path)
