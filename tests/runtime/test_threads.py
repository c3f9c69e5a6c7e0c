"""What running a program does to the process around it: nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import codesign as cd
from codesign.errors import DataError, UsageError
from tests.small import small_compiled, small_graph, small_input


def test_the_calling_thread_keeps_all_its_cores(tmp_path: Path) -> None:
    folder = cd.compile(small_graph(), target="cpu{threads=2}", measure="none").save(tmp_path)
    code = (
        "import os, numpy as np, codesign as cd\n"
        "before = os.sched_getaffinity(0)\n"
        f"compiled = cd.open({str(folder)!r})\n"
        "for threads in (1, 2):\n"
        "    compiled.threads = threads\n"
        "    compiled(np.zeros((1, 3, 8, 8), np.float32))\n"
        "    assert os.sched_getaffinity(0) == before, os.sched_getaffinity(0)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TVM_BIND_THREADS"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_fewer_threads_than_compiled_for_do_not_change_the_result() -> None:
    compiled = cd.compile(small_graph(), target="cpu{threads=2}", measure="none")
    assert compiled.threads == 2
    two = compiled(small_input())
    compiled.threads = 1
    np.testing.assert_array_equal(compiled(small_input()), two)
    with pytest.raises(DataError, match="threads is 0"):
        compiled.threads = 0


def test_more_threads_than_compiled_for_are_refused() -> None:
    with pytest.raises(UsageError, match=r"compiled for 1 thread; compile with --threads 2"):
        small_compiled().threads = 2
    assert small_compiled().threads == 1
