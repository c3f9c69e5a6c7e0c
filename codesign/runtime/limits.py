"""Bounds on what is asked of a machine."""

MOST_THREADS = 1024  # of a run; more would only wait for each other
