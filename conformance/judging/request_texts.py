"""
Finds texts of other requests in answers, of any chain.

A text is known by its beginning, if that has so many different characters that two requests hardly have it by chance.
Whether the target took it from another request is confirmed with further requests (`probing.leak_confirmation`).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

import orjson

from chainproof.contract.answer import Answer
from chainproof.json_text import JSON, values_in

from ..transport.request import CheckRequest

_LENGTH = 12
"""Characters of a text by which it is known."""
_MIN_DIFFERENT = 6
"""Different characters among them."""
_MAX_TEXTS = 5_000
"""How many of the latest texts are remembered."""
_MAX_REQUEST = 8_192
"""Bytes of a body above which its texts are not remembered."""
_MAX_PARSED = 2**20
"""Bytes of an answer above which it is searched as it is, without resolving escapes."""
_SEARCHED = 2**16
"""Characters at the beginning and at the end of an answer that are searched."""
_MAX_SUSPECTED = 4
"""Texts that wait for confirmation. One defect shows many times."""
_MAX_CLEARED = 40
"""Texts that were not confirmed, above which no more are suspected: each costs a few requests."""

_QUOTED = re.compile(rb'"([^"\\]{%d,})' % _LENGTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectedLeak:
    """An answer with a text that only another request had."""

    text: str
    """The beginning of the text, in lower case."""
    owner: CheckRequest
    """The latest request that had the text."""
    request: CheckRequest
    answer: Answer
    check: str
    """The check that sent the request."""


class RequestTexts:
    """The texts of the latest requests. Any thread may use it."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, CheckRequest] = OrderedDict()
        self._suspected: dict[str, SuspectedLeak] = {}
        self._cleared: set[str] = set()
        self._is_confirmed = False
        self._lock = Lock()

    def add(self, request: CheckRequest) -> None:
        """Remember the texts of a request that is about to be sent."""
        if request.raw is not None or not request.body or len(request.body) > _MAX_REQUEST:
            return
        found = text_keys(request.body)
        with self._lock:
            for key in found:
                self._owners[key] = request
                self._owners.move_to_end(key)
            while len(self._owners) > _MAX_TEXTS:
                self._owners.popitem(last=False)

    def observe(self, request: CheckRequest, answer: Answer, check: str) -> None:
        """Suspect an answer that has a text of another request."""
        if request.raw is not None or self._is_confirmed or len(self._suspected) >= _MAX_SUSPECTED:
            return
        found = {key for key in _windows(answer) if key in self._owners and key not in self._cleared}
        if not found:
            return
        own = sent_text(request)
        with self._lock:
            for key in found:
                if key not in own and key in self._owners and len(self._cleared) < _MAX_CLEARED:
                    self._suspected[key] = SuspectedLeak(
                        text=key, owner=self._owners[key], request=request, answer=answer, check=check
                    )

    def take_suspected(self) -> list[SuspectedLeak]:
        """The answers that were suspected since the last call. Their texts are not suspected again."""
        with self._lock:
            found, self._suspected = self._suspected, {}
            self._cleared.update(found)
        return list(found.values())

    def confirm(self) -> None:
        """Suspect no more: a leak has been confirmed, and all of a run are one finding."""
        self._is_confirmed = True


def is_key(text: str) -> bool:
    """
    Whether a text is known by its beginning.

    >>> is_key("3f9a0c17be42"), is_key("aaaaaaaaaaaa"), is_key("Ada")
    (True, False, False)
    """
    return len(text) >= _LENGTH and len(set(text[:_LENGTH])) >= _MIN_DIFFERENT


def text_keys(body: bytes) -> set[str]:
    """The beginnings of the texts in a body, in lower case. A body that is not JSON may have texts too."""
    try:
        texts = json_texts(orjson.loads(body))
    except orjson.JSONDecodeError:
        texts = (each.decode("utf-8", "replace") for each in _QUOTED.findall(body))
    return {text.lower()[:_LENGTH] for text in texts if is_key(text.lower())}


def json_texts(value: JSON) -> Iterator[str]:
    """All strings in a JSON value, except the names of members."""
    return (part for part in values_in(value) if isinstance(part, str))


def answer_text(answer: Answer) -> str:
    """The values of an answer's header fields and the strings of its body, in lower case; of a long body, both ends."""
    body, value = answer.body, None
    if len(body) > _MAX_PARSED:  # copies of a long text would take much memory
        body = body[: 4 * _SEARCHED] + b"\n" + body[-4 * _SEARCHED :]  # a character has 4 bytes at most
    else:
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(body)
    fields = "\n".join(content for _, content in answer.headers)
    text = "\n".join(json_texts(value)) if value is not None else body.decode("utf-8", "replace")
    return f"{fields}\n{text}".lower()


def sent_text(request: CheckRequest) -> str:
    """Everything in a request, as it is and without escapes, in lower case."""
    body = request.body or b""
    try:
        texts = "\n".join(json_texts(orjson.loads(body)))
    except orjson.JSONDecodeError:
        texts = ""
    fields = "\n".join(content for _, content in request.fields)
    return "\n".join((request.path, fields, body.decode("utf-8", "replace"), texts)).lower()


def _windows(answer: Answer) -> Iterator[str]:
    """Every part of an answer that may be the beginning of a text."""
    text = answer_text(answer)
    if len(text) > 2 * _SEARCHED:
        text = f"{text[:_SEARCHED]}\n{text[-_SEARCHED:]}"
    return (text[start : start + _LENGTH] for start in range(len(text) - _LENGTH + 1))
