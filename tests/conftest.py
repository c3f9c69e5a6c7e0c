"""Settings of the whole suite."""

import os

from hypothesis import HealthCheck, settings

# Before torch is loaded: two libraries' threads, or two test workers, fighting over the same
# cores slow small layers down several times over.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# No test depends on what this user has tuned.
os.environ["CODESIGN_RECORDS"] = os.path.join(os.devnull, "no-records.db")

settings.register_profile(
    "codesign", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40
)
settings.load_profile("codesign")
