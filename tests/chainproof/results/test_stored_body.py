"""Stored bodies: text, base64, limits and secrets."""

from __future__ import annotations

import json
import string

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainproof.contract.redaction import REDACTED
from chainproof.results.stored_body import MAX_BYTES, StoredBody, stored_body

KEYS = st.text(string.ascii_letters + string.digits + '."\\/', min_size=8, max_size=20)


@given(st.binary(max_size=80), st.text(max_size=40), st.integers(0, 100))
def test_a_body_is_read_as_it_was_stored(octets: bytes, text: str, max_bytes: int) -> None:
    """Text as text, everything else as base64; a cut body says so."""
    for body in (octets, text.encode()):
        stored = stored_body(body, max_bytes=max_bytes)

        assert stored == StoredBody.from_json(orjson.loads(orjson.dumps(stored.to_json())))
        assert body.startswith(stored.octets)
        assert len(stored.octets) <= max_bytes
        assert (len(body), len(body) > max_bytes) == (stored.size, stored.truncated)
        if not stored.truncated:
            assert body == stored.octets


@given(st.text(min_size=1, max_size=40), st.integers(0, 100))
def test_a_cut_text_stays_text(text: str, max_bytes: int) -> None:
    """It is not cut within a character: at most three bytes fewer than allowed are stored."""
    stored = stored_body(text.encode(), max_bytes=max_bytes)

    assert stored.text is not None
    assert text.startswith(stored.text)
    assert min(len(text.encode()), max_bytes) - len(stored.octets) <= 3


@given(KEYS, st.binary(max_size=30), st.integers(0, 60))
@example("/0000000", b"", 0)
def test_a_key_is_never_stored(key: str, around: bytes, max_bytes: int) -> None:
    """Neither the key nor a part of it at the cut, plain or escaped by JSON."""
    for notation in (key.encode(), json.dumps(key)[1:-1].encode()):
        filler = around.replace(notation, b"").replace(key.encode(), b"")
        full = stored_body(filler + b"<" + notation + b">", [key])
        truncated = stored_body(b"x" * max_bytes + notation, [key], max_bytes=max_bytes + 4)

        assert notation not in full.octets
        assert REDACTED.encode() in full.octets
        begins, cut = truncated.octets[:max_bytes], truncated.octets[max_bytes:]
        assert b"x" * max_bytes == begins
        mark = cut.lstrip(b'"./\\')  # what separates parts of a key may be left before them
        assert REDACTED.encode()[: len(mark)] == mark
        assert 4 == len(cut)


def test_the_default_limit_is_64_kib() -> None:
    """As the documentation says."""
    assert MAX_BYTES == 65536 == len(stored_body(b"x" * 70000).octets)


@pytest.mark.parametrize("data", [{}, {"text": 1, "size_bytes": 1}, {"base64": "no!", "size_bytes": 1}, {"text": "a"}])
def test_an_invalid_body_is_rejected(data: dict[str, object]) -> None:
    """An edited line is an unreadable line, not an error in chainproof."""
    with pytest.raises((KeyError, TypeError, AttributeError, ValueError)):
        StoredBody.from_json(data)  # type: ignore[typeddict-item]
