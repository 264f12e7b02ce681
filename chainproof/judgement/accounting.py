"""The accounting of requests: planned = sent + not_sent; sent = ok + failed + timed_out + censored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from chainproof.results.exchange import Result
from chainproof.results.intervals.request_stats import RequestStats


@dataclass(slots=True, kw_only=True)
class Accounting:
    """How many requests were planned, and what became of them."""

    planned: int = 0
    not_sent: int = 0
    sent: int = 0
    ok: int = 0
    failed: int = 0
    timed_out: int = 0
    censored: int = 0

    def settle(self, result: Result) -> None:
        """Count the result of a sent request."""
        if result is Result.OK:
            self.ok += 1
            return
        name = result.value
        setattr(self, name, getattr(self, name) + 1)

    def add(self, other: Mapping[str, int]) -> None:
        """Add other counts, by name."""
        for name, value in other.items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def settled(self) -> int:
        """Sent requests with a result."""
        return self.ok + self.failed + self.timed_out + self.censored

    @property
    def unknown(self) -> int:
        """Sent requests without a result, as in a run that was killed."""
        return max(self.sent - self.settled, 0)

    @property
    def adds_up(self) -> bool:
        """Whether both equations hold."""
        return not self.contradiction()

    def contradiction(self) -> str:
        """The equation that does not hold, in words; empty if both hold."""
        if self.planned != self.sent + self.not_sent:
            return f"planned {self.planned} ≠ sent {self.sent} + not sent {self.not_sent}"
        if self.sent != self.settled:
            return f"sent {self.sent} ≠ ok, failed, timed out and censored together {self.settled}"
        return ""

    @property
    def equations(self) -> tuple[str, str]:
        """The two equations with their figures."""
        unknown = f" + unknown {self.unknown:,}" if self.unknown else ""
        settled = f"ok {self.ok:,} + failed {self.failed:,} + timed out {self.timed_out:,} + censored {self.censored:,}"
        return (
            f"planned {self.planned:,} = sent {self.sent:,} + not sent {self.not_sent:,}",
            f"sent {self.sent:,} = {settled}{unknown}",
        )

    @property
    def sentence(self) -> str:
        """The two equations in one sentence."""
        return "; ".join(self.equations) + "."

    def to_json(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


def accounting(stats: RequestStats) -> Accounting:
    """The accounting of some requests, such as all of a run or those of a phase."""
    return Accounting(
        planned=stats.planned,
        not_sent=stats.not_sent.total(),
        sent=stats.sent,
        **{result.value: stats.count(result) for result in Result},
    )
