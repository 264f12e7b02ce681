"""Runs checks against a function in this process, without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from chainproof.clock import Seconds
from chainproof.conformance.checks import Check, body, checks_in, limits, media_type
from chainproof.conformance.judging.finding_recorder import FindingRecorder
from chainproof.conformance.options import Depth, Settings
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.transport.check_skipped import CheckSkipped
from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.connection import TransportResult
from chainproof.conformance.transport.request import CheckRequest
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.target import parse_target
from chainproof.results.exchange import Transport

from .conftest import SuiteResult
from .endpoints import KEY, AnswerFunction, EndpointRequest

_NEED_SOCKET = {"body_limits_hold_in_every_framing", "oversized_bodies_get_a_documented_answer_in_every_framing"}

INPUT_CHECKS: tuple[Check, ...] = tuple(
    check for module in (media_type, body, limits) for check in checks_in(module) if check.name not in _NEED_SOCKET
)
"""The checks of which bodies are accepted, rejected and returned, as far as they need no socket. The quickest are first."""


def make_requester(client: Client, finding_recorder: FindingRecorder | None = None, **known: Any) -> Requester:
    """A requester without a run folder, which does not wait. *known* is what it knows of the run, with defaults here."""
    known = {"key": ApiKey(KEY), "settings": Settings(seed=1), "pause": lambda seconds: None} | known
    return Requester(client, finding_recorder or FindingRecorder(None, client.target, 1), **known)


class InProcessClient(Client):
    """A client that calls a function instead of a target."""

    def __init__(self, server: AnswerFunction) -> None:
        super().__init__(parse_target("http://127.0.0.1:1"))
        self._server = server

    def send(
        self, request: CheckRequest, *, limit: Callable[[Seconds], Seconds] = lambda seconds: seconds
    ) -> TransportResult:
        """The answer of the function, as if received from a target."""
        limit(self.deadline)
        fields = (("Host", "127.0.0.1"), *request.fields)
        answer = self._server(
            EndpointRequest(method=request.method, path=request.path, fields=fields, body=request.body or b"")
        )
        if answer.raw is not None:
            return TransportResult(
                transport=Transport.CONNECTION_LOST, reason="the connection was closed without an answer"
            )
        headers = [("Content-Type", answer.media_type)] if answer.media_type is not None else []
        headers += [("X-Baseten-Request-Id", answer.request_id)] if answer.request_id is not None else []
        return TransportResult(
            transport=Transport.ANSWERED,
            answer=Answer(status=answer.status, headers=(*headers, *answer.extra_fields), body=answer.body),
            raw=b"HTTP/1.1",
        )


class _StoredFindingRecorder(FindingRecorder):
    """A recorder of findings that acts as if it had a run folder."""

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
    Run the checks of some clauses, or all of *checks*, at standard depth.

    With *stop_at_first* the first check with a finding is the last one. With *is_stored* findings are recorded as if there was a
    run folder.
    """
    settings = replace(
        Settings(depth=Depth.STANDARD, seed=1, echo=True, steerable=True),
        **options,  # type: ignore[arg-type]  # the names of Settings
    )
    client = InProcessClient(server)
    finding_recorder = (_StoredFindingRecorder if is_stored else FindingRecorder)(None, client.target, 1)
    requester = make_requester(client, finding_recorder, settings=settings)
    selected = set(clause_ids)
    for check in checks:
        if selected and not selected & {clause.id for clause in check.clauses}:
            continue
        requester.check_name = check.name
        try:
            check.run(requester)
        except CheckSkipped:
            continue
        if stop_at_first and finding_recorder.findings:
            break
    return SuiteResult(finding_recorder=finding_recorder, skipped={})
