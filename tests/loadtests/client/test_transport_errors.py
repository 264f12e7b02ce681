"""Transport errors: every exception below HTTP maps to exactly one transport class."""

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


def subclasses(base: type[BaseException]) -> set[type[BaseException]]:
    """A class and all its loaded subclasses."""
    return {base}.union(*(subclasses(kind) for kind in base.__subclasses__()))


SYSTEM = sorted(errno.errorcode)
"""All error numbers of this system."""
TLS = sorted(
    (each for each in vars(ssl).values() if isinstance(each, type) and issubclass(each, ssl.SSLError)),
    key=lambda each: each.__name__,
)
PARSER = [getattr(httptools.parser.errors, name) for name in sorted(httptools.parser.errors.__all__)]
NAMES = [socket.gaierror, socket.herror]
EXCHANGE_STAGES = (RequestStage.SENDING, RequestStage.AWAITING, RequestStage.READING)

CLASSES = {
    RequestStage.RESOLVING: {Transport.NAME_NOT_RESOLVED},
    RequestStage.CONNECTING: {
        Transport.CONNECTION_REFUSED,
        Transport.CONNECT_TIMED_OUT,
        Transport.CONNECTION_RESET,
        Transport.CONNECT_FAILED,
        Transport.NO_RESOURCES,
    },
    RequestStage.TUNNELLING: {Transport.CONNECT_FAILED},
    RequestStage.TLS_HANDSHAKE: {Transport.TLS_FAILED},
} | {stage: {Transport.CONNECTION_RESET, Transport.CONNECTION_LOST} for stage in EXCHANGE_STAGES}


@pytest.mark.parametrize("stage", RequestStage)
def test_system_errors_map_to_the_classes_of_the_stage(stage: RequestStage) -> None:
    """All error numbers map to the classes listed for the stage, and each of these classes occurs."""
    found = {transport_of(OSError(number, "…"), stage) for number in SYSTEM}

    assert CLASSES[stage] == found
    assert transport_of(OSError(), stage) in CLASSES[stage]


@pytest.mark.parametrize("stage", RequestStage)
def test_subclasses_of_oserror_have_a_class(stage: RequestStage) -> None:
    """Subclasses of OSError in Python, libraries and gevent are mapped too."""
    for kind in subclasses(OSError):
        try:
            error = kind("…")
        except TypeError:
            continue  # needs more arguments
        assert isinstance(transport_of(error, stage), Transport)


@pytest.mark.parametrize("kind", TLS)
def test_tls_errors_have_a_class(kind: type[ssl.SSLError]) -> None:
    """All are TLS_FAILED in the handshake. Later, the end of the stream is CLOSED_EARLY and all others are TLS_FAILED."""
    ends = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
    expected = Transport.CLOSED_EARLY if issubclass(kind, ends) else Transport.TLS_FAILED

    assert Transport.TLS_FAILED is transport_of(kind(1, "…"), RequestStage.TLS_HANDSHAKE)
    assert {expected} == {transport_of(kind(1, "…"), stage) for stage in EXCHANGE_STAGES}


@pytest.mark.parametrize("kind", PARSER)
@pytest.mark.parametrize("stage", EXCHANGE_STAGES)
def test_parser_errors_are_malformed_answers(kind: type[Exception], stage: RequestStage) -> None:
    """Bytes that the parser rejects are not HTTP."""
    assert Transport.MALFORMED is transport_of(kind("…"), stage)


@pytest.mark.parametrize("kind", NAMES)
def test_resolver_errors_are_unresolved_names(kind: type[OSError]) -> None:
    """Resolver errors have their own numbers, which mean something else among system errors."""
    assert {Transport.NAME_NOT_RESOLVED} == {
        transport_of(kind(number, "…"), RequestStage.RESOLVING) for number in range(-20, 20)
    }


@pytest.mark.parametrize("stage", RequestStage)
def test_a_deadline_while_connecting_has_its_own_class(stage: RequestStage) -> None:
    """A connection that takes too long differs from an answer that takes too long."""
    expected = Transport.CONNECT_TIMED_OUT if stage is RequestStage.CONNECTING else Transport.DEADLINE

    assert expected is deadline_exceeded(stage).transport
    assert str(stage) in deadline_exceeded(stage).reason


@given(st.sampled_from(list(RequestStage)), st.sampled_from(SYSTEM))
def test_reasons_are_one_line_with_the_system_message(stage: RequestStage, number: int) -> None:
    """The reason contains the message of the system, and no line break."""
    failure = failure_from(OSError(number, f"{errno.errorcode[number]} happened"), stage)

    assert isinstance(failure, RequestFailed)
    assert errno.errorcode[number].lower() in failure.reason
    assert "\n" not in failure.reason


def test_other_exceptions_are_internal_errors() -> None:
    """Other exceptions than those of the system, TLS and the parser get no transport class."""
    for error in (KeyError("x"), RuntimeError("x"), ValueError("x")):
        with pytest.raises(TypeError, match="expected an error of the system"):
            transport_of(error, RequestStage.READING)


def test_every_transport_class_is_used() -> None:
    """Each transport class comes from the tables, from a stage or from the client itself."""
    from_tables = {*CONNECT_ERRORS.values(), *CONNECTION_LOSS_ERRORS.values()}
    from_stages = {transport for classes in CLASSES.values() for transport in classes}
    from_client = {
        Transport.ANSWERED,
        Transport.CLOSED_EARLY,
        Transport.MALFORMED,
        Transport.TOO_LARGE,
        Transport.DEADLINE,
        Transport.DRAIN_ENDED,
    }

    assert set(Transport) == from_tables | from_stages | from_client
