"""
An examination of a server in this process, without a socket between: what a body says is seen as well, and sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from chainproof.conformance.checks import Check, body, checks_in, limits, media_type
from chainproof.conformance.judging.ledger import Ledger
from chainproof.conformance.options import Depth, Settings
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.connection import TransportResult
from chainproof.conformance.transport.not_asked import NotAsked
from chainproof.conformance.transport.request import CheckRequest
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.target import parse_target
from chainproof.results.exchange import Transport

from .conftest import SuiteResult
from .endpoints import KEY, AnswerFunction, EndpointRequest

INPUT_CHECKS: tuple[Check, ...] = (*checks_in(body), *checks_in(limits), *checks_in(media_type))
"""The checks of what is accepted, refused and returned."""


class InProcessClient(Client):
    """
    A client whose target is a function.
    """

    def __init__(self, server: AnswerFunction) -> None:
        super().__init__(parse_target("http://127.0.0.1:1"))
        self._server = server

    def send(self, request: CheckRequest) -> TransportResult:
        """
        What the function answers, as if it had come over the wire.
        """
        fields = (("Host", "127.0.0.1"), *request.fields)
        said = self._server(
            EndpointRequest(method=request.method, path=request.path, fields=fields, body=request.body or b"")
        )
        if said.raw is not None:
            return TransportResult(
                transport=Transport.CONNECTION_LOST, reason="the connection was closed without an answer"
            )
        headers = [("Content-Type", said.media_type)] if said.media_type is not None else []
        headers += [("X-Baseten-Request-Id", said.request_id)] if said.request_id is not None else []
        return TransportResult(
            transport=Transport.ANSWERED,
            answer=Answer(status=said.status, headers=(*headers, *said.extra_fields), body=said.body),
            raw=b"HTTP/1.1",
        )


class _Stored(Ledger):
    """
    A ledger that passes for one with a run folder.
    """

    @property
    def is_stored(self) -> bool:
        return True


def run_suite_in_process(
    server: AnswerFunction,
    *,
    checks: Sequence[Check] = INPUT_CHECKS,
    clause_ids: Iterable[str] = (),
    stop_at_first: bool = False,
    is_stored: bool = False,
    **options: object,
) -> SuiteResult:
    """
    What comes of checks, those that uphold some clauses where any are named, at standard depth and few examples.

    Where it is to be *at once*, the first check that finds something is the last. What is *stored* is as in a run folder.
    """
    settings = replace(
        Settings(depth=Depth.STANDARD, seed=1, echo=True, steerable=True),
        **options,  # type: ignore[arg-type]  # the names of Settings
    )
    client = InProcessClient(server)
    ledger = (_Stored if is_stored else Ledger)(None, client.target, 1)
    requester = Requester(client, ledger, key=ApiKey(KEY), settings=settings, pause=_no_pause)
    wanted = set(clause_ids)
    for check in checks:
        if wanted and not wanted & {clause.id for clause in check.clauses}:
            continue
        requester.check_name = check.name
        try:
            check.run(requester)
        except NotAsked:
            continue
        if stop_at_first and ledger.findings:
            break
    return SuiteResult(ledger=ledger, skipped={})


_no_pause: Callable[[float], None] = lambda seconds: None  # noqa: E731  # a pause that is none
