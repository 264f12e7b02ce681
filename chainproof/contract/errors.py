"""
The ten error codes: their statuses, and who is responsible for each.

The document lists codes and statuses but does not pair them, so the table below is an assumption: the natural reading
for the strict contract, plus what Baseten's pages say (with a citation) for the documented one. The emulator, the
checks, the load test and the documentation use this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from chainproof.contract.levels import Contract
from chainproof.contract.openapi import documented_statuses


class ErrorCode(StrEnum):
    """The documented values of `ErrorResponse.error_code`."""

    TIMEOUT = "timeout"
    CLIENT_ERROR = "client_error"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_NOT_READY = "model_not_ready"
    MODEL_DOES_NOT_EXIST = "model_does_not_exist"
    RATE_LIMITED = "rate_limited"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNAUTHORIZED = "unauthorized"
    APPLICATION_ERROR = "application_error"
    INTERNAL_BASETEN_ERROR = "internal_baseten_error"


DOCUMENTED_CODES: frozenset[str] = frozenset(code.value for code in ErrorCode)
"""The ten codes as plain strings: `"x" in ErrorCode` raises TypeError on Python 3.11."""


class Responsible(StrEnum):
    """The party that is responsible for an error."""

    CALLER = "caller"
    """The sender of the request: its key, URL, body or rate."""

    CHAIN = "chain"
    """The code behind `run_remote`."""

    PLATFORM = "platform"
    """Baseten's routing and replicas."""

    GATEWAY = "gateway"
    """A proxy or load balancer in front of the platform, which answered by itself."""

    GENERATOR = "generator"
    """The load generator and its machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The statuses of an error code, and who is responsible."""

    code: ErrorCode
    responsible: Responsible
    strict: tuple[int, ...]
    documented: tuple[int, ...] = ()
    citation: str = ""
    """The source of the documented statuses; pages are relative to docs.baseten.co."""


PAIRINGS: tuple[Pairing, ...] = (
    Pairing(
        code=ErrorCode.UNAUTHORIZED,
        responsible=Responsible.CALLER,
        strict=(401,),
        documented=(403,),
        citation="inference/errors groups 401 and 403 as a missing or invalid API key",
    ),
    Pairing(
        code=ErrorCode.CLIENT_ERROR,
        responsible=Responsible.CALLER,
        strict=(400,),
        documented=(404, 405, 415, 422),
        citation="inference/errors (404); HTTP client configuration lists 422 among the statuses not to retry; "
        "405 and 415 are what RFC 9110 §15.5.6 and §15.5.16 give a gateway for methods and media types",
    ),
    Pairing(
        code=ErrorCode.PAYLOAD_TOO_LARGE,
        responsible=Responsible.CALLER,
        strict=(400,),
        documented=(413,),
        citation="inference/errors: a body above 100 MB is answered 413",
    ),
    Pairing(
        code=ErrorCode.MODEL_DOES_NOT_EXIST,
        responsible=Responsible.CALLER,
        strict=(400,),
        documented=(404,),
        citation="inference/errors: 404 for a model or deployment id that does not exist or was deleted",
    ),
    Pairing(
        code=ErrorCode.RATE_LIMITED,
        responsible=Responsible.CALLER,
        strict=(429,),
        documented=(529,),
        citation="management API, request_backpressure_settings.policy REJECT_ON_FULL: 529 when no slot is free",
    ),
    Pairing(
        code=ErrorCode.APPLICATION_ERROR,
        responsible=Responsible.CHAIN,
        strict=(502,),
        documented=(500,),
        citation="basetenlabs/truss: an exception in run_remote is answered 500 by the chain's own server",
    ),
    Pairing(
        code=ErrorCode.INTERNAL_BASETEN_ERROR,
        responsible=Responsible.PLATFORM,
        strict=(502, 503),
        documented=(500,),
        citation="deployment/autoscaling/request-lifecycle: a parked request that expires fails with a 500",
    ),
    Pairing(code=ErrorCode.MODEL_UNAVAILABLE, responsible=Responsible.PLATFORM, strict=(502, 503)),
    Pairing(
        code=ErrorCode.MODEL_NOT_READY,
        responsible=Responsible.PLATFORM,
        strict=(503,),
        documented=(400,),
        citation="inference/async pairs MODEL_NOT_READY with 400",
    ),
    Pairing(code=ErrorCode.TIMEOUT, responsible=Responsible.CHAIN, strict=(504,)),
)

PAIRING_BY_CODE: dict[str, Pairing] = {pairing.code.value: pairing for pairing in PAIRINGS}

UNPAIRED_STATUSES: dict[int, str] = {
    402: "inference/errors: 402 while billing is on hold; no error code is named",
}
"""Statuses that the documentation adds without naming an error code, with a citation each."""


@cache
def statuses(code: str, contract: Contract) -> frozenset[int]:
    """The statuses that *code* may have under *contract*; empty for an undocumented code."""
    pairing = PAIRING_BY_CODE.get(code)
    if pairing is None:
        return frozenset()
    additional = pairing.documented if contract.includes(Contract.DOCUMENTED) else ()
    return frozenset(pairing.strict + additional)


@cache
def allowed_statuses(contract: Contract) -> frozenset[int]:
    """The statuses that an answer of the operation may have under *contract*."""
    allowed = set(documented_statuses())
    if contract.includes(Contract.DOCUMENTED):
        allowed.update(UNPAIRED_STATUSES)
        for pairing in PAIRINGS:
            allowed.update(pairing.documented)
    return frozenset(allowed)
