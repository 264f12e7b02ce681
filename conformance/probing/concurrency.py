"""Requests at the same time: threads for them, and a limit that is lowered when the target says that it is busy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Barrier, Condition, Lock, Thread
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class ConcurrencyLimit:
    """A context manager for one request in flight. It waits while as many as allowed are in flight. Any thread may use it."""

    def __init__(self, limit: float = float("inf")) -> None:
        self.limit = limit
        """Requests that may be in flight."""
        self._in_flight = 0
        self._freed = Condition()

    def lower(self) -> None:
        """Allow half as many, but at least one."""
        with self._freed:
            if self.limit != float("inf"):
                self.limit = max(1, self.limit // 2)

    def __enter__(self) -> None:
        with self._freed:
            self._freed.wait_for(lambda: self._in_flight < self.limit)
            self._in_flight += 1

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._freed:
            self._in_flight -= 1
            self._freed.notify_all()


def run_in_threads(function: Callable[[Item], object], items: Iterable[Item], *, threads: int) -> None:
    """
    Call a function for each item, on several threads, and raise the first of their exceptions.

    Unlike the threads of a pool, these do not keep an interrupted run alive until the last deadline.
    """
    left, lock = iter(items), Lock()
    raised: list[BaseException] = []

    def work() -> None:
        while not raised:
            with lock:
                item = next(left, _NO_ITEM)
            if isinstance(item, _NoItem):
                return
            try:
                function(item)
            except BaseException as error:  # noqa: BLE001  # raised again below
                with lock:
                    if not raised:  # the others would keep the answers that they refer to
                        raised.append(error)

    workers = [Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if raised:
        raise raised.pop()  # so that it does not refer to itself, by its frames, and is freed at once


def run_together(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Call a function for each item, on a thread each, when all threads have started, and return the results in order."""
    barrier = Barrier(len(items))
    results: dict[int, Result] = {}

    def run(number: int) -> None:
        barrier.wait()
        results[number] = function(items[number])

    try:
        run_in_threads(run, range(len(items)), threads=len(items))
    except (
        RuntimeError
    ):  # with too little memory for another thread, those that have started would wait for it for ever
        barrier.abort()
        raise
    return [results[number] for number in range(len(items))]


class _NoItem:
    """Stands for the end of the items."""


_NO_ITEM = _NoItem()
