"""
What the emulator says to a request: a pure function of the request, the model and the time.

No socket, no clock and no chance of its own: the same request in the same state gets the same answer, whoever carries
it. HTTP's framing is `protocol`'s affair.
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
from .chain.chain_response import ChainResponse, output
from .chain.echo import echo_response
from .chain.gateway_mapping import replacement_error
from .scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorConfig:
    """
    Everything that is settled before the first request.
    """

    scenario: Scenario
    key: ApiKey
    request_id_prefix: str
    """The beginning of every request id of one run of the server: 21 hexadecimal digits that no other run has."""
    seed: int = 0
    contract: Contract = Contract.STRICT
    steering: bool = True
    has_chain: bool = False
    """Whether a chain of the user's stands behind the gateway; else the echo chain does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorState:
    """
    What a request leaves behind for the next one.
    """

    number: int = 0
    """How many requests have been decided."""
    bucket: TokenBucket | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    What is said to one request, and how long that takes.
    """

    number: int
    answer: Answer
    error_code: str | None
    """The code that the answer's body names."""
    service_time: Seconds = 0.0
    """From the request's last byte to the answer. A request refused at the gate takes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRequest:
    """
    A request that the user's chain is to answer: running it is nobody's decision.
    """

    number: int
    body: bytes


def decide(
    request: ReceivedRequest, config: EmulatorConfig, state: EmulatorState, now: Seconds
) -> tuple[Decision | ChainRequest, EmulatorState]:
    """
    What is said to a whole request that arrived *now*, or that the chain is to say it, and the state after it.
    """
    state = replace(state, number=state.number + 1)
    refusal = head_error(request, config)
    if not INPUT_ERRORS.applies_to(config.contract):  # there the gateway passes on whatever body it gets
        refusal = refusal or json_object_error(request)
    if refusal:
        return _refuse(refusal, config, state.number, 0.0), state
    wish = requested_outcome(request, config.contract) if config.steering else None
    if isinstance(wish, ErrorReply):
        return _refuse(wish, config, state.number, _error_time(config, state.number)), state
    if wish != OK:
        refusal, state = _rates(config, state, now)
        if refusal:
            at_gate = refusal is _OVER_LIMIT
            time = 0.0 if at_gate else _error_time(config, state.number)
            return _refuse(refusal, config, state.number, time), state
    if config.has_chain:
        return ChainRequest(number=state.number, body=request.body), state
    return _echo(request, config, state.number), state


def decision_from_chain(said: ChainResponse, config: EmulatorConfig, number: int, time: Seconds) -> Decision:
    """
    What is said to a request once the chain's server has said *said* to it, after so long a *time*.
    """
    refusal = replacement_error(said, config.contract)
    if refusal:
        return _refuse(refusal, config, number, time)
    attempts = (_ATTEMPTS,) if ATTEMPTS.applies_to(config.contract) else ()
    headers = (*_headers(config, number), *attempts, *said.headers)
    answer = Answer(status=said.status, headers=headers, body=said.body)
    return Decision(number=number, answer=answer, error_code=None, service_time=time)


def head_error(request: ReceivedRequest, config: EmulatorConfig) -> ErrorReply | None:
    """
    Why a request is refused whatever its body will say, if it is.
    """
    return (
        routing_error(request)
        or authentication_error(request, config.key, config.contract)
        or content_header_error(request, config.contract)
        or body_size_error(request, config.scenario.max_body_bytes, config.contract)
    )


def decide_malformed(why: str, config: EmulatorConfig, state: EmulatorState) -> tuple[Decision, EmulatorState]:
    """
    What is said to whatever is no HTTP request.
    """
    state = replace(state, number=state.number + 1)
    return _refuse(bad_request(why), config, state.number, 0.0), state


_OVER_LIMIT = failure(ErrorCode.RATE_LIMITED, "More requests a second than the chain admits; slow down and try again.")


def _rates(config: EmulatorConfig, state: EmulatorState, now: Seconds) -> tuple[ErrorReply | None, EmulatorState]:
    """
    The refusal that the scenario's rate limit or error rates have for a request, if any, and the state after it.
    """
    scenario = config.scenario
    if scenario.rate_limit:
        admit, bucket = take_token(state.bucket, scenario.rate_limit, now)
        state = replace(state, bucket=bucket)
        if not admit:
            return _OVER_LIMIT, state
    if scenario.errors:
        left = uniform(config.seed, state.number, DrawPurpose.OUTCOME)
        for code, probability in scenario.errors:
            left -= probability
            if left < 0:
                return failure(code, "One of the failures that this scenario has on purpose."), state
    return None, state


def _echo(request: ReceivedRequest, config: EmulatorConfig, number: int) -> Decision:
    """
    The echo chain: its output is its input, byte for byte, so that every spelling of a number or a string survives.
    """
    said = echo_response(request.body) if INPUT_ERRORS.applies_to(config.contract) else output(request.body)
    return decision_from_chain(said, config, number, _drawn(config.scenario.service_time, config.seed, number))


def _refuse(refusal: ErrorReply, config: EmulatorConfig, number: int, time: Seconds) -> Decision:
    """
    An `ErrorResponse`. It names its code where the contract pairs code and status, and is silent where it does not.
    """
    bare = BARE_ERRORS.applies_to(config.contract)
    named = refusal.status in statuses(refusal.code, config.contract) and (refusal.on_demand or not bare)
    code = refusal.code.value if named else None
    media_type, text = _JSON, orjson.dumps(_bare(refusal) if bare else _full(refusal, code))
    if refusal.non_json_body:
        media_type, text = refusal.non_json_body.media_type, refusal.non_json_body.text.encode()
    headers = (*_headers(config, number, media_type), *refusal.headers)
    answer = Answer(status=refusal.status, headers=headers, body=text)
    return Decision(number=number, answer=answer, error_code=code, service_time=time)


def _full(refusal: ErrorReply, code: str | None) -> dict[str, str]:
    """
    An `ErrorResponse` with everything that the document has for it.
    """
    body = {"error": refusal.message, "detail": refusal.detail}
    return body if code is None else {**body, "error_code": code}


def _bare(refusal: ErrorReply) -> dict[str, str]:
    """
    An error as Baseten's pages show it, but for the code that was wished for.
    """
    body = {"error": f"{refusal.message} {refusal.detail}"}
    return {**body, "error_code": refusal.code.value} if refusal.on_demand else body


_JSON = "application/json"
_ATTEMPTS = ("X-BASETEN-MODEL-PREDICTION-ATTEMPTS", "1")


def _headers(config: EmulatorConfig, number: int, media_type: str = _JSON) -> tuple[tuple[str, str], ...]:
    """
    What every answer carries. Within a run ids differ since `mix64` is one to one, between runs by their beginning.
    """
    return ((REQUEST_ID_HEADER, f"{config.request_id_prefix}{mix64(number):016x}"), ("Content-Type", media_type))


def _error_time(config: EmulatorConfig, number: int) -> Seconds:
    """
    How long a failure takes: by its own law if the scenario has one, else as long as a success.
    """
    law = config.scenario.error_service_time or config.scenario.service_time
    return _drawn(law, config.seed, number)


def _drawn(law: ServiceTime, seed: int, number: int) -> Seconds:
    """
    The service time that a law has for the request of this number.
    """
    return service_time(
        law,
        component=uniform(seed, number, DrawPurpose.COMPONENT),
        quantile=uniform(seed, number, DrawPurpose.SERVICE_TIME),
    )
