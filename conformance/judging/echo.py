"""Judges whether an echo chain returned the object that this request sent, an altered one, or another request's."""

from __future__ import annotations

import re
from collections import OrderedDict
from hashlib import sha256
from threading import Lock

import orjson

from chainproof.contract import clauses
from chainproof.contract.violations import Violation
from chainproof.stored_text import beginning

from .json_equality import first_difference

_TOKEN = re.compile(rb"(?<![0-9A-Za-z.+])(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{16}(?![0-9A-Za-z.+-])")
"""A token that only one of our requests has: 64 random bits, `f"{rng.getrandbits(64):016x}"`."""

_MAX_REMEMBERED = 5_000
"""How many of the latest bodies and tokens are remembered."""

_MAX_BODY = 8_192
"""Bytes of a body that are searched for tokens. Of longer bodies only a digest is remembered."""

_EMPTY = b"{}"

_MAX_SEARCHED = 2**20
"""Bytes of an answer that are searched for tokens, and of a body of which a digest is remembered."""


class RecentBodies:
    """The bodies of the latest requests, and the tokens in them. Any thread may add to them."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[bytes, None] = OrderedDict()
        self._tokens: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Lock()

    def add(self, body: bytes | None) -> None:
        """Remember the body of one more request."""
        if body is None:
            return
        normalized = _normalized(body) if len(body) <= _MAX_SEARCHED else None
        bodies = [_shortened(normalized)] if normalized else []
        body = body[:_MAX_BODY]
        with self._lock:
            for memory, entries in ((self._bodies, bodies), (self._tokens, _TOKEN.findall(body))):
                memory.update(dict.fromkeys(entries))
                while len(memory) > _MAX_REMEMBERED:
                    memory.popitem(last=False)

    def is_from_another_request(self, body: bytes, received: bytes) -> bool:
        """
        True if *received*, the answer to *body*, is another request's body or contains a token of one.

        A short answer without tokens counts only if *body* has one: without tokens two short bodies may be equal by chance. In
        place of a large body the empty object does not count: a gateway that loses a body passes it on.
        """
        received = received[:_MAX_SEARCHED]
        sent, returned, normalized = set(_TOKEN.findall(body)), _TOKEN.findall(received), _normalized(received)
        with self._lock:
            if any(token in self._tokens for token in returned if token not in sent):
                return True
            if normalized is None or _shortened(normalized) not in self._bodies:
                return False
        if normalized == _EMPTY and len(body) > _MAX_BODY:
            return False
        # A long answer that is shorter may be the cut body, which the size search has sent as well.
        return (bool(sent) and not returned) or len(normalized) > max(_MAX_BODY, len(_normalized(body) or b"") - 1)


def _shortened(normalized: bytes) -> bytes:
    """A short body as it is, and the digest of a long one."""
    return normalized if len(normalized) <= _MAX_BODY else sha256(normalized).digest()


def _normalized(body: bytes) -> bytes | None:
    """A JSON text in the one form that all equal texts have; None if it cannot be parsed."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, TypeError):
        return None


def echo_violation(sent: bytes, received: bytes, recent: RecentBodies) -> Violation | None:
    """The violation of an echo chain that does not return the object that it was sent, or None."""
    difference = first_difference(sent, received)
    if difference is None:
        return None
    if recent.is_from_another_request(sent, received):
        return Violation(
            clause=clauses.ANSWER_MATCHES_REQUEST,
            expected="the object that was sent",
            actual=f"another request's object: {beginning(received, 60)}",
        )
    return Violation(
        clause=clauses.ECHO_EXACT,
        expected="the object that was sent",
        actual=f"{difference.kind}: {difference.values} at {difference.pointer or 'the top level'}",
    )
