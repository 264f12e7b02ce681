"""
Decisions: the answer to a request as a pure function of request, configuration, state and time.

No sockets, clock or randomness: the same request in the same state gets the same answer. HTTP framing belongs to
`transport`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import orjson

from chainproof.clock import Seconds
from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.deviations import ATTEMPTS, BARE_ERRORS, INPUT_ERRORS
from chainproof.contract.errors import ErrorCode, statuses
from chainproof.contract.levels import Contract

from .behaviour.authentication import authentication_error
from .behaviour.body import body_size_error, content_header_error, json_object_error
from .behaviour.errors import ErrorReply, bad_request, failure
from .behaviour.latency import ServiceTime, service_time
from .behaviour.rate_limit import TokenBucket, take_token
from .behaviour.request import ReceivedRequest
from .behaviour.routing import routing_error
from .behaviour.seeded_random import DrawPurpose, mix64, uniform
from .behaviour.steering import OK, requested_outcome
from .chain.chain_request import ChainRequest, chain_request
from .chain.chain_response import ChainResponse, output
from .chain.echo import echo_response
from .chain.gateway_mapping import replacement_error
from .scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorConfig:
    """The configuration of one run of the server."""

    scenario: Scenario
    key: ApiKey
    request_id_prefix: str
    """The prefix of every request id of this run: 21 hexadecimal digits, unique to the run."""
    seed: int = 0
    contract: Contract = Contract.STRICT
    steering: bool = True
    has_chain: bool = False
    """Whether a user's chain replaces the echo chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorState:
    """The state that one request leaves for the next."""

    number: int = 0
    """Number of requests decided so far."""
    bucket: TokenBucket | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to one request, and its service time."""

    number: int
    answer: Answer
    error_code: str | None
    """The error code in the body of the answer."""
    service_time: Seconds = 0.0
    """Seconds from the last byte of the request to the answer; 0 for requests that do not reach the chain."""
    streaming: bool = False
    """Whether the body of the answer follows in chunks."""


def decide(
    request: ReceivedRequest, config: EmulatorConfig, state: EmulatorState, now: Seconds
) -> tuple[Decision | ChainRequest, EmulatorState]:
    """The decision on a complete request received at *now*, or a request to run the user's chain, and the next state."""
    state = replace(state, number=state.number + 1)
    error_reply = head_error(request, config)
    if not INPUT_ERRORS.applies_to(config.contract):  # under such contracts the gateway passes on every body
        error_reply = error_reply or json_object_error(request)
    if error_reply:
        return _error_decision(error_reply, config, state.number, 0.0), state
    outcome = requested_outcome(request, config.contract) if config.steering else None
    if isinstance(outcome, ErrorReply):
        return _error_decision(outcome, config, state.number, _error_time(config, state.number)), state
    if outcome != OK:
        error_reply, state = _scenario_error(config, state, now)
        if error_reply:
            is_rate_limited = error_reply is _OVER_LIMIT
            time = 0.0 if is_rate_limited else _error_time(config, state.number)
            return _error_decision(error_reply, config, state.number, time), state
    if config.has_chain:
        return chain_request(state.number, request), state
    return _echo_decision(request, config, state.number), state


def decision_from_chain(
    response: ChainResponse, config: EmulatorConfig, number: int, time: Seconds, attempts: int = 1
) -> Decision:
    """
    The decision on a response of the chain's server; *time* is the duration of the call in seconds, and *attempts* how
    often the gateway sent the request.
    """
    error_reply = replacement_error(response, config.contract)
    if error_reply:
        return _error_decision(error_reply, config, number, time)
    counted = ((_ATTEMPTS, str(attempts)),) if ATTEMPTS.applies_to(config.contract) else ()
    headers = (*_headers(config, number, response.media_type), *counted, *response.headers)
    answer = Answer(status=response.status, headers=headers, body=response.body)
    return Decision(number=number, answer=answer, error_code=None, service_time=time, streaming=response.streaming)


def head_error(request: ReceivedRequest, config: EmulatorConfig) -> ErrorReply | None:
    """The error for a request that is rejected regardless of its body; else None."""
    scenario = config.scenario
    return (
        routing_error(request, scenario.names)
        or authentication_error(request, config.key, config.contract)
        or content_header_error(request, config.contract)
        or body_size_error(request, scenario.max_body_bytes, config.contract)
    )


def decide_malformed(reason: str, config: EmulatorConfig, state: EmulatorState) -> tuple[Decision, EmulatorState]:
    """The decision on bytes that are not an HTTP request."""
    state = replace(state, number=state.number + 1)
    return _error_decision(bad_request(reason), config, state.number, 0.0), state


_OVER_LIMIT = failure(
    ErrorCode.RATE_LIMITED, "More requests per second than the chain accepts; slow down and try again."
)


def _scenario_error(
    config: EmulatorConfig, state: EmulatorState, now: Seconds
) -> tuple[ErrorReply | None, EmulatorState]:
    """The error that the scenario's rate limit or error rates produce, if any, and the next state."""
    scenario = config.scenario
    if scenario.rate_limit:
        admitted, bucket = take_token(state.bucket, scenario.rate_limit, now)
        state = replace(state, bucket=bucket)
        if not admitted:
            return _OVER_LIMIT, state
    if scenario.errors:
        remaining = uniform(config.seed, state.number, DrawPurpose.OUTCOME)
        for code, probability in scenario.errors:
            remaining -= probability
            if remaining < 0:
                return failure(code, "One of the failures that this scenario has on purpose."), state
    return None, state


def _echo_decision(request: ReceivedRequest, config: EmulatorConfig, number: int) -> Decision:
    """The decision of the echo chain. The output is byte-identical to the input."""
    wide = INPUT_ERRORS.applies_to(config.contract)
    response = echo_response(chain_request(number, request)) if wide else output(request.body)
    return decision_from_chain(response, config, number, scenario_service_time(config, number))


def _error_decision(error_reply: ErrorReply, config: EmulatorConfig, number: int, time: Seconds) -> Decision:
    """The decision to answer with an error. It names the code only where the contract pairs code and status."""
    bare = BARE_ERRORS.applies_to(config.contract)
    has_code = error_reply.status in statuses(error_reply.code, config.contract) and (error_reply.on_demand or not bare)
    code = error_reply.code.value if has_code else None
    media_type, text = (
        _JSON,
        orjson.dumps(_bare_error_body(error_reply) if bare else _full_error_body(error_reply, code)),
    )
    if error_reply.non_json_body:
        media_type, text = error_reply.non_json_body.media_type, error_reply.non_json_body.text.encode()
    headers = (*_headers(config, number, media_type), *error_reply.headers)
    answer = Answer(status=error_reply.status, headers=headers, body=text)
    return Decision(number=number, answer=answer, error_code=code, service_time=time)


def _full_error_body(error_reply: ErrorReply, code: str | None) -> dict[str, str]:
    """An `ErrorResponse` with all documented members."""
    body = {"error": error_reply.message, "detail": error_reply.detail}
    return body if code is None else {**body, "error_code": code}


def _bare_error_body(error_reply: ErrorReply) -> dict[str, str]:
    """An error as in Baseten's documentation; it has a code only if X-Emulate requested one."""
    body = {"error": f"{error_reply.message} {error_reply.detail}"}
    return {**body, "error_code": error_reply.code.value} if error_reply.on_demand else body


_JSON = "application/json"
_ATTEMPTS = "X-BASETEN-MODEL-PREDICTION-ATTEMPTS"


def _headers(config: EmulatorConfig, number: int, media_type: str = _JSON) -> tuple[tuple[str, str], ...]:
    """
    The header fields of every answer. Request ids are unique: `mix64` is bijective, and the prefix differs between
    runs.
    """
    return ((REQUEST_ID_HEADER, f"{config.request_id_prefix}{mix64(number):016x}"), ("Content-Type", media_type))


def _error_time(config: EmulatorConfig, number: int) -> Seconds:
    """Service time of an error: from the scenario's distribution of errors, else that of successes."""
    law = config.scenario.error_service_time or config.scenario.service_time
    return _draw_service_time(law, config.seed, number)


def scenario_service_time(config: EmulatorConfig, number: int) -> Seconds:
    """The service time that the scenario gives to a success, by its request number."""
    return _draw_service_time(config.scenario.service_time, config.seed, number)


def _draw_service_time(law: ServiceTime, seed: int, number: int) -> Seconds:
    """The service time drawn for a request number."""
    return service_time(
        law,
        component=uniform(seed, number, DrawPurpose.COMPONENT),
        quantile=uniform(seed, number, DrawPurpose.SERVICE_TIME),
    )
