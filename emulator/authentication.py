"""
Who is let in.
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest

from chainproof.contract.credentials import ApiKey
from chainproof.contract.errors import ErrorCode
from chainproof.contract.levels import Contract

from .refusal import Refusal
from .request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """
    How one contract has the key presented, and with what status it refuses another.
    """

    prefixes: tuple[str, ...]
    wrong_key: int


SCHEMES: dict[Contract, Scheme] = {
    Contract.STRICT: Scheme(prefixes=("Api-Key",), wrong_key=401),
    # The inference document since 2026-06-08 has BearerAuth beside Api-Key; inference/errors groups 401 and 403.
    Contract.DOCUMENTED: Scheme(prefixes=("Api-Key", "Bearer"), wrong_key=403),
    Contract.OBSERVED: Scheme(prefixes=("Api-Key", "Bearer"), wrong_key=403),
}


def unauthorized(request: Request, key: ApiKey, contract: Contract) -> Refusal | None:
    """
    Why a request is not let in, if it is not.
    """
    scheme = SCHEMES[contract]
    given = request.fields(b"authorization")
    if not given:
        return _refused(401, "Send the API key as `Authorization: Api-Key …`; this request has no such header.")
    if len(given) > 1:
        return _refused(401, "Send one Authorization header; this request has several.")
    # No early exit: how long the comparison takes must not tell which prefix, or how much of the key, was right.
    matches = [compare_digest(given[0], f"{prefix} {key.reveal()}".encode()) for prefix in scheme.prefixes]
    if any(matches):
        return None
    return _refused(scheme.wrong_key, "The Authorization header does not hold `Api-Key`, one blank and a valid key.")


def _refused(status: int, detail: str) -> Refusal:
    """
    A request without a key that counts.
    """
    return Refusal(status=status, code=ErrorCode.UNAUTHORIZED, detail=detail)
