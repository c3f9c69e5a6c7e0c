"""Finding good schedules by measuring them, and the database of everything that was measured.

`Store` (in `codesign.tune.store`) keeps trials, `codesign.tune.exchange` writes and reads them as
text and merges stores, `codesign.tune.prune` drops what is not needed any more.
"""

from codesign.tune.paths import default_path

__all__ = ["default_path"]
