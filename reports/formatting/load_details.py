"""Details of a load run that are one sentence each: network, retries, and the load generator itself."""

from __future__ import annotations

from chainproof.judgement.load_summary import LoadSummary
from chainproof.results.exchange import Result

from .quantities import count, median_and_p99, percent, size, time

_OF_ALL = " of all answers, also failed ones,"


def details(summary: LoadSummary) -> list[tuple[str, str]]:
    """Title and sentence of every detail that the run recorded."""
    candidates = (("Network", network(summary)), ("Retries", retries(summary)), ("Load generator", generator(summary)))
    return [(title, sentence) for title, sentence in candidates if sentence]


def network(summary: LoadSummary) -> str:
    """Connections, bytes and timestamps; empty if not recorded."""
    stats = summary.totals.network
    parts = []
    if stats.time_to_first_byte.count:
        parts.append(
            f"time to first byte{_OF_ALL * bool(summary.totals.count(Result.FAILED))} {median_and_p99(stats.time_to_first_byte)}"
        )
    if stats.connect_time.count:
        connections = count(stats.connect_time.count)
        parts.append(f"connections opened: {connections}, connect time {median_and_p99(stats.connect_time)}")
    if stats.tls_time.count:
        parts.append(f"TLS handshakes {median_and_p99(stats.tls_time)}")
    if stats.replaced_connections:
        parts.append(f"idle connections closed by the target: {count(stats.replaced_connections)}")
    if stats.slot_wait.count:
        waits = count(stats.slot_wait.count)
        parts.append(f"requests that waited because of --max-in-flight: {waits}, {median_and_p99(stats.slot_wait)}")
    if stats.sent_bytes or stats.received_bytes:
        parts.append(f"{size(stats.sent_bytes)} sent, {size(stats.received_bytes)} received")
    if instants := stats.kernel_timestamps + stats.own_timestamps:
        parts.append(f"kernel timestamps for {percent(stats.kernel_timestamps / instants)} of the answers")
    if stats.read_delay.count:
        parts.append(f"read delay {median_and_p99(stats.read_delay)}")
    return "; ".join(parts)


def retries(summary: LoadSummary) -> str:
    """What callers that retry experienced; empty where none retry."""
    calls = summary.totals.calls
    if not calls:
        return ""
    ok = {attempts: number for (attempts, result), number in sorted(calls.counts.items()) if result is Result.OK}
    by_attempt = ", ".join(f"{count(number)} at attempt {attempts}" for attempts, number in ok.items())
    total = sum(calls.counts.values())
    parts = [f"{count(sum(ok.values()))} of {count(total)} calls ok" + (f" ({by_attempt})" if by_attempt else "")]
    times = calls.total_time.get(Result.OK)
    if times is not None and times.count:
        parts.append(f"{median_and_p99(times)} from the first attempt to the end of the last")
    return "; ".join(parts)


def generator(summary: LoadSummary) -> str:
    """Event-loop lag and resources of the load generator; empty if not recorded."""
    health = summary.totals.generator_health
    if health is None or not health.samples:
        return ""
    stall = health.longest_stall
    longest = f", longest stall {time(stall.seconds)} at {time(stall.start)}" if stall is not None else ""
    parts = [
        f"event-loop lag p99 {time(health.loop_lag.quantile(0.99))}{longest}",
        f"CPU {health.cpu * 100:.0f} % of one processor, {health.cpu_max * 100:.0f} % in the busiest second",
    ]
    if health.open_files_limit:
        parts.append(f"{count(health.open_files)} of {count(health.open_files_limit)} files open")
    if health.ports_limit:
        parts.append(f"{count(health.ports)} of {count(health.ports_limit)} ports in use")
    return "; ".join(parts)
