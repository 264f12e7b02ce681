"""
Small chains, each with one kind of fault that real code has if `IS_FAULTY`, and correct otherwise.

The classes are read by `--input-schema`. They share no code with chainproof.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Base64Bytes, BaseModel, Field

Text = Annotated[str, Field(max_length=200)]


def digest(*values: object) -> str:
    """A word that depends on all values."""
    return hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).hexdigest()[:8]


class Chain:
    """A chain with the state of all its requests."""

    IS_FAULTY: ClassVar[bool] = True
    CHECK: ClassVar[str]
    """The name of the check that finds the fault, or a part of it."""
    CLAUSE: ClassVar[str]

    def __init__(self) -> None:
        self.stored: dict[Any, Any] = {}
        self.listed: list[Any] = []


class FalseForAbsent(Chain):
    """`verbose = verbose or True`."""

    CHECK, CLAUSE = "values_at_their_bounds", "echo-exact"

    def run_remote(self, text: Text, verbose: bool = True, limit: int = 3) -> dict[str, Any]:
        return {"word": digest(text, limit), "verbose": (verbose or True) if self.IS_FAULTY else verbose}


class FileCutOff(Chain):
    """A file is returned without its end if it does not fit into a buffer."""

    CHECK, CLAUSE = "values_at_their_bounds", "echo-exact"

    def run_remote(self, image: Base64Bytes, turns: int = 0) -> dict[str, Any]:
        content = base64.b64encode(image).decode()
        return {"image": content[:65_536] if self.IS_FAULTY else content, "turns": digest(turns)}


class FileInOtherAlphabet(Chain):
    """A file is returned in the alphabet of base64 for URLs, if no other argument changes it."""

    CHECK, CLAUSE = "values_at_their_bounds", "echo-exact"

    def run_remote(self, image: Base64Bytes, operation: Literal["turn", "cut"] | None = None) -> dict[str, Any]:
        encode = base64.urlsafe_b64encode if self.IS_FAULTY else base64.b64encode
        return {"image": encode(image).decode() if operation is None else digest(image, operation)}


class GrowingDefault(Chain):
    """A mutable default value grows."""

    CHECK, CLAUSE = "arguments_of_one_request", "request-isolation"

    def run_remote(self, text: Text, steps: list[int] | None = None) -> dict[str, Any]:
        used = list(steps) if steps is not None else self.listed if self.IS_FAULTY else []
        used.append(1)
        return {"word": digest(text), "steps": list(used)}


class ChangedInPlace(Chain):
    """What is stored for a text is changed by requests that want it rounded."""

    CHECK, CLAUSE = "equal_inputs_get_equal", "request-isolation"

    def run_remote(self, text: Text, is_rounded: bool = True) -> dict[str, Any]:
        vector = [int(digest(text, number), 16) / 2**32 for number in range(3)]
        if self.IS_FAULTY:
            vector = self.stored.setdefault(text, vector)
        if is_rounded:
            vector[:] = [round(each, 1) for each in vector]
        return {"vector": list(vector)}


class SticksBesideAnother(Chain):
    """A colour sticks, and has an effect only if there are operations."""

    CHECK, CLAUSE = "arguments_of_one_request", "request-isolation"

    def run_remote(
        self,
        text: Text,
        operations: list[Literal["turn", "cut"]] | None = None,
        colour: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")] | None = None,
    ) -> dict[str, Any]:
        if self.IS_FAULTY:
            colour = self.stored["colour"] = colour if colour is not None else self.stored.get("colour")
        return {"word": digest(text), "applied": [f"{each} {colour}" for each in operations or []]}


class Message(BaseModel):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: Text


class SystemTextSticks(Chain):
    """The text of a system message stays for requests without one."""

    CHECK, CLAUSE = "arguments_of_one_request", "request-isolation"

    def run_remote(self, messages: Annotated[list[Message], Field(min_length=1)], count: int = 2) -> dict[str, Any]:
        system = [each.content for each in messages if each.role == "system"]
        if self.IS_FAULTY:
            self.listed[:] = system or self.listed
            system = list(self.listed)
        others = [each.content for each in messages if each.role != "system"]
        return {"reply": digest(system[-1:], others), "count": count}


class Named(Message):
    """A message with a name, which comes after the text."""

    name: str = ""


class CachedByLastText(Chain):
    """A cache knows a chat by its last message."""

    CHECK, CLAUSE = "answers_depend_on_the_whole", "answer-matches-request"

    def run_remote(self, messages: Annotated[list[Named], Field(min_length=1)], count: int = 2) -> dict[str, Any]:
        output = {"reply": digest(messages), "count": count}
        return self.stored.setdefault(messages[-1].content, output) if self.IS_FAULTY else output


class CachedByBeginning(Chain):
    """A cache knows a text by its first 100 characters; each word of the output depends on one of the input."""

    CHECK, CLAUSE = "answers_depend_on_the_whole", "answer-matches-request"

    def run_remote(self, text: str, language: Literal["de", "fr"] = "de") -> dict[str, Any]:
        output = {"text": " ".join(digest(word, language) for word in text.split()), "size": len(text)}
        return self.stored.setdefault((text[:100], language), output) if self.IS_FAULTY else output


class CachedWithoutYear(Chain):
    """A cache knows a date by its month and day."""

    CHECK, CLAUSE = "answers_depend_on_the_whole", "answer-matches-request"

    def run_remote(self, text: Text, day: dt.date) -> dict[str, Any]:
        output = {"word": digest(text), "weekday": day.isoweekday(), "year": day.year}
        return self.stored.setdefault((text, day.month, day.day), output) if self.IS_FAULTY else output


class SortedByLength(Chain):
    """More than eight texts are sorted by their length, and the results are not brought back into order."""

    CHECK, CLAUSE = "large_inputs", "answer-matches-request"

    def run_remote(self, texts: Annotated[list[Text], Field(min_length=1)]) -> dict[str, Any]:
        ordered = sorted(texts, key=len) if self.IS_FAULTY and len(texts) > 8 else texts
        return {"vectors": [[int(digest(text), 16)] for text in ordered]}


class NumbersBeginAgain(Chain):
    """The numbers of results begin again with each batch."""

    CHECK, CLAUSE = "large_inputs", "answer-matches-request"

    def run_remote(self, texts: Annotated[list[Text], Field(min_length=1)]) -> dict[str, Any]:
        size = 32 if self.IS_FAULTY else len(texts)
        return {"results": [{"index": number % size, "word": digest(text)} for number, text in enumerate(texts)]}


class EqualTextsHaveOneNumber(Chain):
    """The number of a result is looked up by its text."""

    CHECK, CLAUSE = "large_inputs", "answer-matches-request"

    def run_remote(self, texts: Annotated[list[Text], Field(min_length=1)]) -> dict[str, Any]:
        numbers = [texts.index(text) for text in texts] if self.IS_FAULTY else range(len(texts))
        return {"results": [{"index": number, "word": digest(texts[number])} for number in numbers]}


class NamesAsPatterns(Chain):
    """The names of a glossary are used as patterns."""

    CHECK, CLAUSE = "values_at_their_bounds", "status"

    def run_remote(self, text: Text, glossary: dict[str, str] | None = None) -> dict[str, Any]:
        for name in glossary or {}:
            re.compile(name if self.IS_FAULTY else re.escape(name))
        return {"word": digest(text)}


class QuotedIfEqual(Chain):
    """A text that needs no translation is returned with its quotation marks written as for SQL."""

    CHECK, CLAUSE = "values_at_their_bounds", "echo-exact"

    def run_remote(self, text: Text, target: Literal["de", "fr"], source: Literal["de", "fr"] = "de") -> dict[str, Any]:
        same = text.replace("'", "''") if self.IS_FAULTY else text
        return {"text": same if source == target else digest(text, source, target)}


class LineBreaksEscapedTwice(Chain):
    """A note is written with JSON's escapes of line breaks, as text."""

    CHECK, CLAUSE = "values_at_their_bounds", "echo-exact"

    def run_remote(self, note: Text) -> dict[str, Any]:
        return {"note": note.replace("\n", "\\n").replace("\t", "\\t") if self.IS_FAULTY else note}


class BooleansAsNumbers(Chain):
    """Cells that are true or false become 1 or 0."""

    CHECK, CLAUSE = "values_at_their_bounds", "echo-exact"

    def run_remote(self, cell: str | float | bool | None, count: int = 3) -> dict[str, Any]:
        returned = int(cell) if self.IS_FAULTY and isinstance(cell, bool) else cell
        return {"cell": returned, "word": digest(count)}


class TextsOfCellsCut(Chain):
    """Texts in cells that may have any type end at the first NUL."""

    CHECK, CLAUSE = "values_at_their_bounds", "echo-exact"

    def run_remote(self, cell: float | str | None, count: int = 3) -> dict[str, Any]:
        is_cut = self.IS_FAULTY and isinstance(cell, str)
        return {"cell": str(cell).partition("\0")[0] if is_cut else cell, "word": digest(count)}


class DecodedInPieces(Chain):
    """Long texts are decoded in pieces of 500 bytes."""

    CHECK, CLAUSE = "values_at_their_bounds", "echo-exact"

    def run_remote(self, text: str, count: int = 3) -> dict[str, Any]:
        content, size = text.encode("utf-8", "replace"), 500 if self.IS_FAULTY else 10**9
        pieces = [content[start : start + size].decode("utf-8", "replace") for start in range(0, len(content), size)]
        return {"text": "".join(pieces), "word": digest(count)}


CHAINS: dict[str, type[Chain]] = {chain.__name__: chain for chain in Chain.__subclasses__()}
