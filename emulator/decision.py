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
from chainproof.contract.errors import ErrorCode, statuses
from chainproof.contract.levels import Contract

from .behaviour.authentication import unauthorized
from .behaviour.body import no_object, too_large, unreadable
from .behaviour.deviations import ATTEMPTS, BARE_ERRORS, INPUT_ERRORS
from .behaviour.errors import Refusal, bad_request, failure
from .behaviour.latency import ServiceTime, service_time
from .behaviour.rate_limit import Bucket, admitted
from .behaviour.request import Request
from .behaviour.routing import misrouted
from .behaviour.seeded_random import Purpose, mixed, uniform
from .behaviour.steering import OK, steered
from .chain.chain_response import Said, output
from .chain.echo import echoed
from .chain.gateway_mapping import refused_as
from .scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """
    Everything that is settled before the first request.
    """

    scenario: Scenario
    key: ApiKey
    run: str
    """The beginning of every request id of one run of the server: 21 hexadecimal digits that no other run has."""
    seed: int = 0
    contract: Contract = Contract.STRICT
    steering: bool = True
    chained: bool = False
    """Whether a chain of the user's stands behind the gateway; else the echo chain does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """
    What a request leaves behind for the next one.
    """

    number: int = 0
    """How many requests have been decided."""
    bucket: Bucket | None = None


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
class Forward:
    """
    A request that the user's chain is to answer: running it is nobody's decision.
    """

    number: int
    body: bytes


def decide(request: Request, model: Model, state: State, now: Seconds) -> tuple[Decision | Forward, State]:
    """
    What is said to a whole request that arrived *now*, or that the chain is to say it, and the state after it.
    """
    state = replace(state, number=state.number + 1)
    refusal = refused_at_head(request, model)
    if not INPUT_ERRORS.shown(model.contract):  # there the gateway passes on whatever body it gets
        refusal = refusal or no_object(request)
    if refusal:
        return _refuse(refusal, model, state.number, 0.0), state
    wish = steered(request, model.contract) if model.steering else None
    if isinstance(wish, Refusal):
        return _refuse(wish, model, state.number, _error_time(model, state.number)), state
    if wish != OK:
        refusal, state = _rates(model, state, now)
        if refusal:
            at_gate = refusal is _OVER_LIMIT
            time = 0.0 if at_gate else _error_time(model, state.number)
            return _refuse(refusal, model, state.number, time), state
    if model.chained:
        return Forward(number=state.number, body=request.body), state
    return _echo(request, model, state.number), state


def answered(said: Said, model: Model, number: int, time: Seconds) -> Decision:
    """
    What is said to a request once the chain's server has said *said* to it, after so long a *time*.
    """
    refusal = refused_as(said, model.contract)
    if refusal:
        return _refuse(refusal, model, number, time)
    attempts = (_ATTEMPTS,) if ATTEMPTS.shown(model.contract) else ()
    headers = (*_headers(model, number), *attempts, *said.fields)
    answer = Answer(status=said.status, headers=headers, body=said.body)
    return Decision(number=number, answer=answer, error_code=None, service_time=time)


def refused_at_head(request: Request, model: Model) -> Refusal | None:
    """
    Why a request is refused whatever its body will say, if it is.
    """
    return (
        misrouted(request)
        or unauthorized(request, model.key, model.contract)
        or unreadable(request, model.contract)
        or too_large(request, model.scenario.max_body_bytes, model.contract)
    )


def malformed(why: str, model: Model, state: State) -> tuple[Decision, State]:
    """
    What is said to whatever is no HTTP request.
    """
    state = replace(state, number=state.number + 1)
    return _refuse(bad_request(why), model, state.number, 0.0), state


_OVER_LIMIT = failure(ErrorCode.RATE_LIMITED, "More requests a second than the chain admits; slow down and try again.")


def _rates(model: Model, state: State, now: Seconds) -> tuple[Refusal | None, State]:
    """
    The refusal that the scenario's rate limit or error rates have for a request, if any, and the state after it.
    """
    scenario = model.scenario
    if scenario.rate_limit:
        admit, bucket = admitted(state.bucket, scenario.rate_limit, now)
        state = replace(state, bucket=bucket)
        if not admit:
            return _OVER_LIMIT, state
    if scenario.errors:
        left = uniform(model.seed, state.number, Purpose.OUTCOME)
        for code, probability in scenario.errors:
            left -= probability
            if left < 0:
                return failure(code, "One of the failures that this scenario has on purpose."), state
    return None, state


def _echo(request: Request, model: Model, number: int) -> Decision:
    """
    The echo chain: its output is its input, byte for byte, so that every spelling of a number or a string survives.
    """
    said = echoed(request.body) if INPUT_ERRORS.shown(model.contract) else output(request.body)
    return answered(said, model, number, _drawn(model.scenario.service_time, model.seed, number))


def _refuse(refusal: Refusal, model: Model, number: int, time: Seconds) -> Decision:
    """
    An `ErrorResponse`. It names its code where the contract pairs code and status, and is silent where it does not.
    """
    bare = BARE_ERRORS.shown(model.contract)
    named = refusal.status in statuses(refusal.code, model.contract) and (refusal.wished or not bare)
    code = refusal.code.value if named else None
    media_type, text = _JSON, orjson.dumps(_bare(refusal) if bare else _full(refusal, code))
    if refusal.page:
        media_type, text = refusal.page.media_type, refusal.page.text.encode()
    headers = (*_headers(model, number, media_type), *refusal.headers)
    answer = Answer(status=refusal.status, headers=headers, body=text)
    return Decision(number=number, answer=answer, error_code=code, service_time=time)


def _full(refusal: Refusal, code: str | None) -> dict[str, str]:
    """
    An `ErrorResponse` with everything that the document has for it.
    """
    body = {"error": refusal.message, "detail": refusal.detail}
    return body if code is None else {**body, "error_code": code}


def _bare(refusal: Refusal) -> dict[str, str]:
    """
    An error as Baseten's pages show it, but for the code that was wished for.
    """
    body = {"error": f"{refusal.message} {refusal.detail}"}
    return {**body, "error_code": refusal.code.value} if refusal.wished else body


_JSON = "application/json"
_ATTEMPTS = ("X-BASETEN-MODEL-PREDICTION-ATTEMPTS", "1")


def _headers(model: Model, number: int, media_type: str = _JSON) -> tuple[tuple[str, str], ...]:
    """
    What every answer carries. Within a run ids differ since `mixed` is one to one, between runs by their beginning.
    """
    return ((REQUEST_ID_HEADER, f"{model.run}{mixed(number):016x}"), ("Content-Type", media_type))


def _error_time(model: Model, number: int) -> Seconds:
    """
    How long a failure takes: by its own law if the scenario has one, else as long as a success.
    """
    law = model.scenario.error_service_time or model.scenario.service_time
    return _drawn(law, model.seed, number)


def _drawn(law: ServiceTime, seed: int, number: int) -> Seconds:
    """
    The service time that a law has for the request of this number.
    """
    return service_time(
        law,
        component=uniform(seed, number, Purpose.COMPONENT),
        quantile=uniform(seed, number, Purpose.SERVICE_TIME),
    )
