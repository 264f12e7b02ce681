"""
How numbers, outcomes and runs are written for people: the one place where seconds become milliseconds.

Every format for people's eyes speaks through here, so that the same run reads the same everywhere. What comes from the
target or a file passes `visible` first: an error code may hold an escape sequence or a text that runs backwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from chainproof.clock import Seconds
from chainproof.contract.accepted_violations import Acceptance
from chainproof.durations import format_duration
from chainproof.judgement.conformance_summary import ClauseRow
from chainproof.judgement.load_summary import LoadSummary, OutcomeCount, PhaseSummary, Timing
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.summary import Summary
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.finding import Finding
from chainproof.results.folder import Run
from chainproof.results.manifest import Ending
from chainproof.results.search_record import SearchRecord
from chainproof.results.settings import PhaseSpan, read_acceptances, read_phases
from chainproof.results.stored_body import StoredBody
from chainproof.statistics.histogram import Histogram
from chainproof.workload.objectives import DURATIONS, INSTANTS, Indicator
from chainproof.workload.search_settings import SATURATION

NOTHING = "–"
"""What stands where there is no figure."""

TOO_FEW = "too few"
"""What stands where that many answers give no bound."""

TIMINGS: dict[str, str] = {
    "response_time_s": "response time",
    "service_time_s": "service time",
    "schedule_lag_s": "schedule lag",
}
"""The three times in the order of every report."""

MEANINGS: dict[str, str] = {
    "response_time_s": "what the caller waited, from the intended start",
    "service_time_s": "what the wire took, from the actual start",
    "schedule_lag_s": "how late the generator was",
}

TRANSPORTS: dict[Transport, str] = {
    Transport.ANSWERED: "answered",
    Transport.NAME_NOT_RESOLVED: "host name unknown",
    Transport.CONNECTION_REFUSED: "connection refused",
    Transport.CONNECT_TIMED_OUT: "no connection in time",
    Transport.CONNECT_FAILED: "no connection",
    Transport.TLS_FAILED: "TLS failed",
    Transport.CONNECTION_RESET: "connection reset",
    Transport.CLOSED_EARLY: "closed early",
    Transport.CONNECTION_LOST: "connection lost",
    Transport.MALFORMED: "not HTTP",
    Transport.TOO_LARGE: "answer too long",
    Transport.DEADLINE: "no answer by the deadline",
    Transport.DRAIN_ENDED: "still in flight at the end",
}

RESULTS: dict[Result, str] = {
    Result.OK: "ok",
    Result.FAILED: "failed",
    Result.TIMED_OUT: "timed out",
    Result.CENSORED: "censored",
}

NOT_SENT: dict[NotSent, str] = {
    NotSent.MAX_IN_FLIGHT: "as many were in flight as --max-in-flight allows",
    NotSent.STOPPED: "the run was stopped",
}

ENDINGS: dict[Ending | None, str] = {
    Ending.COMPLETED: "completed",
    Ending.INTERRUPTED: "interrupted",
    Ending.STOPPED_BY_GUARD: "ended early by a guard",
    Ending.INTERNAL_ERROR: "broken off by an error of ours",
    None: "cut off",
}


def escape_unprintable(text: str) -> str:
    r"""
    A text whose every character shows: line breaks, escape sequences and direction marks as `\x1b` and the like.

    >>> escape_unprintable("green\x1b[32m")
    'green\\x1b[32m'
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    """
    A character as Python's string literals write it.
    """
    return character.encode("unicode_escape").decode("ascii")


def shortened(text: str, most: int) -> str:
    """
    A text of at most *most* characters, what is left out counted.
    """
    if len(text) <= most:
        return text
    note = f" … ({len(text)} characters)"
    return text[: max(most - len(note), 0)] + note


def body(kept: StoredBody) -> str:
    """
    A body that was kept, as text or as base64.
    """
    told = kept.to_json()
    return told.get("text") or told.get("base64", "")


def body_size(kept: StoredBody) -> str:
    """
    How long a body was, and how much of it was kept where that is less.
    """
    size = f"{count(kept.size)} byte{'s' * (kept.size != 1)}"
    coding = "" if kept.text is not None else ", in base64"
    return f"{size}, the first {count(len(kept.octets))} kept{coding}" if kept.truncated else f"{size}{coding}"


def truncate(text: str, most: int) -> str:
    """
    A name of at most *most* characters, for a column.

    >>> truncate("a long name", 6)
    'a lon…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def count(number: int) -> str:
    """
    A count with its thousands apart.
    """
    return f"{number:,}"


def percent(share: float) -> str:
    """
    A share in per cent; never 100 % or 0 % unless it is exactly that.

    >>> [percent(share) for share in (1.0, 0.99996, 0.123, 0.01, 0.0)]
    ['100 %', '99.996 %', '12.3 %', '1.0 %', '0 %']
    """
    if share in (0.0, 1.0):
        return f"{share * 100:.0f} %"
    for decimals in range(1, 9):
        text = f"{share * 100:.{decimals}f}"
        if float(text) not in (0.0, 100.0):
            break
    return f"{text} %"


def generator(summary: LoadSummary) -> str:
    """
    How the generator itself did, in one sentence; empty where nobody looked.
    """
    generator_health = summary.totals.generator_health
    if generator_health is None or not generator_health.samples:
        return ""
    parts = [
        f"event loop {time(generator_health.loop_lag.quantile(0.99))} late or later for 1 % of the time",
        f"{generator_health.cpu:.0%} of a processor, {generator_health.cpu_max:.0%} in the busiest second",
    ]
    if generator_health.open_files_limit:
        parts.append(f"{count(generator_health.open_files)} of {count(generator_health.open_files_limit)} files open")
    if generator_health.ports_limit:
        parts.append(f"{count(generator_health.ports)} of {count(generator_health.ports_limit)} ports taken")
    return "; ".join(parts)


def network(summary: LoadSummary) -> str:
    """
    How the bytes travelled, in one sentence; empty where the record does not say.
    """
    found = summary.totals.network
    parts = []
    if found.time_to_first_byte.count:
        parts.append(f"first byte {_typical_and_slow(found.time_to_first_byte)} after the start")
    if found.connect_time.count:
        connections = count(found.connect_time.count)
        parts.append(f"{connections} connections opened, {_typical_and_slow(found.connect_time)} each")
    if found.tls_time.count:
        parts.append(f"TLS handshakes {_typical_and_slow(found.tls_time)}")
    if found.replaced_connections:
        parts.append(f"{count(found.replaced_connections)} idle ones closed by the target meanwhile")
    if found.slot_wait.count:
        parts.append(f"{count(found.slot_wait.count)} arrivals waited for a slot, {_typical_and_slow(found.slot_wait)}")
    if found.sent_bytes or found.received_bytes:
        parts.append(f"{size(found.sent_bytes)} sent, {size(found.received_bytes)} received")
    if instants := found.kernel_timestamps + found.own_timestamps:
        parts.append(f"{percent(found.kernel_timestamps / instants)} of the ends told by the kernel")
    if found.read_delay.count:
        parts.append(f"seen by us {_typical_and_slow(found.read_delay)} later")
    return "; ".join(parts)


def retried_calls(summary: LoadSummary) -> str:
    """
    What callers met who try again, in one sentence; empty where none do.
    """
    calls = summary.totals.calls
    if not calls:
        return ""
    ok = {attempts: number for (attempts, result), number in sorted(calls.counts.items()) if result is Result.OK}
    whole = sum(calls.counts.values())
    at = ", ".join(f"{count(number)} at attempt {attempts}" for attempts, number in ok.items())
    parts = [f"{count(sum(ok.values()))} of {count(whole)} calls ended ok" + (f" ({at})" if at else "")]
    times = calls.total_time.get(Result.OK)
    if times is not None and times.count:
        parts.append(f"{_typical_and_slow(times)} from the first attempt to the end of the last")
    return "; ".join(parts)


def _typical_and_slow(times: Histogram) -> str:
    """
    The median and the 99th percentile of some durations.
    """
    return f"p50 {time(times.quantile(0.5))}, p99 {time(times.quantile(0.99))}"


def size(octets: int) -> str:
    """
    So many bytes, in the unit that suits.

    >>> [size(octets) for octets in (999, 1000, 1_234_567, 5 * 10**12)]
    ['999 bytes', '1 kB', '1.23 MB', '5,000 GB']
    """
    if octets < 1000:
        return f"{octets} bytes"
    unit = min((len(str(octets)) - 1) // 3, 3)
    value = octets / 1000**unit
    return f"{value:,.0f} {'kMG'[unit - 1]}B" if value >= 100 else f"{value:.3g} {'kMG'[unit - 1]}B"


def details(summary: LoadSummary) -> list[tuple[str, str]]:
    """
    Whatever else the record says of a load run: title and sentence.
    """
    said = (
        ("Wire", network(summary)),
        ("Callers who try again", retried_calls(summary)),
        ("Generator", generator(summary)),
    )
    return [(title, sentence) for title, sentence in said if sentence]


def rate(per_second: float) -> str:
    """
    A rate in events per second.
    """
    return f"{per_second:,.0f}/s" if per_second >= 100 else f"{per_second:.3g}/s"


def time(seconds: Seconds | None) -> str:
    """
    A duration with its unit, or the sign for none.
    """
    return NOTHING if seconds is None else format_duration(seconds)


def outcome(found: Outcome) -> str:
    """
    An outcome in a few words: `200`, `503 model_not_ready`, `502 without code`, `connection lost`.
    """
    if found.transport is not Transport.ANSWERED:
        return TRANSPORTS[found.transport]
    if found.status == 200:
        return "200" if found.result is Result.OK else "200, but not as the contract has it"
    return f"{found.status} {escape_unprintable(found.error_code) if found.error_code is not None else 'without code'}"


def code_kind(found: Outcome) -> str:
    """
    Whether an error's code is one of the ten; empty where there is no error answer.
    """
    return found.code_kind.value if found.code_kind is not None else ""


def responsible(row: OutcomeCount) -> str:
    """
    Who is to act; empty where nobody is.
    """
    return row.responsible.value if row.responsible is not None else ""


def columns(timing: Timing) -> dict[str, Seconds | None]:
    """
    The values of a figure by column: p50 … p99.9, max.
    """
    return {name: estimate.value for name, estimate in timing.quantiles.items()} | {"max": timing.max}


def too_few(timing: Timing, column: str) -> bool:
    """
    Whether a quantile has no upper bound: the true one may be far above.
    """
    estimate = timing.quantiles.get(column)
    return estimate is not None and estimate.high is None


def interval(timing: Timing, column: str) -> str:
    """
    The 95 % interval of a quantile, "too few" where an end has no bound; empty where nothing was counted.
    """
    estimate = timing.quantiles.get(column)
    if estimate is None:
        return ""
    if estimate.low is None and estimate.high is None:
        return TOO_FEW
    return " – ".join(TOO_FEW if end is None else format_duration(end) for end in (estimate.low, estimate.high))


def observed(judged: ObjectiveResult) -> str:
    """
    What was observed of an objective, in its own unit.
    """
    indicator = judged.objective.indicator
    if judged.observed is None:
        if indicator in INSTANTS:
            return "not within the run"
        return "never answered ok" if judged.total else "nothing was asked"
    if indicator in DURATIONS:
        return format_duration(judged.observed)
    return rate(judged.observed) if indicator is Indicator.THROUGHPUT else percent(judged.observed)


def good_share(judged: ObjectiveResult) -> str:
    """
    How many requests were good, of how many; empty where nothing is counted.
    """
    if judged.share is None or judged.good is None or judged.total is None:
        return ""
    return f"{count(judged.good)} of {count(judged.total)} good ({percent(judged.share.value)})"


def share_bounds(judged: ObjectiveResult) -> str:
    """
    The interval of the good share; empty where nothing is counted.
    """
    share = judged.share
    if share is None or share.low is None or share.high is None:
        return ""
    return f"{percent(share.low)} – {percent(share.high)}"


def more_requests_needed(judged: ObjectiveResult) -> str:
    """
    What would decide an inconclusive objective; empty for the others.
    """
    if judged.verdict is not Verdict.INCONCLUSIVE:
        return ""
    if judged.more_requests_needed is None:
        return "no number of requests within reach would decide it" if judged.total else ""
    return f"about {count(judged.more_requests_needed)} more requests would decide it"


def kind(summary: Summary) -> str:
    """
    `Load run steady` or `Conformance run standard`.
    """
    return f"{summary.run.manifest.kind.value.capitalize()} run {escape_unprintable(summary.run.manifest.name)}"


def started(run: Run) -> str:
    """
    When a run began, to the second.
    """
    return escape_unprintable(run.manifest.started.partition(".")[0].replace("T", " ").removesuffix("Z")) + " UTC"


def ending_and_duration(run: Run) -> str:
    """
    How long a run took and how it ended.
    """
    ending = ENDINGS[run.end.ending if run.end is not None else None]
    if run.end is not None:
        return f"{ending} after {format_duration(run.end.seconds)}"
    return f"{ending} after {len({each.second for each in run.intervals})} s" if run.intervals else ending


def waived(acceptance: Acceptance) -> str:
    """
    What is said of an accepted violation.
    """
    return f"waived ({accepted(acceptance)})"


def accepted(acceptance: Acceptance) -> str:
    """
    How long an acceptance counts.
    """
    return "accepted" if acceptance.until is None else f"accepted until {acceptance.until}"


def state(row: ClauseRow) -> str:
    """
    What a run says of a clause.
    """
    return row.state.value if row.acceptance is None else waived(row.acceptance)


def detectable_share(row: ClauseRow) -> str:
    """
    How rare a violation may be and still be seen: `1 in 104`, or nothing where none was looked for.
    """
    share = row.detectable_share
    return NOTHING if share is None else "any" if share > 0.9 else f"1 in {count(round(1 / share))}"


PROBE_COLUMNS = ("rate", "purpose", "", "judged for", "planned", "ok", "ok p50", "ok p95", "ok p99")
"""What `probe` says of each; the first three are words."""
MAX_PROBES = 60
"""Rows of a search, which makes no more."""


def probes(search: SearchRecord) -> list[tuple[str, ...]]:
    """
    The probes of a search by rate, a row of `PROBE_COLUMNS` each.
    """
    shown = sorted(search.probes[:MAX_PROBES], key=lambda probe: probe.rate)
    return [
        (
            f"{probe.rate:.4g}/s",
            truncate(escape_unprintable(probe.purpose), 12),
            truncate(escape_unprintable(probe.verdict), 12),
            format_duration(probe.seconds),
            count(probe.planned),
            count(probe.ok),
            *(time(probe.response_time.get(name)) for name in ("p50", "p95", "p99")),
        )
        for probe in shown
    ]


def search_title(search: SearchRecord) -> str:
    """
    What a search looked for.
    """
    workload = "" if search.workload == SATURATION else f", workload {escape_unprintable(search.workload)}"
    return f"Search for the saturation rate{workload}"


def cases(found: Finding) -> str:
    """
    What was special about the requests that showed a finding.
    """
    return "; ".join(escape_unprintable(case) for case in found.cases) + "; and more" * found.more_cases


def format_counts(counts: Mapping[int, int] | Mapping[str, int]) -> str:
    """
    How many of what: `200 × 512, 400 × 96`.
    """
    return ", ".join(f"{escape_unprintable(str(name))} × {count(number)}" for name, number in counts.items()) or "none"


def phase_range(phase: PhaseSpan) -> str:
    """
    From when to when a phase lasts.
    """
    return f"{phase.start:,.6g}–{phase.end:,.6g} s"


def judged_phases_note(summary: LoadSummary) -> str:
    """
    What is said behind figures that come from judged phases alone; empty where they come from everything.
    """
    if not summary.phases or not any(found.phase.judged for found in summary.phases):
        return ""
    return " in judged phases"


def judged(phase: PhaseSpan) -> str:
    """
    Whether a phase is judged.
    """
    return "judged" if phase.judged else "not judged"


def planned_rate(found: PhaseSummary) -> str:
    """
    How many requests a second a phase asked for.
    """
    return rate(found.accounting.planned / found.phase.seconds) if found.phase.seconds else NOTHING


def duration(seconds: Seconds) -> str:
    """
    A length of time for a sentence.
    """
    return format_duration(seconds)


def setting(name: str, value: object) -> tuple[str, str]:
    """
    A setting of the manifest: its name without the unit, its value with it.

    >>> setting("deadline_s", 30.0)
    ('deadline', '30 s')
    """
    plain = escape_unprintable(name)
    if name in _LISTS:
        return _spaced(plain), _LISTS[name](value) or NOTHING
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and plain.endswith("_per_s"):
        return _spaced(plain.removesuffix("_per_s")), f"{value:g}/s"
    if number and plain.endswith("_s"):
        return _spaced(plain.removesuffix("_s")), format_duration(float(str(value)))
    return _spaced(plain), escape_unprintable(value if isinstance(value, str) else _plain(value))


def _spaced(name: str) -> str:
    """
    A key as words.
    """
    return name.replace("_", " ")


def _plain(value: object) -> str:
    """
    A JSON value as a person writes it.
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value) or NOTHING
    if isinstance(value, dict):
        return ", ".join(f"{_spaced(str(name))} {_plain(each)}" for name, each in value.items()) or NOTHING
    return f"{value:g}" if isinstance(value, float) else str(value)


_LISTS: dict[str, Callable[[object], str]] = {
    "accept": lambda value: ", ".join(
        escape_unprintable(each.clause) + (f" until {each.until}" if each.until is not None else "")
        for each in read_acceptances(value)
    ),
    "phases": lambda value: ", ".join(
        f"{escape_unprintable(each.name)} {phase_range(each)}" + ("" if each.judged else " (not judged)")
        for each in read_phases(value)
    ),
}
"""Settings that are lists of ours."""


def not_sent(summary: LoadSummary) -> str:
    """
    Why planned requests were not sent; empty when all were.
    """
    reasons = (f"{count(number)} because {NOT_SENT[why]}" for why, number in summary.totals.not_sent.items() if number)
    return "; ".join(reasons)


_WORD = re.compile(r"""#.*|(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+""")


def shell_words(line: str) -> list[str]:
    r"""
    A curl line cut at the blanks between its words, a comment whole.

    >>> shell_words("curl -H 'A: b' \"$X\"  # a comment")
    ['curl', '-H', "'A: b'", '"$X"', '# a comment']
    """
    return _WORD.findall(line)
