"""
Finds out whether a target still answers, after requests without an answer or with nothing but busy answers.

The simplest input that the chain accepts is the probe. If it is answered, the requests before it were the reason, and the
run goes on without that kind of request. If it is not, the run waits, asks again, and at last stops.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from chainproof.clock import Clock, Seconds, format_duration, monotonic
from chainproof.contract.answer import Answer

from ..judging.judge import BUSY_STATUSES
from ..transport.check_skipped import CheckSkipped

MAX_RECOVERY: Seconds = 60.0
"""How long a target that names a Retry-After may take to recover, several pauses together. Most cold starts are over by then."""

_MAX_MISSES_OF_CHECK = 2
"""Requests without an answer, after which the rest of a check is not sent."""
_MAX_MISSES = 20
"""Requests without an answer, after which a run sends no more, although the target answers other requests."""
_MAX_PATIENT_MISSES = 3
"""Requests without an answer by the deadline, after which later answers get less time. A violation was found by then."""
_LARGE = 4096
"""Bytes from which a body counts as large."""
_MAX_LARGE_MISSES = 2
"""Large bodies without an answer, after which bodies as large as the smallest of them are not sent."""
_MAX_BUSY = 15
"""Busy answers without a 200 between them, after which the simplest input is sent."""
_MAX_SHOWN = 20
"""Characters of a header field that a reason shows."""
_MAX_FAILED_CONNECTS = 3
"""Failed connection attempts in a row, after which the simplest input is sent."""

Probe = Callable[[], Answer | None]
"""Sends the simplest input. Returns its answer, if it comes in time."""


class Liveness:
    """What the last answers say about the target. Any thread may use it."""

    def __init__(
        self, probe: Probe, *, pauses: tuple[Seconds, ...], pause: Callable[[Seconds], None], clock: Clock = monotonic
    ) -> None:
        self._probe = probe
        self._pauses = pauses
        self._pause = pause
        self._clock = clock
        self._lock = Lock()
        self._alive_at: Seconds = float("-inf")
        """When the last probe that was answered was sent."""
        self._misses = 0
        self._busy = 0
        self._failed_connects = 0
        self._waited = ""
        """How long the target that did not recover was waited for."""
        self._unanswered: set[tuple[str, str]] = set()
        self.slow_members: set[tuple[str, ...]] = set()
        """Paths of members whose large values the chain does not answer."""
        self._misses_by_check: dict[str, int] = {}
        self._large_misses: dict[bool, list[int]] = {}
        """Bytes of large bodies without an answer since the last answer to one as large, of accepted and of other requests."""

    @property
    def is_impatient(self) -> bool:
        """Whether so many answers are missing that the next ones get less time, and a missing one is no further violation."""
        return self._miss_count >= _MAX_PATIENT_MISSES

    @property
    def _miss_count(self) -> int:
        """
        The number of missing answers. Those that the value of one member explains count once: inputs like it are left out,
        and any number of them may have been in flight by then.
        """
        return self._misses + len(self.slow_members)

    def may_be_answered(self, size: int, *, is_valid: bool) -> bool:
        """False for a body as large as several that got no answer, while none as large got one."""
        misses = self._large_misses.get(is_valid, [])
        return len(misses) < _MAX_LARGE_MISSES or size < min(misses)

    def add_large(self, size: int, *, is_valid: bool, is_answered: bool) -> int:
        """
        Enter a request with a body of some bytes, and whether it has to be accepted. Returns the bytes from which such bodies
        are left out from now on; 0 if that has not changed.
        """
        if size < _LARGE:
            return 0
        with self._lock:
            misses = self._large_misses.setdefault(is_valid, [])
            if not is_answered:
                misses.append(size)
                return min(misses) if len(misses) == _MAX_LARGE_MISSES else 0
            if misses and size >= min(misses):
                misses.clear()
            return 0

    def was_answered(self, check: str, label: str) -> bool:
        """False if a request of this kind was not answered before."""
        return (check, label) not in self._unanswered

    def require_answers(self, check: str) -> None:
        """Raises CheckSkipped if too many requests of a check got no answer."""
        if self._misses_by_check.get(check, 0) >= _MAX_MISSES_OF_CHECK:
            raise CheckSkipped(f"needs answers: {_MAX_MISSES_OF_CHECK} of its requests got none by the deadline")

    def add_answer(self, answer: Answer) -> str:
        """Enter an answer. Returns why the run stops; empty if it goes on."""
        self._failed_connects = 0
        if answer.status not in BUSY_STATUSES:
            self._busy = 0 if answer.status < 400 else self._busy
            return ""
        self._busy += 1
        if self._busy < _MAX_BUSY or self._recovers(retry_after(answer)):
            return ""
        asked = answer.field("retry-after")
        named = f" (its Retry-After: {asked.strip()[:_MAX_SHOWN]})" if asked else ""
        return (
            f"the target answers {answer.status} to a valid request, and did not recover within {self._waited}{named}"
        )

    def add_failed_connect(self) -> str:
        """Enter a failed connection attempt. Returns why the run stops; empty if it goes on."""
        self._failed_connects += 1
        if self._failed_connects < _MAX_FAILED_CONNECTS or self._recovers():
            return ""
        return "the target does not accept connections any more"

    def add_miss(self, check: str, label: str, found: str, *, by_input: bool) -> str:
        """
        Enter a request without an answer, and what was *found* in its place. Returns why the run stops; empty if it goes on.

        If it is explained *by* its *input*, only inputs like it are left out, and not all requests of its kind.
        """
        with self._lock:
            if not by_input:
                self._misses += 1
                self._unanswered.add((check, label))
                self._misses_by_check[check] = self._misses_by_check.get(check, 0) + 1
        if self._miss_count >= _MAX_MISSES:
            return f"{self._miss_count} requests got no complete answer; the last one got {found}"
        if self._recovers():
            return ""
        return f"after {label} got {found}, not even the simplest input gets an answer"

    def _recovers(self, first_pause: Seconds = 0.0) -> bool:
        """Whether the simplest input is answered, at once or after some pauses. One thread asks for all."""
        asked_at = self._clock()
        with self._lock:
            if self._alive_at >= asked_at:
                return True  # another thread has asked meanwhile
            pauses, pause, until = iter(self._pauses), first_pause, asked_at + MAX_RECOVERY
            while True:
                self._pause(pause)
                now = self._clock()
                answer = self._probe()
                if answer is not None and answer.status not in BUSY_STATUSES:
                    self._alive_at, self._busy, self._failed_connects = now, 0, 0
                    return True
                named = retry_after(answer) if answer is not None else 0.0
                pause = min(max(next(pauses, self._pauses[-1] if named else 0.0), named), until - self._clock())
                if pause <= 0:
                    self._waited = format_duration(float(round(self._clock() - asked_at)))
                    return False


def retry_after(answer: Answer) -> Seconds:
    """How long an answer asks to wait, at most `MAX_RECOVERY`; 0 if it does not say, or names an instant."""
    value = (answer.field("retry-after") or "").strip()
    return min(MAX_RECOVERY, float(value)) if value.isascii() and value.isdecimal() else 0.0
