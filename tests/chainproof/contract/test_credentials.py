"""Tests that the API key appears in no output."""

from __future__ import annotations

import base64
import copy
import pickle
import random
import string
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.credentials import (
    DEFAULT_KEY_VARIABLE,
    MAX_KEY_LENGTH,
    ApiKey,
    ApiKeyError,
    leak_finder,
    load_key,
    load_key_from_environment,
)
from chainproof.contract.redaction import REDACTED

TOKEN = "".join(sorted(set(string.printable) - set(string.whitespace)))
KEYS = st.text(TOKEN, min_size=2, max_size=40).map(lambda text: f"k3y-{text}")
"""Texts that appear nowhere else. (A key such as `python` would be found in any traceback.)"""


@dataclass(frozen=True)
class Holder:
    """A class with a key as a field."""

    key: ApiKey


@given(KEYS)
def test_key_is_not_shown(text: str) -> None:
    """The key does not appear in repr, str, formats and containers."""
    key = ApiKey(text)
    shown = [repr(key), str(key), f"{key}", f"{key:>60}", f"{key!r}", "%s %r" % (key, key), ascii(key)]  # noqa: UP031  # the % operator must not show it either
    shown += [repr([key]), repr({key: key}), repr(Holder(key)), str(Holder(key).__dict__)]

    assert [] == [output for output in shown if text in output]


@given(KEYS)
def test_key_cannot_be_pickled_or_copied(text: str) -> None:
    """Pickling and copying raise TypeError, and the message does not contain the key."""
    for copy_key in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as error:
            copy_key(ApiKey(text))

        assert text not in "".join(traceback.format_exception(error.value))


@given(KEYS, st.text(), st.text())
def test_redacted_text_does_not_contain_the_key(key: str, before: str, after: str) -> None:
    """Every occurrence is replaced; an empty key replaces nothing."""
    assert key not in ApiKey(key).redact(f"{key}{before}{key}{after}").replace(REDACTED, "")
    assert ApiKey("").redact(before) == before


@given(KEYS)
def test_authorization_header_contains_the_key(text: str) -> None:
    """The header is `Api-Key abcd1234.abcd1234`; blanks around the value of the variable are ignored."""
    key = load_key({"K": f"  {text}\n"}, "K")

    assert (f"Api-Key {text}", text) == (key.authorization, key.reveal())
    assert key == ApiKey(text)
    assert hash(key) == hash(ApiKey(text))
    assert key != ApiKey(text + "x")
    assert key != text


@given(KEYS, st.sampled_from(["Api-Key {}", "api-key {}", "Bearer {}", "{} {}", "{}\n{}", "{}é", "{}\x00", "{}\x7f"]))
def test_invalid_key_is_rejected_without_showing_it(text: str, form: str) -> None:
    """The message names the variable, not its value."""
    with pytest.raises(ApiKeyError) as error:
        load_key({"MY_KEY": form.format(text, text)}, "MY_KEY")

    assert "MY_KEY" in str(error.value)
    assert text not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    ("environment", "message"), [({}, "found none"), ({"BASETEN_API_KEY": " "}, "found an empty value")]
)
def test_missing_key_is_rejected(environment: dict[str, str], message: str) -> None:
    """The message says whether the variable is unset or empty, and how to set it."""
    with pytest.raises(ApiKeyError, match=message) as error:
        load_key(environment)

    assert f"export {DEFAULT_KEY_VARIABLE}=" in str(error.value)


def test_a_key_that_is_too_long_is_rejected() -> None:
    """The parts of a longer key are not searched for; those of the longest one take little time."""
    token = "".join(random.Random(1).choices(TOKEN, k=MAX_KEY_LENGTH))
    began = time.process_time()
    found = leak_finder(token).finds(f"<p>{token[2000:2020]}</p>")

    assert found
    assert time.process_time() - began < 2
    assert token == load_key({"K": token}, "K").reveal()
    with pytest.raises(ApiKeyError, match="expected at most 4,000"):
        load_key({"K": f"{token}x"}, "K")


@pytest.mark.parametrize("key", ["zQ7vXw2K.pL9mNb4RtYc6", "abcdef0123456789", "ABCDEF0123456789", "baseten_api_key"])
def test_a_key_in_place_of_its_variable_is_not_shown(key: str) -> None:
    """The name of a variable that is not set is shown only if it looks like one."""
    with pytest.raises(ApiKeyError, match="in place of the key itself") as error:
        load_key({}, key)

    assert key not in str(error.value)
    assert load_key({key: "k"}, key).reveal() == "k"


def test_key_is_read_from_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable can have any name."""
    monkeypatch.setenv("OTHER_KEY", "abcd1234.abcd1234")

    assert ApiKey("abcd1234.abcd1234") == load_key_from_environment("OTHER_KEY")


NOTATIONS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    lambda text: text[::-1],
    lambda text: base64.b64encode(f"Api-Key {text}".encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: "".join(f"%{ord(each):02x}" for each in text),
    "-".join,
)
ORDINARY_KEY = "zQ7vXw2K.pL9mNb4RtYc6HsJd8FgWe3Au5"
DIGITS_OF_KEYS = {string.hexdigits[:16]: 12, string.hexdigits[:10]: 16}
"""Digits that ids have too, each with the characters of a part that is found."""


def keys_of(digits: str) -> st.SearchStrategy[str]:
    """Keys that consist of some digits, of both kinds if there are two."""
    return st.text(digits, min_size=32, max_size=40).map(
        lambda text: "".join(
            f"{part}1{'a' * ('a' in digits)}" for part in (text[start : start + 6] for start in range(0, len(text), 6))
        )
    )


@pytest.mark.parametrize("notation", NOTATIONS)
@given(data=st.data())
def test_every_improbable_part_of_a_key_is_found(notation: Callable[[str], str], data: st.DataObject) -> None:
    """Eight characters of an ordinary key, and more of one that consists of digits, in any notation."""
    digits = data.draw(st.sampled_from(["", *DIGITS_OF_KEYS]))
    key = data.draw(keys_of(digits)) if digits else ORDINARY_KEY
    length = DIGITS_OF_KEYS.get(digits, 8)
    start = data.draw(st.integers(0, len(key) - length))

    assert leak_finder(key).finds(f"<p>{notation(key[start : start + length])}</p>")
    assert leak_finder(key).finds(f"<p>{notation(key)}</p>")


@pytest.mark.parametrize("digits", DIGITS_OF_KEYS)
@given(data=st.data())
def test_digits_that_an_id_may_have_by_chance_are_no_leak(digits: str, data: st.DataObject) -> None:
    """Ten digits of a key, as there are in one of many ids, and any number of random ids."""
    key = data.draw(keys_of(digits))
    start = data.draw(st.integers(0, len(key) - 10))
    part = key[start : start + 10]
    rng = random.Random(data.draw(st.integers(0, 9)))
    ids = [f"{rng.getrandbits(128):032x} {rng.getrandbits(60)}" for _ in range(20)]

    assert not any(leak_finder(key).finds(text) for text in (part, part[::-1], "\n".join(ids)))
    assert part not in ApiKey(key).redact(part)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("my-production-environment-a1b2c3d4", "the production environment"),
        ("production-environment", "my production environment was found"),
        ("abcd1234.q7Zk92hL", "abcd1234"),
    ],
)
def test_words_and_short_digits_of_a_key_are_no_leak(key: str, text: str) -> None:
    """The whole key is one, whatever it consists of."""
    assert not leak_finder(key).finds(text.replace(key.replace("-", " "), ""))
    assert leak_finder(key).finds(f"{text} {key}")
