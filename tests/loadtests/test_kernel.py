"""
The kernel's instants are believed where they can be true, and nowhere else.
"""

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
    """
    A monotonic clock and one on the wall, which may be stepped.
    """

    def __init__(self) -> None:
        self.now = 50 * SECOND
        self.ahead = 1_700_000_000 * SECOND

    def monotonic(self) -> int:
        return self.now

    def wall(self) -> int:
        return self.now + self.ahead

    def stamp(self, instant: int) -> list[tuple[int, int, bytes]]:
        """What the kernel says beside bytes that it received at that instant."""
        return [(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@ll", *divmod(instant + self.ahead, SECOND)))]


spans = st.integers(0, 60 * SECOND)


@given(spans, spans, spans)
def test_a_stamp_between_sending_and_reading_is_the_instant(before: int, taken: int, waited: int) -> None:
    """
    To the nanosecond, however long the answer then lay in the buffer.
    """
    clocks = Clocks()
    stamps = ReceiveTimestamps(clocks.monotonic, clocks.wall)
    sent = clocks.now = clocks.now + before + 1
    received_at = sent + taken
    ancillary = clocks.stamp(received_at)
    clocks.now = received_at + waited

    assert received_at == stamps.received_at(ancillary, sent, clocks.now)


@given(
    st.integers(1, SECOND), st.integers(-3600 * SECOND, 3600 * SECOND).filter(lambda step: abs(step) > 2 * MILLISECOND)
)
def test_a_stepped_clock_is_not_believed(taken: int, step: int) -> None:
    """
    Whether the stamp came before or after the step: the instant is that of the read, and the next request's is the kernel's.
    """
    for stamped_first in (True, False):
        clocks = Clocks()
        stamps = ReceiveTimestamps(clocks.monotonic, clocks.wall)
        sent = clocks.now = clocks.now + SECOND
        clocks.now += taken
        early = clocks.stamp(clocks.now)
        clocks.ahead += step
        ancillary = early if stamped_first else clocks.stamp(clocks.now)
        clocks.now += 1000

        assert clocks.now == stamps.received_at(ancillary, sent, clocks.now)

        sent = clocks.now = clocks.now + 1
        received_at = sent + taken
        ancillary = clocks.stamp(received_at)
        clocks.now = received_at + 5

        assert received_at == stamps.received_at(ancillary, sent, clocks.now)


@given(st.integers(-500, 500), st.lists(st.integers(1, 200 * MILLISECOND), min_size=1, max_size=20))
def test_a_slewed_clock_is_followed(parts_per_million: int, gaps: list[int]) -> None:
    """
    Clocks that are being corrected drift by up to 500 millionths: instants stay within half a millisecond.
    """
    clocks = Clocks()
    stamps = ReceiveTimestamps(clocks.monotonic, clocks.wall)
    for gap in gaps:
        sent = clocks.now = clocks.now + 1
        clocks.now += gap
        clocks.ahead += gap * parts_per_million // 1_000_000
        received_at = clocks.now
        ancillary = clocks.stamp(received_at)
        clocks.now += 1000

        assert abs(received_at - stamps.received_at(ancillary, sent, clocks.now)) <= MILLISECOND // 2


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
def test_without_a_stamp_the_instant_is_ours(ancillary: list[tuple[int, int, bytes]]) -> None:
    """
    Other systems, first answers, messages of other kinds.
    """
    clocks = Clocks()

    assert 51 * SECOND == ReceiveTimestamps(clocks.monotonic, clocks.wall).received_at(
        ancillary, 50 * SECOND, 51 * SECOND
    )


@given(st.integers(-10, 10).filter(bool))
def test_a_stamp_outside_of_the_exchange_is_not_believed(seconds: int) -> None:
    """
    An answer comes after its request and before it is read.
    """
    clocks = Clocks()
    stamps = ReceiveTimestamps(clocks.monotonic, clocks.wall)
    sent = clocks.now = clocks.now + 20 * SECOND
    ancillary = clocks.stamp(sent + seconds * SECOND if seconds < 0 else sent + MILLISECOND + seconds * SECOND)
    clocks.now += MILLISECOND

    assert clocks.now == stamps.received_at(ancillary, sent, clocks.now)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's receive stamps are Linux's")
def test_linux_stamps_what_comes_in() -> None:
    """
    The option's number and the message's form are those of this kernel.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
        with near, far:
            enable_receive_timestamps(near)
            stamps = ReceiveTimestamps()
            for _ in range(20):  # the first ones of a machine may carry none
                sent = time.monotonic_ns()
                far.send(b"x")
                time.sleep(0.02)
                _, ancillary, _, _ = near.recvmsg(10, ANCILLARY_SIZE)
                now = time.monotonic_ns()
                instant = stamps.received_at(ancillary, sent, now)
                if instant < now:
                    break

    assert sent <= instant < now - 10 * MILLISECOND
