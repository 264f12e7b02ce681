"""What the tables of faults consist of: endpoints that break the contract in one way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from ..endpoints import (
    PATH,
    AnswerFunction,
    EndpointAnswer,
    EndpointHandler,
    EndpointRequest,
    as_if,
    correct_endpoint,
    on_every_answer,
    on_status,
    serve,
    when,
    with_right_key,
)

Condition = Callable[[EndpointRequest], bool]

Server = AnswerFunction | type[EndpointHandler] | Callable[[], AnswerFunction]
"""How an endpoint answers or reads requests. A class of answer functions is instantiated for each test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyEndpoint:
    """An endpoint that breaks the contract in one way."""

    name: str
    breaks: frozenset[str]
    """Ids of the clauses with findings, and of no others."""
    server: Server
    check: str
    """The check that finds it alone, or an empty text."""
    implies: str
    """Id of a further clause that the defect may violate, or an empty text."""
    options: Mapping[str, object]
    """Settings of the run."""

    def serve(self) -> AbstractContextManager[str]:
        """Serve the endpoint. Yields its URL."""
        if not isinstance(self.server, type):
            return serve(self.server)
        if issubclass(self.server, EndpointHandler):
            return serve(correct_endpoint, handler=self.server)
        return serve(self.server())


Servers = Mapping[str | tuple[str, ...], Mapping[str, Server]]
"""Faulty endpoints by the clauses that they break, and by their names."""


def faults(servers: Servers, check: str = "") -> list[FaultyEndpoint]:
    """The endpoints of a table."""
    return [
        faulty(clauses, name, server, check=check)
        for clauses, by_name in servers.items()
        for name, server in by_name.items()
    ]


def faulty(
    clauses: str | tuple[str, ...],
    name: str,
    server: Server,
    *,
    check: str = "",
    implies: str = "",
    options: Mapping[str, object] | None = None,
) -> FaultyEndpoint:
    """An endpoint that breaks one clause, or several."""
    breaks = frozenset({clauses} if isinstance(clauses, str) else clauses)
    return FaultyEndpoint(name=name, breaks=breaks, server=server, check=check, implies=implies, options=options or {})


def answering(condition: Condition, answer: EndpointAnswer) -> AnswerFunction:
    """The correct endpoint with another answer to requests that meet a condition."""
    return when(condition, lambda request, correct: replace(answer, request_id=correct.request_id))


def changed_if(condition: Condition, /, **changes: object) -> AnswerFunction:
    """The correct endpoint with changes to its answers to requests that meet a condition."""
    return when(condition, lambda request, answer: replace(answer, **changes))  # type: ignore[arg-type]


def changed_on(status: int, /, **changes: object) -> AnswerFunction:
    """The correct endpoint with changes to its answers of one status that `X-Emulate` did not request."""
    return on_status(status, lambda answer: replace(answer, **changes))  # type: ignore[arg-type]


def changed_everywhere(status: int, /, **changes: object) -> AnswerFunction:
    """The correct endpoint with changes to its answers of one status, those at other paths included."""
    return on_every_answer(
        lambda answer: replace(answer, **changes) if answer.status == status else answer  # type: ignore[arg-type]
    )


def accepting_if(condition: Condition) -> AnswerFunction:
    """The correct endpoint, which also accepts requests that meet a condition."""
    return as_if(with_right_key, condition)


def to_chain(condition: Condition) -> Condition:
    """A condition: a request for the operation with the right key, which meets another condition."""
    return lambda request: request.authorized and is_for_operation(request) and condition(request)


def on_demand(code: str) -> Condition:
    """A condition: the request asks for an error."""
    return lambda request: code in request.values("x-emulate")


def is_for_operation(request: EndpointRequest) -> bool:
    """True if a request is for the operation."""
    return request.method == "POST" and request.path.startswith(PATH)
