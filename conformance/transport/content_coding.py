"""
Content codings: what a body is under its coding, and whether that coding was the caller's to expect.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

from chainproof.contract.answer import Answer

from .request import CheckRequest

_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's window bits for each coding that the standard library undoes; RFC 9110 §8.4.1 has deflate in zlib's own wrapping."""

_LARGEST = 64 * 2**20
"""Bytes that a body may become."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedAnswer:
    """
    An answer without its content coding, and what is wrong with that coding.
    """

    answer: Answer | None
    """None where the coding is not to be undone."""
    coding_error: str = ""
    warning: str = ""
    """What is worth knowing and breaks nobody's contract."""


def decode_answer(answer: Answer, request: CheckRequest) -> DecodedAnswer:
    """
    What an answer's body says once its Content-Encoding is undone.
    """
    given = [each.strip().lower() for value in answer.fields("content-encoding") for each in value.split(",")]
    codings = [coding for coding in given if coding]
    if not codings:
        return DecodedAnswer(answer=answer)
    words = ", ".join(codings)
    coded = set(codings) != {"identity"}  # a word that changes nothing: RFC 9110 §8.4.1 advises against it, and no more
    coding_error = (
        f"Content-Encoding: {words}, where `identity` alone is acceptable" if coded and _plain_wanted(request) else ""
    )
    warning = (
        "" if coding_error or _acceptable(codings, request) else f"Content-Encoding: {words}, which was not acceptable"
    )
    if "identity" in codings:
        warning = warning or "Content-Encoding: identity, which is for Accept-Encoding alone"
    body: bytes | None = answer.body
    if request.method != "HEAD":
        for coding in reversed(codings):
            body = _undone(body, coding) if body is not None else None
    if body is not None:
        return DecodedAnswer(answer=replace(answer, body=body), coding_error=coding_error, warning=warning)
    if any(coding not in _WINDOWS and coding != "identity" for coding in codings):
        return DecodedAnswer(
            answer=None,
            coding_error=coding_error,
            warning=warning or f"Content-Encoding: {words}, which we cannot undo",
        )
    plain = answer if answer.body[:1] in (b"{", b"[") else None
    return DecodedAnswer(
        answer=plain, coding_error=coding_error or f"Content-Encoding: {words}, over a body that is not so coded"
    )


def _undone(body: bytes, coding: str) -> bytes | None:
    """
    A body without one coding; None where that is not what it is under, or what it becomes has no end.
    """
    if coding == "identity":
        return body
    if coding not in _WINDOWS:
        return None
    whole = b""
    while body:
        machine = zlib.decompressobj(_WINDOWS[coding])
        try:
            whole += machine.decompress(body, _LARGEST)
        except zlib.error:
            return None
        if not machine.eof or len(whole) > _LARGEST:
            return None
        # RFC 1952 §2.2: one gzip member after another is one body.
        body = machine.unused_data
        if body and coding == "deflate":
            return None
    return whole


def _plain_wanted(request: CheckRequest) -> bool:
    """
    Whether the request says in so many words that it wants no coding.
    """
    given = request.values("accept-encoding")
    wanted = {each.strip().lower() for value in given for each in value.split(",")} - {""}
    return bool(given) and wanted <= {"identity"}


def _acceptable(codings: list[str], request: CheckRequest) -> bool:
    """
    Whether the request accepts every one of the codings (RFC 9110 §12.5.3).
    """
    given = request.values("accept-encoding")
    if not given:
        return True
    weights: dict[str, float] = {}
    for each in ",".join(given).lower().split(","):
        coding, _, parameters = each.partition(";")
        weight = parameters.strip().removeprefix("q=")
        weights[coding.strip()] = float(weight) if weight.replace(".", "", 1).isdigit() else 1.0
    plain = [coding.removeprefix("x-") for coding in codings if coding != "identity"]
    return all(weights.get(coding, weights.get("*", 0.0)) > 0 for coding in plain)
