"""Credentials are found in an answer in every encoding that is also removed, and ordinary words are no credentials."""

from __future__ import annotations

import base64

import pytest

from chainproof.conformance.judging.credential_leaks import encodings, has_secret, leak_locations, redact_values
from chainproof.contract.answer import Answer

KEY = "zQ7vXw2K.pL9mNb4RtYc6HsJd8FgWe3Au5"
ENCODED = {
    "half": KEY[17:],
    "half in reverse": KEY[:16][::-1],
    "percent-encoded": "".join(f"%{each:02x}" for each in KEY.encode()),
    "JSON": "".join(f"\\u{each:04x}" for each in KEY.encode()),
    "HTML": "".join(f"&#{each};" for each in KEY.encode()),
    "a dump": " ".join(f"{each:02X}" for each in KEY.encode()),
    "base64 of a half": base64.b64encode(b"..." + KEY[9:].encode()).decode(),
    "UTF-16": KEY.encode("utf-16-le").decode("latin-1"),
}


def answer(body: str, *fields: tuple[str, str]) -> Answer:
    """An answer."""
    return Answer(status=200, headers=(("Content-Type", "text/plain"), *fields), body=body.encode("latin-1"))


@pytest.mark.parametrize("name", ENCODED)
def test_a_part_of_the_key_is_found_in_every_encoding(name: str) -> None:
    """In the body, and in a header field, unless the request had it."""
    text = ENCODED[name]

    assert ["the body"] == leak_locations(answer(text), [KEY], b"{}")
    assert ["X-Any"] == leak_locations(answer("{}", ("X-Other", "a"), ("X-Any", text)), [KEY], b"{}")
    assert [] == leak_locations(answer(text), [KEY], text.encode("latin-1"))


@pytest.mark.parametrize("text", [*ENCODED.values(), *encodings(KEY)], ids=str)
def test_an_answer_with_a_part_of_the_key_is_never_seen_as_clean(text: str) -> None:
    """The search of the whole answer finds whatever the searches of its parts would find."""
    assert has_secret(answer(text), [KEY])
    assert has_secret(answer("{}", ("X-Any", text), ("X-Other", "a")), [KEY])
    assert not has_secret(answer("{}", ("X-Any", "a")), [KEY])


def test_words_of_a_key_are_no_leak() -> None:
    """A key may have words that appear in other texts."""
    assert [] == leak_locations(answer("the production environment"), ["my-production-environment-a1b2c3d4"], b"")


def test_values_of_fields_stay_apart() -> None:
    """Also if one of them ends with a part of the key that the next one continues."""
    assert [KEY[:5], KEY[5:9], "[-]"] == redact_values([KEY[:5], KEY[5:9], KEY], [KEY], "[-]")
