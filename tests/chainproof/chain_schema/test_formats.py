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


def _decoded(text: str) -> bytes:
    """What a strict decoder reads; nothing if it rejects the text."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
