"""Decodes the content coding of an answer's body, and checks that the request accepts that coding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chainproof.contract.answer import Answer
from chainproof.contract.content_coding import content_codings, decoded_body, is_supported

from .request import CheckRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedAnswer:
    """An answer without its content coding, and the errors of that coding."""

    answer: Answer | None
    """None if it cannot be decoded."""
    coding_error: str = ""
    warning: str = ""
    """A recommendation that the answer does not follow."""


def decode_answer(answer: Answer, request: CheckRequest) -> DecodedAnswer:
    """An answer with its Content-Encoding undone."""
    codings = content_codings(answer)
    if not codings:
        return DecodedAnswer(answer=answer)
    header = f"Content-Encoding: {', '.join(codings)}"
    # RFC 9110 §8.4.1 recommends not to send `identity`, but it changes nothing.
    is_coded = set(codings) != {"identity"}
    coding_error = warning = ""
    if is_coded and _accepts_identity_only(request):
        coding_error = f"{header}, but the request accepts `identity` only"
    elif not _is_accepted(codings, request):
        warning = f"{header}, which the request does not accept"
    if "identity" in codings:
        warning = warning or "Content-Encoding: identity, which is for Accept-Encoding only"
    body = answer.body if request.method == "HEAD" else decoded_body(answer.body, codings)
    if body is not None:
        return DecodedAnswer(answer=replace(answer, body=body), coding_error=coding_error, warning=warning)
    if not is_supported(codings):
        warning = warning or f"{header}, which chainproof cannot decode"
        return DecodedAnswer(answer=None, coding_error=coding_error, warning=warning)
    uncoded = answer if answer.body[:1] in (b"{", b"[") else None
    return DecodedAnswer(answer=uncoded, coding_error=coding_error or f"{header}, but the body is not coded like this")


def _accepts_identity_only(request: CheckRequest) -> bool:
    """True if the request has an Accept-Encoding that accepts no coding."""
    values = request.values("accept-encoding")
    accepted = {each.strip().lower() for value in values for each in value.split(",")} - {""}
    return bool(values) and accepted <= {"identity"}


def _is_accepted(codings: Sequence[str], request: CheckRequest) -> bool:
    """True if the request accepts all codings (RFC 9110 §12.5.3)."""
    values = request.values("accept-encoding")
    if not values:
        return True
    weights: dict[str, float] = {}
    for each in ",".join(values).lower().split(","):
        coding, _, parameters = each.partition(";")
        weight = parameters.strip().removeprefix("q=")
        weights[coding.strip()] = float(weight) if weight.replace(".", "", 1).isdigit() else 1.0
    names = [coding.removeprefix("x-") for coding in codings if coding != "identity"]
    return all(weights.get(name, weights.get("*", 0.0)) > 0 for name in names)
