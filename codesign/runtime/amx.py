"""Permission to use AMX tile registers, which Linux gives to a process that asks for it.

Reference: Documentation/arch/x86/xstate.rst of the Linux kernel. Threads that start later inherit
the permission; so ask before the first kernel runs.
"""

import ctypes
import platform
import sys
from functools import cache

_ARCH_PRCTL = 158  # the system call's number on x86-64
_REQUEST_PERMISSION = 0x1023
_TILE_DATA = 18


@cache
def enable_amx() -> bool:
    """Ask for the tile registers; whether they may be used now."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    arguments = (_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA)
    return bool(call(*map(ctypes.c_long, arguments)) == 0)
