"""A common budget for the memory of answers, so that no target can fill the memory of this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import RLock

from chainproof.contract.answer import Answer
from chainproof.options import DEFAULT_RESPONSE_MEMORY


class AnswerTooLarge(Exception):
    """An answer that is not read to its end; the message says why."""


class MemoryExhausted(AnswerTooLarge):
    """An answer for which all answers together leave no memory. The limit is ours, and not a fault of the target."""


class ResponseMemory:
    """The bytes of the answers that are being read and judged, over all connections. Any thread may use it."""

    def __init__(self, limit: int = DEFAULT_RESPONSE_MEMORY) -> None:
        self.limit = limit
        self.held = 0
        # Reentrant: garbage collection may release an answer at any moment, also while this thread holds the lock.
        self._lock = RLock()

    def hold(self, count: int) -> None:
        """Hold more bytes. Raises MemoryExhausted if they are too many."""
        with self._lock:
            if self.held + count > self.limit:
                raise MemoryExhausted(f"the answers read at the same time take more than {self.limit >> 20} MiB")
            self.held += count

    def release(self, count: int) -> None:
        """Release bytes."""
        with self._lock:
            self.held -= count


class HeldBytes:
    """The bytes of one answer. They are held as long as anything refers to this object."""

    __slots__ = ("_count", "_memory")

    def __init__(self, memory: ResponseMemory) -> None:
        self._memory = memory
        self._count = 0

    def add(self, count: int) -> None:
        """Hold more bytes. Raises MemoryExhausted if all answers together have too many."""
        self._memory.hold(count)
        self._count += count

    def __del__(self) -> None:
        self._memory.release(self._count)


_SMALL_BODY = 2**16
"""Bytes of a body up to which its memory is held only until the answer is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAnswer(Answer):
    """An answer with a large body. Its memory is held as long as anything refers to it."""

    held: HeldBytes = field(repr=False, compare=False)


def with_memory(answer: Answer, held: HeldBytes) -> Answer:
    """The answer, which holds its memory if its body is large."""
    if len(answer.body) <= _SMALL_BODY:
        return answer
    return HeldAnswer(status=answer.status, headers=answer.headers, body=answer.body, held=held)
