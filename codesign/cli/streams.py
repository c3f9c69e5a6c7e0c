"""Stdout and stderr as the shell left them: closed, full, or read by something that went away."""

import os
import sys


def open_streams() -> None:
    """Streams that were closed before the start (`>&-`) swallow what is written."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (as long as the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def stdout_fails() -> bool:
    """Whether stdout cannot be written, tried with an empty line."""
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def close_stdout() -> None:
    """What is still to be written goes nowhere: its reader went away, or its disk is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
