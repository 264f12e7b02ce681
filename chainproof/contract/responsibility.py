"""
Who is responsible for an answer that is not ok, read from what the answer says of its origin.

The first of these that applies decides:

1. the exception of a chain in the body: the chain, unless it rejects the input (a 4xx other than 401 and 403)
2. a documented `error_code`: the party in its row of `errors.PAIRINGS`
3. the header fields of the server that made the error: source 04 is the chain's server
4. the sentences that the chain's server has for its own failures
5. a page in HTML without a request id under 502, 503 or 504: a gateway in front of the platform
6. the status

Source: basetenlabs/truss, truss/templates/server and truss-chains, remote_chainlet/utils.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chainproof.contract.answer import Answer
from chainproof.contract.errors import PAIRING_BY_CODE, Responsible
from chainproof.json_text import parse_json

_CHAIN_SERVER = "4"
_STARTING = "is not ready."
"""How the error of a chain's server ends that has not loaded its model yet."""
_CHAIN_SENTENCES = ("Unhandled exception: ", "Internal Server Error (in model/chainlet)")
"""How the errors of a chain's server begin that are about the chain."""
_PLAIN_FAILURE = b"Internal Server Error"
"""The text of a chain's server, in text/plain, for an exception that its own handlers do not catch."""
_GATEWAY_STATUSES = frozenset({502, 503, 504})


def responsible_for(answer: Answer) -> Responsible:
    """Who is responsible for an answer that is not ok. A 200 is not ok only if its output violates the contract."""
    if answer.status == 200:
        return Responsible.CHAIN
    value = parse_json(answer.body)
    members = value if isinstance(value, dict) else {}
    candidates = (rule(answer, members) for rule in _RULES)
    return next((found for found in candidates if found is not None), _by_status(answer.status))


def responsible(error_code: str | None, status: int | None) -> Responsible:
    """Who is responsible for an error of which only these are known."""
    pairing = PAIRING_BY_CODE.get(error_code or "")
    return pairing.responsible if pairing is not None else _by_status(status)


def _by_status(status: int | None) -> Responsible:
    """Who is responsible for an error of which only the status is known."""
    if status is not None and 400 <= status < 500:
        return Responsible.CALLER
    return Responsible.CHAIN if status == 504 else Responsible.PLATFORM


def _by_exception(answer: Answer, members: Mapping[str, object]) -> Responsible | None:
    """A chain's own exception. One with a 4xx rejects the input, but the key of the caller is the gateway's to check."""
    error = members.get("error")
    if not isinstance(error, dict) or "exception_cls_name" not in error:
        return None
    rejects_input = 400 <= answer.status < 500 and answer.status not in (401, 403)
    return Responsible.CALLER if rejects_input else Responsible.CHAIN


def _by_error_code(_: Answer, members: Mapping[str, object]) -> Responsible | None:
    """The party in the row of a documented code."""
    code = members.get("error_code")
    pairing = PAIRING_BY_CODE.get(code) if isinstance(code, str) else None
    return pairing.responsible if pairing is not None else None


def _by_header(answer: Answer, members: Mapping[str, object]) -> Responsible | None:
    """The server that made the error. That of a chain which is still starting is the platform's to start."""
    source = answer.field("x-baseten-error-source")
    if source is None or answer.status < 500:
        return None
    error = members.get("error")
    if source.strip().lstrip("0") != _CHAIN_SERVER or (isinstance(error, str) and error.endswith(_STARTING)):
        return Responsible.PLATFORM
    return Responsible.CHAIN


def _by_sentence(answer: Answer, members: Mapping[str, object]) -> Responsible | None:
    """A sentence that only the chain's server writes, where a gateway removed its header fields."""
    error = members.get("error")
    is_own = isinstance(error, str) and error.startswith(_CHAIN_SENTENCES)
    is_plain = answer.media_type == "text/plain" and answer.body.strip() == _PLAIN_FAILURE
    return Responsible.CHAIN if answer.status >= 500 and (is_own or is_plain) else None


def _by_page(answer: Answer, _: Mapping[str, object]) -> Responsible | None:
    """A page that a gateway writes for people. The platform's errors are JSON and have a request id."""
    is_page = answer.media_type == "text/html" and not answer.request_id
    return Responsible.GATEWAY if is_page and answer.status in _GATEWAY_STATUSES else None


_RULES: tuple[Callable[[Answer, Mapping[str, object]], Responsible | None], ...] = (
    _by_exception,
    _by_error_code,
    _by_header,
    _by_sentence,
    _by_page,
)
