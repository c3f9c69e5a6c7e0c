"""The description of machine and versions."""

import platform
from importlib import metadata
from pathlib import Path

from benchmarks.machine import describe_machine, versions

CPUINFO = """processor\t: 0
model name\t: Example CPU @ 2.00GHz
flags\t\t: fpu sse4_2 avx2 fma avx512f avx512_vnni
"""


def test_reads_processor_and_flags_of_interest(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    machine = describe_machine(tmp_path / "cpuinfo")
    assert machine["cpu"] == "Example CPU @ 2.00GHz"
    assert machine["flags"] == ["sse4_2", "avx2", "fma", "avx512f", "avx512_vnni"]


def test_arm_lists_features_and_no_model_name(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd asimddp\n")
    machine = describe_machine(tmp_path / "cpuinfo")
    assert machine["flags"] == ["asimd", "asimddp"]
    assert machine["cpu"] == platform.processor() or platform.machine()


def test_describes_this_machine_even_without_cpuinfo(tmp_path: Path) -> None:
    machine = describe_machine(tmp_path / "none")
    assert machine["flags"] == []
    assert isinstance(machine["cores"], int)
    assert machine["cores"] >= 1
    assert isinstance(machine["memory_gib"], float)


def test_versions_leave_out_what_is_not_installed() -> None:
    found = versions(("numpy", "no-such-package-here"))
    assert found == {"python": platform.python_version(), "numpy": metadata.version("numpy")}
