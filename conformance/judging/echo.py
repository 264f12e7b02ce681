"""
What an echo chain gives back, held against what it was sent: by this request, or by another one.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from threading import Lock

import orjson

from chainproof.contract import clauses
from chainproof.contract.violations import Violation

from .json_equality import first_difference

_TOKEN = re.compile(rb"(?<![0-9A-Za-z.+])(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{16}(?![0-9A-Za-z.+-])")
"""What no two of our requests have by chance: 64 random bits, `f"{chance.getrandbits(64):016x}"`."""

_REMEMBERED = 5_000
"""How many of the latest requests may turn up in the answers of others."""

_SMALL = 8_192
"""Bytes of a body beyond which it is remembered by the tokens in so much of it alone."""


class RecentBodies:
    """
    What the latest requests have sent. Any thread may write.
    """

    def __init__(self) -> None:
        self._bodies: OrderedDict[bytes, None] = OrderedDict()
        self._tokens: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Lock()

    def add(self, body: bytes | None) -> None:
        """
        Remember what one more request has sent.
        """
        if body is None:
            return
        plainly, body = _plainly(body) if len(body) <= _SMALL else None, body[:_SMALL]
        with self._lock:
            for memory, entries in ((self._bodies, [plainly] if plainly else []), (self._tokens, _TOKEN.findall(body))):
                memory.update(dict.fromkeys(entries))
                while len(memory) > _REMEMBERED:
                    memory.popitem(last=False)

    def is_from_another_request(self, body: bytes, got: bytes) -> bool:
        """
        Whether what has come back for *body* is another request's, or has something of one.

        Two objects without a token may be alike by chance, or by what the chain made of one of them.
        """
        own, theirs, plainly = set(_TOKEN.findall(body)), _TOKEN.findall(got), _plainly(got)
        with self._lock:
            if any(token in self._tokens for token in theirs if token not in own):
                return True
            return bool(own) and not theirs and plainly is not None and plainly in self._bodies


def _plainly(body: bytes) -> bytes | None:
    """
    A JSON text as any other that says the same is written; None where it is none that can be.
    """
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, TypeError):
        return None


def echo_violation(sent: bytes, got: bytes, recent: RecentBodies) -> Violation | None:
    """
    The violation of an echo chain that returns something else than the object it was sent; None where it returns that.
    """
    found = first_difference(sent, got)
    if found is None:
        return None
    if recent.is_from_another_request(sent, got):
        return Violation(
            clause=clauses.ANSWER_MATCHES_REQUEST,
            expected="the object that was sent",
            actual=f"one that another request sent: {_excerpt(got)}",
        )
    return Violation(
        clause=clauses.ECHO_EXACT,
        expected="the object that was sent",
        actual=f"{found.kind}: {found.values} at {found.pointer or 'the top'}",
    )


def _excerpt(body: bytes, limit: int = 60) -> str:
    """
    As much of a body as a line can carry.
    """
    text = body.decode("utf-8", "replace")
    return text if len(text) <= limit else text[: limit - 1] + "…"
