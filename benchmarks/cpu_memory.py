"""Peak memory of running a model once, measured in a process of its own.

python -m benchmarks.cpu_memory codesign|onnxruntime MODEL FEEDS prints peak MiB and the seconds it
took to open the model.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def peak_mib(tool: str, model: Path, feeds: Path) -> tuple[float, float]:
    """Peak resident MiB of a run of `model` with `tool`, and seconds to open it."""
    command = [sys.executable, "-m", "benchmarks.cpu_memory", tool, str(model), str(feeds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return float(found["mib"]), float(found["seconds"])


def main(tool: str, model: str, feeds: str) -> dict[str, float]:
    """Open, run three times, and report."""
    with np.load(feeds) as archive:
        arrays = {name: archive[name] for name in archive.files}
    start = time.perf_counter()
    if tool == "codesign":
        import codesign

        compiled = codesign.open(model)
        first = compiled.run(arrays)
        seconds = time.perf_counter() - start
        for _ in range(2):
            compiled.run(arrays)
    else:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        first = session.run(None, arrays)
        seconds = time.perf_counter() - start
        for _ in range(2):
            session.run(None, arrays)
    assert len(first) > 0
    return {"mib": high_water_kib() / 1024, "seconds": seconds}


def high_water_kib() -> int:
    """Peak resident KiB of this process (getrusage's figure survives exec from a large parent)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    found = main(*sys.argv[1:4])
    sys.stdout.write(json.dumps(found) + "\n")
