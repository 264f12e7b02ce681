"""Requests at the same time: all begin together, and none waits for one that cannot begin."""

from __future__ import annotations

import threading

import pytest

from chainproof.conformance.probing.concurrency import run_together

THREADS = 5


def test_all_begin_before_one_ends_and_results_are_in_order() -> None:
    """Each waits until all others have begun."""
    begun = threading.Barrier(THREADS)

    def call(number: int) -> int:
        begun.wait(10)
        return number * number

    assert [0, 1, 4, 9, 16] == run_together(call, range(THREADS))


@pytest.mark.parametrize("started", range(THREADS))
def test_threads_do_not_wait_for_one_that_cannot_start(started: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with too little memory or too many threads: the exception is raised, and the threads that have started end."""
    start, before = threading.Thread.start, set(threading.enumerate())
    left = iter(range(started))

    def start_some(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        run_together(print, range(THREADS))

    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_an_exception_of_one_is_raised_after_all_have_ended() -> None:
    """The others are not disturbed."""
    called: list[int] = []

    def call(number: int) -> None:
        called.append(number)
        if number == 1:
            raise ValueError("one")

    with pytest.raises(ValueError, match="one"):
        run_together(call, range(THREADS))

    assert sorted(called) == list(range(THREADS))
