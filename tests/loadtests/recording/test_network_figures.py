"""The network figures of a run match what the target saw."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.results.exchange import Result
from chainproof.results.intervals.interval import total

RunServer = Callable[..., Any]
FIELDS = ("Content-Type: application/json", "X-BASETEN-MODEL-PREDICTION-ATTEMPTS: 3")


async def in_two_parts(request: Any) -> None:
    """Send the head, and the body 50 ms later."""
    head = ["HTTP/1.1 200 OK", "Content-Length: 2", f"X-BASETEN-REQUEST-ID: id-{request.number}", *FIELDS]
    await request.send_bytes("\r\n".join(head).encode() + b"\r\n\r\n")
    await asyncio.sleep(0.05)
    await request.send_bytes(b"{}")


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_connections_bytes_and_timestamps_are_counted(
    run_server: RunServer, launch: Any, tls_context: Any, certificate: Path, secure: bool
) -> None:
    """Connect times, bytes and times to first byte are counted; each answer counts as with or without kernel timestamp. Exemplars have them, too."""
    with run_server(in_two_parts, tls=tls_context if secure else None) as server:
        where = f"https://localhost:{server.port}" if secure else server.target.origin
        options = ("--rate", "40", "--duration", "500ms", "--arrivals", "constant", "--deadline", "10s")
        done = launch(where, *options, *(("--ca-file", str(certificate)) if secure else ())).end()
    totals, run = total(done.run.intervals), done.run
    network, service = totals.network, totals.service_time[Result.OK]

    assert 20 == totals.count(Result.OK), done.errors
    assert run.end is not None
    assert 20 == network.time_to_first_byte.count == network.read_delay.count
    assert 20 == run.end.network["kernel_timestamps"] + run.end.network["own_timestamps"]
    assert sum(map(len, server.requests)) == network.sent_bytes == run.end.network["sent_bytes"]
    assert 20 * 40 < network.received_bytes == run.end.network["received_bytes"]
    assert 1 <= network.connect_time.count <= server.connections
    assert (network.connect_time.count if secure else 0) == network.tls_time.count
    assert (network.time_to_first_byte.min or 0) + 0.04 < (service.max or 0)
    assert network.time_to_first_byte.total < service.total
    assert run.exemplars
    assert {"3"} == {each.attempts for each in run.exemplars}
    assert all(each.request_id is not None and each.request_id.startswith("id-") for each in run.exemplars)
    assert any(each.connect_time is not None for each in run.exemplars)
    assert all(0 < (each.time_to_first_byte or 0) < each.service_time for each in run.exemplars)


def test_closed_idle_connections_are_replaced_and_counted(run_server: RunServer, launch: Any) -> None:
    """If the target closes each connection after its answer, all requests are ok and the replacements are counted."""

    async def once(request: Any) -> None:
        await request.answer()
        raise ConnectionError

    with run_server(once) as server:
        done = launch(server, "--rate", "10", "--duration", "1s", "--arrivals", "constant").end()
    totals = total(done.run.intervals)

    assert 10 == totals.count(Result.OK) == len(server.requests), done.errors
    assert 9 == totals.network.replaced_connections
    assert 10 == totals.network.connect_time.count
