"""`chainproof call`: sends one request and shows it completely, with the result of each clause."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from chainproof.clock import Seconds
from chainproof.command import build_parser, command
from chainproof.contract.answer import Answer
from chainproof.contract.levels import Level
from chainproof.contract.redaction import REDACTED
from chainproof.endpoint import Endpoint, open_endpoint
from chainproof.errors import UsageError
from chainproof.json_text import parse_object
from chainproof.judgement.severity import failing_levels
from chainproof.judgement.verdict import EXIT_CODE_OF, ExitCode, Verdict
from chainproof.text_files import read_bytes, read_stream

from .inputs.chain_inputs import initial_inputs
from .inputs.chain_schema import ChainSchema, load_chain_schema
from .judging.credential_leaks import redact
from .judging.expectation import Terms, expectation
from .judging.judge import AnswerHistory, Judgement, judge, request_secrets, with_bypass_cause
from .options import CALL_OPTIONS, Settings, settings_from
from .runner.call_text import call_text
from .transport.check_skipped import AnswerNotRead
from .transport.client import Client
from .transport.request import JSON_TYPE, CheckRequest, key_secret
from .transport.requested_target import EMULATOR_SCENARIO, requested_target
from .transport.single_exchange import SingleExchange, exchange, request_from_bytes


@command("call")
def main(arguments: Sequence[str]) -> int:
    """Send one request, and print it, its answer, the timing and the clauses; the exit code is that of the verdict."""
    parser = build_parser(
        "call",
        "Send one request to POST /production/run_remote and show it completely: the bytes sent and received, the timing, "
        "and the result of each clause.",
        options=CALL_OPTIONS,
    )
    parser.usage = "chainproof call [OPTIONS]"
    given = vars(parser.parse_args(arguments))
    payload, raw = given.pop("payload"), given.pop("raw")
    if payload is not None and raw is not None:
        raise UsageError("expected --payload or --raw, found both")
    settings = settings_from(given)
    chain_schema = load_chain_schema(settings)
    content = None if raw is None else _read(raw)
    body = _body(payload, chain_schema)
    emulator = ("--contract", settings.contract.value)
    with open_endpoint(requested_target(settings), scenario=EMULATOR_SCENARIO, options=emulator) as endpoint:
        request = _request(endpoint, settings, body, content)
        client = Client(
            endpoint.target,
            settings.deadline,
            route=endpoint.route,
            fields=endpoint.fields,
            max_response_memory=settings.max_response_memory << 20,
        )
        client.check_connection()
        try:
            made = exchange(client, request, is_raw=content is not None)
        except AnswerNotRead as skipped:
            print(f"{Verdict.INCONCLUSIVE.value.upper()}  The answer {skipped}.")
            return ExitCode.INCONCLUSIVE
        client.close()
        terms = _terms(endpoint, settings, chain_schema)
    judgement = _judgement(made, terms, settings.deadline)
    verdict, reason = _verdict(judgement, made)
    print(call_text(made, judgement, terms))
    reason = redact(reason, request_secrets(made.request, terms), REDACTED)  # it may quote the answer
    print(f"{verdict.value.upper()}  {reason}")
    return EXIT_CODE_OF[verdict]


def _read(source: str) -> bytes:
    """The bytes of a file, or of the standard input for `-`. Raises UsageError."""
    return (
        read_stream(sys.stdin.buffer, "the standard input")
        if source == "-"
        else read_bytes(Path(source), "the request")
    )


def _body(payload: str | None, chain_schema: ChainSchema) -> bytes:
    """The body of `--payload`: JSON text, a file, or the standard input; without it the simplest input that is known."""
    if payload is None:
        return initial_inputs(minimal_input=chain_schema.minimal_input).base
    if payload.lstrip()[:1] in ("{", "[", '"'):  # first, since a long text cannot be looked up as a file
        return payload.encode("utf-8", "surrogateescape")
    if payload == "-" or Path(payload).is_file():
        return _read(payload)
    raise UsageError(f"expected JSON text or a file with --payload, found {payload!r}, which is neither")


def _request(endpoint: Endpoint, settings: Settings, body: bytes, content: bytes | None) -> CheckRequest:
    """The request to send."""
    secret = key_secret(endpoint.key, settings.api_key_env)
    if content is not None:
        return replace(request_from_bytes(content, endpoint.target), secret=secret)
    return CheckRequest(
        path=endpoint.target.path,
        operation=endpoint.target.path,
        fields=(("Authorization", endpoint.key.authorization), JSON_TYPE, *endpoint.fields),
        body=body,
        secret=secret,
    )


def _terms(endpoint: Endpoint, settings: Settings, chain_schema: ChainSchema) -> Terms:
    """What is known about the target."""
    return Terms(
        key=endpoint.key,
        other_secrets=endpoint.secrets[1:],
        contract=settings.contract,
        echo=settings.echo or endpoint.target.emulated,
        input_schema=chain_schema.input_schema,
        output_schema=chain_schema.output_schema,
    )


def _judgement(made: SingleExchange, terms: Terms, deadline: Seconds) -> Judgement:
    """The judgement of the answer."""
    request = made.request
    judgement = judge(request, made.received, expectation(request, terms), terms, AnswerHistory(), deadline=deadline)
    if judgement.auth_bypass is None:
        return judgement
    return with_bypass_cause(judgement, judgement.auth_bypass, request, terms)


def _verdict(judgement: Judgement, made: SingleExchange) -> tuple[Verdict, str]:
    """The verdict on the answer, and the reason in a sentence."""
    failing = failing_levels(Level.ASSUMED)
    answer = made.received.answer
    violated = dict.fromkeys(each.clause.id for each in judgement.violations if each.clause.level in failing)
    if violated:
        reason = f"Violated: {', '.join(violated)}."
        if answer is not None and not made.is_raw and _is_foreign(answer):
            reason = (
                f"{reason} The request was answered {answer.status}: this does not look like a chain; {_CHECK_ADDRESS}."
            )
        elif answer is not None and answer.status in _REMEDIES and not made.is_raw:
            reason = f"{reason} {_rejection(answer.status, made.request.body)}"
        return Verdict.FAIL, reason
    if answer is None:
        return (
            Verdict.INCONCLUSIVE,
            f"There is no answer to judge: {made.received.reason or made.received.warning or 'the connection ended'}.",
        )
    if made.is_raw:
        return Verdict.PASS, f"The answer has status {answer.status} and violates nothing by itself."
    if answer.is_success:
        return Verdict.PASS, "The request was accepted, and the answer violates nothing."
    return Verdict.INCONCLUSIVE, _rejection(answer.status, made.request.body)


def _is_foreign(answer: Answer) -> bool:
    """Whether a rejection looks like that of a server that is no chain, as in the doctor."""
    is_unlike = answer.media_type != "application/json" and answer.request_id is None
    return answer.status in (405, 501) or (is_unlike and answer.status >= 400 and answer.status not in _OF_ANY_PROXY)


def _rejection(status: int, body: bytes | None) -> str:
    """That a request was rejected with a status, and what to do."""
    remedy = _REMEDIES.get(status, "")
    if remedy is _REJECTED_INPUT:
        try:
            parse_object(body or b"")
        except ValueError as error:
            remedy = f", and rightly so: its body is wrong ({error})"
    return f"The request was answered {status}{remedy}."


_OF_ANY_PROXY = (429, 502, 503, 504)
"""Statuses with which a server in front of a chain may answer in its own words."""
_CHECK_ADDRESS = "check the URL, the id and the environment"
_REJECTED_INPUT = ": the chain rejects this input; check it, or give another one with --payload or --input-schema"
_FAILED = ": the chain, or a server in front of it, failed; see its log"
_REMEDIES: Mapping[int, str] = {
    400: _REJECTED_INPUT,
    401: ": the key was rejected; check the variable that has it, and --auth-scheme",
    403: ": the key was rejected; check the variable that has it, and --auth-scheme",
    404: f": {_CHECK_ADDRESS}",
    422: _REJECTED_INPUT,
    429: ": the target has too many requests; try again later",
    500: _FAILED,
    502: _FAILED,
    503: ": the target is not ready; try again later",
    504: ": the chain took too long for a server in front of it; see its log",
}
"""What to do about a status."""
