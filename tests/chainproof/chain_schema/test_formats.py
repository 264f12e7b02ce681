"""Tests of the formats that JSON Schema does not define."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from random import Random

import jsonschema_rs
import pytest

from chainproof.chain_schema.formats import TEXTS_OF_FORMATS
from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.chain_schema.strings import FORMATS


def is_defined(name: str) -> bool:
    """True if the validator knows a format."""
    try:
        jsonschema_rs.validator_for({"format": name}, validate_formats=True, ignore_unknown_formats=False)
    except jsonschema_rs.ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_generated_format_is_checked(name: str) -> None:
    """What is generated for a format is accepted, and texts that no reader of the format accepts are not."""
    source = Random(1)
    if is_defined(name):
        return
    is_accepted = TEXTS_OF_FORMATS[name]
    assert all(is_accepted(FORMATS[name](source)) for _ in range(200))
    assert not any(map(is_accepted, ("\0 x ~ é", "-_+/é", " ", "x" * 301 + "é")))


@pytest.mark.parametrize("form", [{"format": "base64"}, {"format": "byte"}, {"contentEncoding": "base64"}], ids=str)
def test_only_base64_is_valid_where_a_schema_names_it(form: dict[str, str], tmp_path: Path) -> None:
    """An input has the text that a strict decoder reads; an output may be any text, as JSON Schema says."""
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"properties": {"image": {"type": "string", **form}}}))
    texts = ["", "AA==", "+/Aa", "d", "AA", "漢", "A A=", "-_-_"]
    readable = [text for text in texts if text in ("", base64.b64encode(_decoded(text)).decode())]
    assert readable == [text for text in texts if load_input_schema(str(path)).accepts({"image": text})]
    assert all(load_output_schema(str(path)).accepts({"image": text}) for text in texts if text.isascii())


_TEXTS = {
    "uuid": (["974c6ea4-e3a8-49ac-829f-6fbed82c07cd"], ["", "974c6ea4e3a849ac829f6fbed82c07cd"]),
    "duration": (["P1DT2H"], ["1 day"]),
    "date-time": (
        ["2024-02-29T23:59:59.123456Z", "2024-02-29T23:59:59+05:30"],
        ["2024-02-29t23:59:59z", "2023-02-29T23:59:59Z", f"2024-02-29T23:59:59.{'1' * 30}Z"],
    ),
    "time": (["23:59:59Z"], ["23:59:59z", "24:00:00Z"]),
}
"""Texts that every reader of a format accepts, and others."""


@pytest.mark.parametrize("draft", ["draft-04/schema#", "draft-07/schema#", None])
@pytest.mark.parametrize("name", _TEXTS)
def test_formats_are_checked_in_every_draft(name: str, draft: str | None, tmp_path: Path) -> None:
    """Older drafts do not define all of them, and RFC 3339 permits times that many readers reject."""
    path = tmp_path / "schema.json"
    document = {"type": "object", "properties": {"text": {"type": "string", "format": name}}}
    path.write_text(
        json.dumps(document if draft is None else {"$schema": f"http://json-schema.org/{draft}", **document})
    )
    schema, (valid, invalid) = load_input_schema(str(path)), _TEXTS[name]

    assert valid == [text for text in (*valid, *invalid) if schema.accepts({"text": text})]


def _decoded(text: str) -> bytes:
    """What a strict decoder reads; nothing if it rejects the text."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
