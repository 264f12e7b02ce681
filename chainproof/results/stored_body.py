"""A body as stored in a run folder with `--keep-bodies`: cut, and without the key."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from chainproof.contract.redaction import redactor

MAX_BYTES = 64 << 10
"""Bytes of a body that are stored; the rest is cut off."""

_MAX_CHARACTER_BYTES = 4
"""Longest character in UTF-8."""


class StoredBodyData(TypedDict):
    """A body in JSON: text if it is UTF-8, else base64."""

    text: NotRequired[str]
    base64: NotRequired[str]
    size_bytes: int
    truncated: NotRequired[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBody:
    """The start of a body, with the key replaced."""

    octets: bytes
    size: int
    """Bytes of the complete body on the wire."""
    truncated: bool = False
    """Whether the rest was left out."""

    @property
    def text(self) -> str | None:
        """The body as text; None if it is not UTF-8."""
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


def stored_body(octets: bytes, secrets: Iterable[str] = (), max_bytes: int = MAX_BYTES) -> StoredBody:
    """
    A body without the *secrets*, in any common encoding, cut to *max_bytes* bytes.

    It is not cut within a character, so that text stays text.
    """
    known = tuple(filter(None, secrets))
    longest = max(map(len, known), default=0)
    # What comes behind is cut off anyway. A character of a secret may be escaped in six.
    redacted = redactor(known).redact_bytes(octets[: max_bytes + 6 * longest])
    truncated = len(redacted) > max_bytes or len(octets) > max_bytes + 6 * longest
    start = _without_partial_character(redacted[:max_bytes]) if truncated else redacted
    return StoredBody(octets=start, size=len(octets), truncated=truncated)


def _without_partial_character(octets: bytes) -> bytes:
    """The bytes without an incomplete UTF-8 character at their end."""
    for end in range(len(octets), max(len(octets) - _MAX_CHARACTER_BYTES, -1), -1):
        try:
            octets[:end].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return octets[:end]
    return octets
