"""Options of targets that machine files describe, and what such targets are called."""

from pathlib import Path

import pytest

import codesign as cd
from codesign import plugins
from codesign.errors import RefusedError, UsageError
from codesign.machine.units import FLOW, SIZE
from tests.small import small_graph, small_input

EYERISS = Path("targets/spatial/machines/eyeriss.toml")
WRONG = {
    "eyeriss{seconds=nan}": "seconds is nan, expected over 0",
    "eyeriss{seconds=0}": "seconds is 0, expected over 0",
    "systolic{glb=unlimited}": "target systolic: glb is 'unlimited', expected at least 24 B",
    "systolic{glb=23B}": "target systolic: glb is '23B', expected at least 24 B",
    "systolic{glb=1e300B}": f"target systolic: glb is '1e300B', expected a size of {SIZE.range}",
    "systolic{flow=0b/cycle}": f"flow is '0b/cycle', expected a flow of {FLOW.range}",
    "systolic{flow=1e-300b/cycle}": "target systolic: flow is '1e-300b/cycle', expected a flow of",
    "systolic{flow=fast}": "target systolic: flow is 'fast', expected a flow with its unit",
}


@pytest.mark.parametrize("spec", WRONG)
def test_what_is_wrong_is_told(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        plugins.make("target", spec)
    assert WRONG[spec] in str(caught.value)


def test_the_least_buffer_is_one() -> None:
    assert plugins.make("target", "systolic{glb=24B,dataflow=os}").machine.memories[1].usable == 32


def test_windows_are_laid_out_in_dram() -> None:
    systolic = plugins.make("target", "systolic")
    assert "laid out in DRAM" in (type(systolic).__doc__ or "")
    assert any("laid out in DRAM" in one for one in systolic.machine.assumptions)


def test_a_machine_file_is_called_by_the_name_in_it(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(EYERISS.read_text().replace('"eyeriss"', '"mine"'))
    with pytest.raises(RefusedError, match=r"^mine multiplies codes"):
        cd.compile(small_graph(), str(path), passes="place")
    compiled = cd.compile(small_graph(), str(path), calibration={"x": small_input(4)})
    assert compiled.manifest.linked_with == "the simulator of mine"
    assert plugins.make("target", str(path)).unlinkable().startswith("programs for mine run")


def test_a_path_is_short_for_a_machine_file() -> None:
    assert plugins.parse("target", f" {EYERISS}") == ("machine", {"file": str(EYERISS)})
    assert plugins.parse("target", f"machine{{file={EYERISS}}}")[0] == "machine"
    with pytest.raises(UsageError, match="does not end in"):
        plugins.parse("target", f"machine{{file={EYERISS}")
