"""
A body as a run folder keeps it, where `--keep-bodies` asked for that: cut, and without the key.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from chainproof.contract.credentials import REDACTED

MAX_BYTES = 64 << 10
"""What is kept of a body; the rest is cut off."""

_LONGEST_CHARACTER = 4
"""Bytes of one character in UTF-8."""


class StoredBodyData(TypedDict):
    """
    A body in JSON: as text where it is UTF-8, else as base64.
    """

    text: NotRequired[str]
    base64: NotRequired[str]
    size_bytes: int
    truncated: NotRequired[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBody:
    """
    The beginning of a body, the key in it replaced.
    """

    octets: bytes
    size: int
    """Bytes of the whole body, as it was on the wire."""
    truncated: bool = False
    """Whether the rest was left out."""

    @property
    def text(self) -> str | None:
        """The body as text; None where it is no UTF-8."""
        try:
            return self.octets.decode("utf-8")
        except UnicodeDecodeError:
            return None

    def to_json(self) -> StoredBodyData:
        """The body as JSON types."""
        data: StoredBodyData = {"size_bytes": self.size}
        text = self.text
        if text is not None:
            data["text"] = text
        else:
            data["base64"] = base64.b64encode(self.octets).decode("ascii")
        if self.truncated:
            data["truncated"] = True
        return data

    @classmethod
    def from_json(cls, data: StoredBodyData) -> StoredBody:
        """The body that `to_json` wrote. Raises KeyError, TypeError, AttributeError or ValueError on anything else."""
        octets = data["text"].encode("utf-8") if "text" in data else base64.b64decode(data["base64"], validate=True)
        return cls(octets=octets, size=int(data["size_bytes"]), truncated=bool(data.get("truncated", False)))


def stored_body(octets: bytes, secrets: Iterable[str] = (), most: int = MAX_BYTES) -> StoredBody:
    """
    What is kept of a body: every one of the *secrets* replaced, however JSON spells it, then at most *most* bytes.

    A character is not cut in two, so that a text stays one.
    """
    redacted = octets
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for spelling in dict.fromkeys((json.dumps(secret)[1:-1], secret)):  # the longer first: it may hold the other
            redacted = redacted.replace(spelling.encode(), REDACTED.encode())
    kept = redacted[:most]
    if len(redacted) > most:
        kept = _whole_characters(kept)
    return StoredBody(octets=kept, size=len(octets), truncated=len(redacted) > most)


def _whole_characters(octets: bytes) -> bytes:
    """
    The bytes without the beginning of a character at their end, where that makes them UTF-8.
    """
    for end in range(len(octets), max(len(octets) - _LONGEST_CHARACTER, -1), -1):
        try:
            octets[:end].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return octets[:end]
    return octets
