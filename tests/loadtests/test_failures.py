"""
Every way a request can fail below HTTP has one transport class, and none is missing.
"""

from __future__ import annotations

import errno
import socket
import ssl

import httptools.parser.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.loadtests.client.transport_errors import (
    CONNECT_ERRORS,
    CONNECTION_LOSS_ERRORS,
    RequestFailed,
    RequestStage,
    deadline_exceeded,
    failure_from,
    transport_of,
)
from chainproof.results.exchange import Transport


def kinds(base: type[BaseException]) -> set[type[BaseException]]:
    """
    A class and all that are made from it, as far as they are loaded.
    """
    return {base}.union(*(kinds(kind) for kind in base.__subclasses__()))


SYSTEM = sorted(errno.errorcode)
"""Every error number that this system has a name for."""
TLS = sorted(
    (each for each in vars(ssl).values() if isinstance(each, type) and issubclass(each, ssl.SSLError)),
    key=lambda each: each.__name__,
)
PARSER = [getattr(httptools.parser.errors, name) for name in sorted(httptools.parser.errors.__all__)]
NAMES = [socket.gaierror, socket.herror]
WHILE_UNDER_WAY = (RequestStage.SENDING, RequestStage.AWAITING, RequestStage.READING)

CLASSES = {
    RequestStage.RESOLVING: {Transport.NAME_NOT_RESOLVED},
    RequestStage.CONNECTING: {
        Transport.CONNECTION_REFUSED,
        Transport.CONNECT_TIMED_OUT,
        Transport.CONNECTION_RESET,
        Transport.CONNECT_FAILED,
    },
    RequestStage.TUNNELLING: {Transport.CONNECT_FAILED},
    RequestStage.TLS_HANDSHAKE: {Transport.TLS_FAILED},
} | {stage: {Transport.CONNECTION_RESET, Transport.CONNECTION_LOST} for stage in WHILE_UNDER_WAY}


@pytest.mark.parametrize("stage", RequestStage)
def test_every_error_of_the_system_has_a_class_at_every_stage(stage: RequestStage) -> None:
    """
    Whatever number the system gives, the class is one of those of the stage, and each of those is given.
    """
    found = {transport_of(OSError(number, "…"), stage) for number in SYSTEM}

    assert CLASSES[stage] == found
    assert transport_of(OSError(), stage) in CLASSES[stage]


@pytest.mark.parametrize("stage", RequestStage)
def test_every_subclass_of_oserror_has_a_class(stage: RequestStage) -> None:
    """
    What Python, its libraries and gevent make of OSError is mapped like it, by whatever name.
    """
    for kind in kinds(OSError):
        try:
            wrong = kind("…")
        except TypeError:
            continue  # a library's own, that takes more to be made
        assert isinstance(transport_of(wrong, stage), Transport)


@pytest.mark.parametrize("kind", TLS)
def test_every_error_of_tls_has_a_class(kind: type[ssl.SSLError]) -> None:
    """
    A handshake that fails is TLS_FAILED; later an end is an end, and anything else a record that cannot be trusted.
    """
    ends = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
    expected = Transport.CLOSED_EARLY if issubclass(kind, ends) else Transport.TLS_FAILED

    assert Transport.TLS_FAILED is transport_of(kind(1, "…"), RequestStage.TLS_HANDSHAKE)
    assert {expected} == {transport_of(kind(1, "…"), stage) for stage in WHILE_UNDER_WAY}


@pytest.mark.parametrize("kind", PARSER)
@pytest.mark.parametrize("stage", WHILE_UNDER_WAY)
def test_every_error_of_the_parser_is_malformed(kind: type[Exception], stage: RequestStage) -> None:
    """
    What the parser does not take is not HTTP.
    """
    assert Transport.MALFORMED is transport_of(kind("…"), stage)


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_that_is_not_found_is_unknown(kind: type[OSError]) -> None:
    """
    The resolver's errors have numbers of their own, which mean something else among the system's.
    """
    assert {Transport.NAME_NOT_RESOLVED} == {
        transport_of(kind(number, "…"), RequestStage.RESOLVING) for number in range(-20, 20)
    }


@pytest.mark.parametrize("stage", RequestStage)
def test_the_deadline_is_the_deadline_but_while_connecting(stage: RequestStage) -> None:
    """
    A connection that does not come about in time is told apart from an answer that does not.
    """
    expected = Transport.CONNECT_TIMED_OUT if stage is RequestStage.CONNECTING else Transport.DEADLINE

    assert expected is deadline_exceeded(stage).transport
    assert str(stage) in deadline_exceeded(stage).reason


@given(st.sampled_from(list(RequestStage)), st.sampled_from(SYSTEM))
def test_a_reason_is_short_and_says_something(stage: RequestStage, number: int) -> None:
    """
    One line, whatever went wrong.
    """
    told = failure_from(OSError(number, f"{errno.errorcode[number]} happened"), stage)

    assert isinstance(told, RequestFailed)
    assert errno.errorcode[number].lower() in told.reason
    assert "\n" not in told.reason


def test_our_own_errors_are_not_the_targets() -> None:
    """
    What neither the system nor TLS nor the parser raised is a defect of ours, and no transport class hides it.
    """
    for wrong in (KeyError("x"), RuntimeError("x"), ValueError("x")):
        with pytest.raises(TypeError, match="expected an error of the system's"):
            transport_of(wrong, RequestStage.READING)


def test_every_class_that_the_client_can_give_is_given_by_something() -> None:
    """
    No transport class stands there unused: it comes from the tables, from a stage or from the client's own counting.
    """
    from_tables = {*CONNECT_ERRORS.values(), *CONNECTION_LOSS_ERRORS.values()}
    from_stages = {transport for classes in CLASSES.values() for transport in classes}
    own = {
        Transport.ANSWERED,
        Transport.CLOSED_EARLY,
        Transport.MALFORMED,
        Transport.TOO_LARGE,
        Transport.DEADLINE,
        Transport.DRAIN_ENDED,
    }

    assert set(Transport) == from_tables | from_stages | own
