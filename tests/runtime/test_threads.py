"""What running a program does to the process around it: nothing."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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
    run_alone(code)


def run_alone(code: str) -> None:
    """Run Python code in a process of its own, with nothing of TVM's in its environment."""
    told = ("TVM_BIND_THREADS", "TVM_NUM_THREADS", "OMP_NUM_THREADS")
    environment = {k: v for k, v in os.environ.items() if k not in told}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.parametrize("order", [(2, 1, 2), (1, 2, 1)])
def test_as_many_threads_work_as_are_asked_for(tmp_path: Path, order: tuple[int, ...]) -> None:
    """In the first thread and in another, whatever was run before."""
    folder = cd.compile(small_graph(), target="cpu{threads=2}", measure="none").save(tmp_path)
    run_alone(
        "import threading, warnings, numpy as np, codesign as cd\n"
        "warnings.simplefilter('error')\n"
        f"compiled = cd.open({str(folder)!r})\n"
        "x, used = np.zeros((1, 3, 8, 8), np.float32), []\n"
        "def work():\n"
        f"    for threads in {order}:\n"
        "        compiled.threads = threads\n"
        "        compiled(x)\n"
        "        import tvm_ffi\n"
        "        used.append(tvm_ffi.get_global_func('runtime.NumThreads')())\n"
        "work()\n"
        "other = threading.Thread(target=work)\n"
        "other.start()\n"
        "other.join()\n"
        f"assert used == [*{order}, *{order}], used\n"
    )


def test_more_threads_than_there_are_workers_are_told() -> None:
    count = len(os.sched_getaffinity(0)) + 1
    compiled = cd.compile(small_graph(), target=f"cpu{{threads={count}}}", measure="none")
    one = small_compiled()

    def first_narrow_then_wide() -> None:
        one(small_input())
        with pytest.warns(UserWarning, match=f"{count} threads are asked for and {count - 1} used"):
            compiled(small_input())

    with ThreadPoolExecutor(1) as fresh:
        fresh.submit(first_narrow_then_wide).result()


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
