"""Request id faults: ids that are missing, repeated, or copied from the request."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.contract.clauses import REQUEST_ID_ON_ERRORS, REQUEST_ID_PRESENT, REQUEST_ID_UNIQUE

from .answer import AnswerChange, on_success
from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, RequestContext, with_header

_faults = FaultRegistrar(stage=FaultStage.ANSWER)


def _with_request_id(request_id: Callable[[RequestContext], str]) -> DecideHook:
    """A hook that replaces the request id."""
    return lambda context: with_header(context.correct_answer(), REQUEST_ID_HEADER, request_id(context))


def _copied_from(name: bytes) -> DecideHook:
    """A hook that copies the request id from a header field of the request."""

    def decide(context: RequestContext) -> Answer:
        answer, value = context.correct_answer(), context.field(name)
        return with_header(answer, REQUEST_ID_HEADER, value.decode("latin-1")) if value else answer

    return decide


_faults.add_table(
    REQUEST_ID_UNIQUE,
    rows={
        "id-constant": ("Every answer has the same request id.", _with_request_id(lambda _: "0")),
        "id-per-connection": (
            "All answers of a connection have the same request id.",
            _with_request_id(lambda context: f"{id(context.connection):032x}"),
        ),
        "id-is-body-hash": (
            "The request id is a hash of the body.",
            _with_request_id(lambda context: hashlib.sha256(context.body).hexdigest()[:32]),
        ),
        "id-16-bit": (
            "The request id is a random 16-bit number.",
            _with_request_id(lambda context: f"{context.memory.rng.getrandbits(16):04x}"),
        ),
        "id-rolls-over": (
            "The request id is a counter that restarts after 100.",
            _with_request_id(lambda context: f"request-{context.memory.next_number() % 100}"),
        ),
        "id-from-caller": (
            "The request id is copied from X-BASETEN-REQUEST-ID of the request.",
            _copied_from(b"x-baseten-request-id"),
        ),
        "id-from-x-request-id": (
            "The request id is copied from X-Request-Id of the request.",
            _copied_from(b"x-request-id"),
        ),
        "id-from-trace": ("The request id is copied from X-B3-TraceId of the request.", _copied_from(b"x-b3-traceid")),
        "id-constant-on-errors": (
            "All errors with the same status have the same request id.",
            lambda context: (
                with_header(context.correct_answer(), REQUEST_ID_HEADER, f"error-{context.correct_answer().status}")
                if context.correct_answer().status != 200
                else context.correct_answer()
            ),
        ),
        "id-shared-when-concurrent": (
            "Concurrent requests have the same request id.",
            lambda context: _id_of_concurrent_request(context),  # noqa: PLW0108  # defined below
        ),
    },
)


def _id_of_concurrent_request(context: RequestContext) -> Answer:
    """The correct answer, with the id of the previous answer while requests of other connections are in flight."""
    answer = context.correct_answer()
    last = context.memory.answers.get(b"")
    if context.concurrent and last is not None and last.request_id:
        return with_header(answer, REQUEST_ID_HEADER, last.request_id)
    context.memory.answers[b""] = answer
    return answer


def _request_ids(*values: str) -> AnswerChange:
    """A change of the request ids; without values they are removed."""
    return lambda answer: with_header(answer, REQUEST_ID_HEADER, *values)


_faults.add_table(
    REQUEST_ID_PRESENT,
    rows={
        "id-missing": ("A 200 has no request id.", on_success(_request_ids())),
        "id-empty": ("A 200 has an empty request id.", on_success(_request_ids(""))),
        "id-twice": (
            "A 200 has two request ids.",
            on_success(lambda answer: _request_ids(answer.request_id or "", "x" + (answer.request_id or ""))(answer)),
        ),
    },
)


@_faults.on_decide(REQUEST_ID_PRESENT)
def id_missing_now_and_then(context: RequestContext) -> Answer:
    """Every 10th 200 has no request id."""
    answer = context.correct_answer()
    return _request_ids()(answer) if answer.status == 200 and context.memory.every_nth(10, "200") else answer


@_faults.on_decide(REQUEST_ID_PRESENT)
def id_missing_when_large(context: RequestContext) -> Answer:
    """Answers above 8 KiB have no request id."""
    answer = context.correct_answer()
    return _request_ids()(answer) if answer.status == 200 and len(answer.body) > 8192 else answer


@_faults.on_decide(REQUEST_ID_ON_ERRORS)
def id_missing_on_errors(context: RequestContext) -> Answer:
    """Errors have no request id."""
    answer = context.correct_answer()
    return answer if answer.status == 200 else _request_ids()(answer)
