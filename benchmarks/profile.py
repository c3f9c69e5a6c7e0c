"""The error of a cost model fitted to this device, on layers that the fit has not seen.

python -m benchmarks.profile [--quick] [--json FILE]

`codesign profile` from an empty database, one thread; nothing else should run. Rows: the minutes it
took, and the median of the relative errors on held-out layers for products in float32 without
zeros and for all other layers; the details are of every op and form. --quick takes 2 minutes
instead of 8.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import Options, Row, Sense, parse_options, publish, say
from codesign import plugins
from codesign.profiling.run import Settings, make_profile

GOALS = {"dense f32": 0.10, "the rest": 0.15}


def measure(options: Options, minutes: float) -> list[Row]:
    """All rows."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        target = plugins.make("target", "cpu")
        settings = Settings(minutes * 60)
        found, run, _ = make_profile(target, Path(folder) / "profile.db", settings, _quiet)
    taken = (time.perf_counter() - start) / 60
    counts = {"points": run.measured, "failed": run.failures}
    rows = [Row("profile", taken, "min", 10.0, "<=", counts)]
    return rows + [_row(row) for row in found.quality if row["held_out"]]


def _row(found: Mapping[str, Any]) -> Row:
    goal = GOALS.get(found["op"])
    sense: Sense | None = None if goal is None else "<="
    detail = {k: found[k] for k in ("points", "held_out", "model_error", "error_p90")}
    name = f"held-out error, {found['op']}"
    return Row(name, found["error"], "relative", goal, sense, detail)


def _quiet(text: str, share: float) -> None:
    """No progress."""


def main(argv: list[str] | None = None) -> None:
    """Measure and publish."""
    options = parse_options("profile", __doc__ or "", argv)
    minutes = 2.0 if options.quick else 8.0
    say(f"profiling for {minutes:g} min")
    publish(options, measure(options, minutes), {"threads": 1, "minutes": minutes})


if __name__ == "__main__":
    main()
