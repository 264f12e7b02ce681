"""Whether the files of a run folder are still what the run wrote: the number of lines and a SHA-256 digest of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict


class FileDigestData(TypedDict):
    """The digest of one file, in `end.json`."""

    lines: int
    sha256: str


@dataclass(slots=True)
class FileDigest:
    """The digest of a file that is written or read line by line."""

    lines: int = 0
    _sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, content: bytes) -> None:
        """Add the next lines, with their line ends."""
        self.lines += content.count(b"\n")
        self._sha256.update(content)

    def to_json(self) -> FileDigestData:
        """The digest as JSON types."""
        return {"lines": self.lines, "sha256": self._sha256.hexdigest()}


def damage_text(damage: Mapping[str, str]) -> str:
    """One sentence about damaged files, each with what is wrong with it."""
    files = "; ".join(f"{name}: {what}" for name, what in damage.items())
    return f"The run folder is not as the run wrote it ({files})."


def damage(written: Mapping[str, FileDigestData], found: Mapping[str, FileDigestData]) -> dict[str, str]:
    """
    What is wrong with each damaged file, by its name: with the digests when the run ended and those of the files *found*.

    >>> damage({"findings.jsonl": {"lines": 3, "sha256": "a"}}, {"findings.jsonl": {"lines": 1, "sha256": "b"}})
    {'findings.jsonl': '1 line of 3 found'}
    >>> damage({"findings.jsonl": {"lines": 3, "sha256": "a"}}, {})
    {'findings.jsonl': 'the file is missing'}
    """
    wrong: dict[str, str] = {}
    for name, digest in written.items():
        actual = found.get(name)
        if actual is None:
            wrong[name] = "the file is missing"
        elif actual["lines"] != digest["lines"]:
            wrong[name] = f"{actual['lines']} line{'s' * (actual['lines'] != 1)} of {digest['lines']} found"
        elif actual["sha256"] != digest["sha256"]:
            wrong[name] = "its content was changed after the run"
    wrong |= dict.fromkeys(found.keys() - written.keys(), "the run did not write this file")
    return wrong
