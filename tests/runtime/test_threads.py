"""What running a program does to the process around it: nothing."""

import os
import subprocess
import sys
from pathlib import Path

from tests.small import small_compiled


def test_the_calling_thread_keeps_all_its_cores(tmp_path: Path) -> None:
    folder = small_compiled().save(tmp_path / "out")
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
