"""
What a run says of its connections, its bytes and its own slowness is what the target saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.results.exchange import Result
from chainproof.results.interval import total

RunServer = Callable[..., Any]
FIELDS = ("Content-Type: application/json", "X-BASETEN-MODEL-PREDICTION-ATTEMPTS: 3")


async def in_two_parts(told: Any) -> None:
    """The head, and 50 ms later the rest."""
    head = ["HTTP/1.1 200 OK", "Content-Length: 2", f"X-BASETEN-REQUEST-ID: id-{told.number}", *FIELDS]
    await told.send_bytes("\r\n".join(head).encode() + b"\r\n\r\n")
    await asyncio.sleep(0.05)
    await told.send_bytes(b"{}")


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_connections_bytes_and_instants_are_on_record(
    run_server: RunServer, launch: Any, tls_context: Any, certificate: Path, secure: bool
) -> None:
    """
    Every connection's time, octets each way, time to first byte before service time, every end the kernel's or our own.
    """
    with run_server(in_two_parts, tls=tls_context if secure else None) as server:
        where = f"https://localhost:{server.port}" if secure else server.target.origin
        options = ("--rate", "20", "--duration", "1s", "--arrivals", "constant", "--deadline", "10s")
        done = launch(where, *options, *(("--ca-file", str(certificate)) if secure else ())).end()
    whole, run = total(done.run.intervals), done.run
    wire, service = whole.network, whole.service_time[Result.OK]

    assert 20 == whole.count(Result.OK), done.errors
    assert run.end is not None
    assert 20 == wire.time_to_first_byte.count == wire.read_delay.count
    assert 20 == run.end.network["kernel_timestamps"] + run.end.network["own_timestamps"]
    assert sum(map(len, server.requests)) == wire.sent_bytes == run.end.network["sent_bytes"]
    assert 20 * 40 < wire.received_bytes == run.end.network["received_bytes"]
    assert 1 <= wire.connect_time.count <= server.connections
    assert (wire.connect_time.count if secure else 0) == wire.tls_time.count
    assert (wire.time_to_first_byte.quantile(0.5) or 0) + 0.04 < (service.quantile(0.5) or 0)
    assert (wire.time_to_first_byte.total + 20 * 0.05) <= service.total + 0.02


def test_an_exemplar_says_what_the_gateway_says_of_itself(run_server: RunServer, launch: Any) -> None:
    """
    Request id and attempts, as they came; and how the exchange's connection was made.
    """
    with run_server(in_two_parts) as server:
        done = launch(server, "--rate", "10", "--duration", "500ms", "--arrivals", "constant").end()
    exemplars = done.run.exemplars

    assert exemplars
    assert {"3"} == {each.attempts for each in exemplars}
    assert all(each.request_id is not None and each.request_id.startswith("id-") for each in exemplars)
    assert any(each.connect_time is not None for each in exemplars)
    assert all(0 < (each.time_to_first_byte or 0) < each.service_time for each in exemplars)


def test_idle_connections_that_were_closed_are_counted_and_cost_no_request(run_server: RunServer, launch: Any) -> None:
    """
    A target that closes every connection after its answer: all requests are ok, and the replacements are on record.
    """

    async def once(told: Any) -> None:
        await told.answer()
        raise ConnectionError

    with run_server(once) as server:
        done = launch(server, "--rate", "10", "--duration", "1s", "--arrivals", "constant").end()
    whole = total(done.run.intervals)

    assert 10 == whole.count(Result.OK) == len(server.requests), done.errors
    assert 9 == whole.network.replaced_connections
    assert 10 == whole.network.connect_time.count
