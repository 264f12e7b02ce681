"""Receive timestamps: kernel timestamps are used only if they are plausible."""

from __future__ import annotations

import socket
import struct
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.linux import SO_TIMESTAMPNS
from chainproof.loadtests.client.receive_timestamps import (
    ANCILLARY_SIZE,
    ReceiveTimestamps,
    enable_receive_timestamps,
)

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


class Clocks:
    """A monotonic clock and a wall clock that the test can set."""

    def __init__(self) -> None:
        self.now = 50 * SECOND
        self.ahead = 1_700_000_000 * SECOND

    def monotonic(self) -> int:
        return self.now

    def wall(self) -> int:
        return self.now + self.ahead

    def timestamp(self, instant: int) -> list[tuple[int, int, bytes]]:
        """The ancillary data of bytes received at an instant."""
        return [(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@ll", *divmod(instant + self.ahead, SECOND)))]


durations = st.integers(0, 60 * SECOND)


@given(durations, durations, durations)
def test_a_timestamp_between_sending_and_reading_is_used(before: int, service_time: int, waited: int) -> None:
    """The result is exact, however long the answer waited in the socket buffer."""
    clocks = Clocks()
    timestamps = ReceiveTimestamps(clocks.monotonic, clocks.wall)
    sent = clocks.now = clocks.now + before + 1
    received_at = sent + service_time
    ancillary = clocks.timestamp(received_at)
    clocks.now = received_at + waited

    assert received_at == timestamps.received_at(ancillary, sent, clocks.now)


@given(
    st.integers(1, SECOND), st.integers(-3600 * SECOND, 3600 * SECOND).filter(lambda step: abs(step) > 2 * MILLISECOND)
)
def test_timestamps_around_a_clock_step_are_ignored(service_time: int, step: int) -> None:
    """The time of the read is used if the clock was set meanwhile; the next timestamp is used again."""
    for timestamp_first in (True, False):
        clocks = Clocks()
        timestamps = ReceiveTimestamps(clocks.monotonic, clocks.wall)
        sent = clocks.now = clocks.now + SECOND
        clocks.now += service_time
        early = clocks.timestamp(clocks.now)
        clocks.ahead += step
        ancillary = early if timestamp_first else clocks.timestamp(clocks.now)
        clocks.now += 1000

        assert clocks.now == timestamps.received_at(ancillary, sent, clocks.now)

        sent = clocks.now = clocks.now + 1
        received_at = sent + service_time
        ancillary = clocks.timestamp(received_at)
        clocks.now = received_at + 5

        assert received_at == timestamps.received_at(ancillary, sent, clocks.now)


@given(st.integers(-500, 500), st.lists(st.integers(1, 200 * MILLISECOND), min_size=1, max_size=20))
def test_a_slewed_clock_is_tracked(parts_per_million: int, gaps: list[int]) -> None:
    """With a clock that drifts by up to 500 parts per million, results stay within half a millisecond."""
    clocks = Clocks()
    timestamps = ReceiveTimestamps(clocks.monotonic, clocks.wall)
    for gap in gaps:
        sent = clocks.now = clocks.now + 1
        clocks.now += gap
        clocks.ahead += gap * parts_per_million // 1_000_000
        received_at = clocks.now
        ancillary = clocks.timestamp(received_at)
        clocks.now += 1000

        assert abs(received_at - timestamps.received_at(ancillary, sent, clocks.now)) <= MILLISECOND // 2


@pytest.mark.parametrize(
    "ancillary",
    [
        [],
        [(socket.SOL_SOCKET, 1, b"x" * 16)],
        [(6, SO_TIMESTAMPNS, b"x" * 16)],
        [(socket.SOL_SOCKET, SO_TIMESTAMPNS, b"x" * 8)],
    ],
    ids=["nothing", "another kind", "another level", "another length"],
)
def test_without_a_timestamp_the_time_of_the_read_is_used(ancillary: list[tuple[int, int, bytes]]) -> None:
    """Applies to missing ancillary data and to messages of another kind."""
    clocks = Clocks()

    assert 51 * SECOND == ReceiveTimestamps(clocks.monotonic, clocks.wall).received_at(
        ancillary, 50 * SECOND, 51 * SECOND
    )


@given(st.integers(-10, 10).filter(bool))
def test_a_timestamp_outside_of_the_exchange_is_ignored(seconds: int) -> None:
    """An answer is received after its request was sent and before it is read."""
    clocks = Clocks()
    timestamps = ReceiveTimestamps(clocks.monotonic, clocks.wall)
    sent = clocks.now = clocks.now + 20 * SECOND
    ancillary = clocks.timestamp(sent + seconds * SECOND if seconds < 0 else sent + MILLISECOND + seconds * SECOND)
    clocks.now += MILLISECOND

    assert clocks.now == timestamps.received_at(ancillary, sent, clocks.now)


@pytest.mark.skipif(sys.platform != "linux", reason="skipped: needs Linux for kernel timestamps")
def test_linux_timestamps_received_bytes() -> None:
    """The socket option and the message format match this kernel."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
        with near, far:
            enable_receive_timestamps(near)
            timestamps = ReceiveTimestamps()
            for _ in range(20):  # the first reads may have no timestamp
                sent = time.monotonic_ns()
                far.send(b"x")
                time.sleep(0.02)
                _, ancillary, _, _ = near.recvmsg(10, ANCILLARY_SIZE)
                now = time.monotonic_ns()
                instant = timestamps.received_at(ancillary, sent, now)
                if instant < now:
                    break

    assert sent <= instant < now - 10 * MILLISECOND
