"""Linux system calls and constants that Python has no name for: timers, receive timestamps, the parent-death signal."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
import time
from pathlib import Path

from chainproof.clock import Seconds

SO_TIMESTAMPNS = 35
"""Socket option for receive timestamps, and type of their ancillary message (asm-generic/socket.h)."""
TIMESPEC = struct.Struct("@ll")
"""The ancillary message: seconds and nanoseconds of CLOCK_REALTIME."""

_M_MMAP_THRESHOLD = -3  # malloc.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_TFD_TIMER_ABSTIME = 1
_BILLION = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)


class _TimerSpec(ctypes.Structure):
    """`struct itimerspec`: an interval, which stays zero, and the instant."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


def open_timer() -> int:
    """The file descriptor of a timer on the monotonic clock, which becomes readable when it expires. Raises OSError."""
    # Python has os.timerfd_create from 3.13 on.
    if sys.platform != "linux":
        raise OSError("timerfd_create exists on Linux only")
    fd = int(_libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    return fd


def set_timer(fd: int, instant: Seconds) -> None:
    """Let a timer expire at an instant of the monotonic clock; at once if it is over."""
    seconds, nanoseconds = divmod(max(int(instant * _BILLION), 1), _BILLION)  # 0 would disarm the timer
    _libc.timerfd_settime(fd, _TFD_TIMER_ABSTIME, ctypes.byref(_TimerSpec(0, 0, seconds, nanoseconds)), None)


def end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends; on other systems, do nothing."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def return_freed_memory() -> None:
    """
    Return large blocks of memory to the system as soon as they are freed; without glibc, do nothing.

    By default, glibc keeps freed blocks of up to 32 MiB for each thread (mallopt(3), M_MMAP_THRESHOLD).
    """
    if sys.platform == "linux" and hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def oom_kills() -> int:
    """How many processes the kernel has killed for lack of memory since it started; 0 if it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def is_running(process: int) -> bool:
    """Whether a process is running, and has not only not been waited for."""
    try:
        state = (
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
        )
    except OSError:
        return False
    return state not in "ZX"
