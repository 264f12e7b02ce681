"""
Nothing disappears: planned = sent + not_sent; sent = ok + failed + timed_out + censored.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from chainproof.results.exchange import Result
from chainproof.results.interval import RequestStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """
    Where every planned request went.
    """

    planned: int
    not_sent: int
    sent: int
    ok: int
    failed: int
    timed_out: int
    censored: int

    @property
    def adds_up(self) -> bool:
        """Whether nothing is missing."""
        return (
            self.planned == self.sent + self.not_sent
            and self.sent == self.ok + self.failed + self.timed_out + self.censored
        )

    @property
    def unknown(self) -> int:
        """Requests that were sent and of whose end nothing is on record: a run that was killed has some."""
        return max(self.sent - self.ok - self.failed - self.timed_out - self.censored, 0)

    @property
    def equations(self) -> tuple[str, str]:
        """The two identities with their figures."""
        unknown = f" + unknown {self.unknown:,}" if self.unknown else ""
        settled = f"ok {self.ok:,} + failed {self.failed:,} + timed out {self.timed_out:,} + censored {self.censored:,}"
        return (
            f"planned {self.planned:,} = sent {self.sent:,} + not sent {self.not_sent:,}",
            f"sent {self.sent:,} = {settled}{unknown}",
        )

    @property
    def sentence(self) -> str:
        """The two identities in one sentence."""
        return "; ".join(self.equations) + "."

    def to_json(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


def accounting(whole: RequestStats) -> Accounting:
    """
    The accounting of a run, from all its intervals merged, or of a part of it.
    """
    return Accounting(
        planned=whole.planned,
        not_sent=whole.not_sent.total(),
        sent=whole.sent,
        ok=whole.count(Result.OK),
        failed=whole.count(Result.FAILED),
        timed_out=whole.count(Result.TIMED_OUT),
        censored=whole.count(Result.CENSORED),
    )
