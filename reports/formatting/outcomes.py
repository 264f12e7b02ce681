"""Outcomes, results, and reasons for requests that were not sent."""

from __future__ import annotations

from chainproof.judgement.load_summary import LoadSummary, OutcomeCount
from chainproof.results.exchange import NotSent, Outcome, Result, Transport

from .quantities import count
from .safe_text import escape_unprintable

RESULTS: dict[Result, str] = {
    Result.OK: "ok",
    Result.FAILED: "failed",
    Result.TIMED_OUT: "timed out",
    Result.CENSORED: "censored",
}

_TRANSPORTS: dict[Transport, str] = {
    Transport.ANSWERED: "answered",
    Transport.NAME_NOT_RESOLVED: "host name not resolved",
    Transport.CONNECTION_REFUSED: "connection refused",
    Transport.CONNECT_TIMED_OUT: "connect timed out",
    Transport.CONNECT_FAILED: "connect failed",
    Transport.NO_RESOURCES: "no local port, file or memory",
    Transport.TLS_FAILED: "TLS failed",
    Transport.CONNECTION_RESET: "connection reset",
    Transport.CLOSED_EARLY: "closed early",
    Transport.CONNECTION_LOST: "connection lost",
    Transport.MALFORMED: "not HTTP",
    Transport.TOO_LARGE: "answer too large",
    Transport.DEADLINE: "no answer by the deadline",
    Transport.DRAIN_ENDED: "still in flight at the end",
}

_NOT_SENT: dict[NotSent, str] = {
    NotSent.MAX_IN_FLIGHT: "--max-in-flight was reached",
    NotSent.STOPPED: "the run was stopped",
}


def outcome_text(outcome: Outcome) -> str:
    """An outcome in a few words: `200`, `503 model_not_ready`, `502 without code`, `connection lost`."""
    if outcome.transport is not Transport.ANSWERED:
        return _TRANSPORTS[outcome.transport]
    if outcome.status == 200:
        return "200" if outcome.result is Result.OK else "200 with a contract violation"
    code = escape_unprintable(outcome.error_code) if outcome.error_code is not None else "without code"
    return f"{outcome.status} {code}"


def code_kind(outcome: Outcome) -> str:
    """`documented`, `undocumented` or `absent`; empty unless the outcome is an error answer."""
    return outcome.code_kind.value if outcome.code_kind is not None else ""


def responsible(row: OutcomeCount) -> str:
    """Who is responsible for an outcome; empty where nobody is."""
    return row.responsible.value if row.responsible is not None else ""


def not_sent_reasons(summary: LoadSummary) -> str:
    """Why planned requests were not sent; empty if all were."""
    reasons = (f"{count(number)} because {_NOT_SENT[why]}" for why, number in summary.totals.not_sent.items() if number)
    return "; ".join(reasons)
