"""The signals that ask a command to end: their handlers, and what happens to further ones."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a command to end: Ctrl-C, a supervisor, and a terminal that is closed."""

_handled: list[int] = []
"""The signals that this process has handled, by whichever handler."""


def signals_to_handle() -> list[signal.Signals]:
    """The signals that ask to end, without a SIGHUP that is ignored: nohup asks to survive the end of the terminal."""
    return [each for each in ENDING_SIGNALS if each != signal.SIGHUP or signal.getsignal(each) is not signal.SIG_IGN]


@contextmanager
def handle_signals(handler: Callable[[int], None]) -> Iterator[None]:
    """Call a handler with each signal that asks to end until the context ends, then restore the former handlers."""

    def handle(number: int) -> None:
        _handled.append(number)
        handler(number)

    with _installed(handle):
        yield


@contextmanager
def _installed(handler: Callable[[int], None]) -> Iterator[None]:
    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        handler(number)

    before = {number: signal.signal(number, handle) for number in signals_to_handle()}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def first_signal_interrupts() -> Iterator[None]:
    """
    Raise KeyboardInterrupt at the first signal that asks to end; further ones do not disturb what it leads to, also if the
    first one was handled in a context within this one.

    Has no effect outside of the main thread, which alone gets signals.
    """
    before = len(_handled)

    def interrupt(number: int) -> None:
        del number
        if len(_handled) == before + 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with handle_signals(interrupt):
        yield


@contextmanager
def signals_deferred() -> Iterator[None]:
    """
    Let the signals that ask to end arrive after the context, which has to be short.

    For imports: an exception that a signal handler raises within the import of an extension module can crash the process.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _installed(arrived.append):
        yield
    for number in arrived[:1]:
        signal.raise_signal(number)


@contextmanager
def announce_suspension(announce: Callable[[], object]) -> Iterator[None]:
    """Call a function before the process is suspended with Ctrl-Z (SIGTSTP), for what goes on meanwhile in a child process."""

    def suspend(number: int, frame: FrameType | None) -> None:
        del number, frame
        announce()
        os.kill(os.getpid(), signal.SIGSTOP)

    before = signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)


def ignore_signals() -> None:
    """Ignore the signals that ask to end: only the interpreter is left to end, and it would print a traceback."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def start_without_signals(thread: threading.Thread) -> None:
    """
    Start a thread that gets none of the signals that ask to end.

    Python calls their handlers in the main thread, which does not wake up for a signal that another thread got: of two signals
    at the same time, Linux may give the second to another thread, and its handler would run only when the main thread goes on.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
