"""
Each check of one kind of fault finds it in an endpoint that shares no code with the emulator, and accuses no correct one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from chainproof.conformance.checks.catalogue import ALL_CHECKS

from .conftest import RunSuite
from .endpoints import (
    AnswerFunction,
    EndpointAnswer,
    EndpointHandler,
    EndpointRequest,
    correct_endpoint,
    error,
    on_every_answer,
    on_status,
    serve,
    typed_endpoint,
    when,
)

CHECKS = {check.name: check for check in ALL_CHECKS}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyEndpoint:
    """
    An endpoint that breaks the contract in one way, and the check that finds it alone.
    """

    name: str
    check: str
    breaks: str
    """Id of the only clause with a finding."""
    server: Callable[[], AnswerFunction] = lambda: correct_endpoint
    """Makes a new answer function for each test, because some keep state."""
    handler: type[EndpointHandler] = EndpointHandler
    options: dict[str, object] = field(default_factory=dict)


def with_field(name: str, value: str) -> Callable[[EndpointAnswer], EndpointAnswer]:
    """
    A change that adds a header field to an answer.
    """
    return lambda answer: replace(answer, extra_fields=(*answer.extra_fields, (name, value)))


def host_name(request: EndpointRequest) -> str:
    """
    The name in the Host header.
    """
    return "".join(request.values("host")).partition(":")[0]


HEADER_FIELDS = (
    *(
        FaultyEndpoint(
            name=f"{name}: {value}",
            check="header_fields_of_answers_follow_their_grammar",
            breaks=clause,
            server=lambda name=name, value=value: on_every_answer(with_field(name, value)),  # type: ignore[misc]
        )
        for name, value, clause in (
            ("Date", "2026-11-27 10:00:00", "field-syntax"),
            ("ETag", "abc", "field-syntax"),
            ("Cache-Control", "max-age=1.5", "field-syntax"),
            ("Vary", "Accept; Origin", "field-syntax"),
            ("Set-Cookie", "a b=c", "field-conventions"),
        )
    ),
    FaultyEndpoint(
        name="Retry-After in an old form of dates",
        check="header_fields_of_answers_follow_their_grammar",
        breaks="field-syntax",
        server=lambda: on_status(400, with_field("Retry-After", "Sun Nov  6 08:49:37 1994")),
    ),
    FaultyEndpoint(
        name="WWW-Authenticate on a 401 only",
        check="header_fields_of_answers_follow_their_grammar",
        breaks="field-syntax",
        server=lambda: on_status(401, with_field("WWW-Authenticate", "")),
    ),
    FaultyEndpoint(
        name="at most 80 header fields",
        check="many_header_fields_are_accepted",
        breaks="request-framing",
        server=lambda: when(lambda request: len(request.fields) > 80, lambda request, answer: error(431, None)),
    ),
    FaultyEndpoint(
        name="an own name in capitals is unknown",
        check="every_form_of_the_own_host_name_is_recognised",
        breaks="host-forms",
        server=lambda: when(
            lambda request: host_name(request) != host_name(request).lower(), lambda request, answer: error(404, None)
        ),
    ),
    FaultyEndpoint(
        name="an own name with a dot is unknown",
        check="every_form_of_the_own_host_name_is_recognised",
        breaks="host-trailing-dot",
        server=lambda: when(
            lambda request: host_name(request).endswith("."), lambda request, answer: error(400, "client_error")
        ),
    ),
    FaultyEndpoint(
        name="500 for an unknown method",
        check="unknown_methods_are_rejected",
        breaks="unknown-methods",
        server=lambda: when(lambda request: request.method == "BREW", lambda request, answer: error(500, None)),
    ),
)

FAULTS = HEADER_FIELDS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_by_the_check_of_its_kind_alone(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """
    The check reports the fault for its clause, and no other clause.
    """
    with serve(fault.server(), handler=fault.handler) as url:
        result = run_suite(url, checks=[CHECKS[fault.check]], **fault.options)

    assert {fault.breaks} == result.clauses, result.lines


CHECKS_OF_KINDS = tuple(CHECKS[name] for name in dict.fromkeys(fault.check for fault in FAULTS))


@pytest.mark.parametrize("server", [correct_endpoint, typed_endpoint], ids=["echo", "typed"])
def test_a_correct_endpoint_has_no_findings(server: AnswerFunction, run_suite: RunSuite) -> None:
    """
    Neither an echo chain nor an ordinary chain has findings, warnings included.
    """
    options = {} if server is correct_endpoint else {"echo": False, "steerable": False}
    result = run_suite(server, checks=CHECKS_OF_KINDS, **options)

    assert [] == result.lines
