"""
The key's text appears in no output.
"""

from __future__ import annotations

import copy
import pickle
import string
import traceback
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.credentials import (
    DEFAULT_KEY_VARIABLE,
    REDACTED,
    ApiKey,
    ApiKeyError,
    load_key,
    load_key_from_environment,
)

TOKEN = "".join(sorted(set(string.printable) - set(string.whitespace)))
KEYS = st.text(TOKEN, min_size=2, max_size=40).map(lambda text: f"k3y-{text}")
"""Texts that nothing else contains: a key such as `python` would be found in any traceback."""


@dataclass(frozen=True)
class Holder:
    """
    Whatever has a key among its fields.
    """

    key: ApiKey


@given(KEYS)
def test_no_way_of_showing_a_key_shows_it(text: str) -> None:
    """
    repr, str, every format, containers and comparisons that fail.
    """
    key = ApiKey(text)
    shown = [repr(key), str(key), f"{key}", f"{key:>60}", f"{key!r}", "%s %r" % (key, key), ascii(key)]  # noqa: UP031  # the old way, too
    shown += [repr([key]), repr({key: key}), repr(Holder(key)), str(Holder(key).__dict__)]

    assert [] == [where for where in shown if text in where]


@given(KEYS)
def test_a_key_leaves_this_process_by_no_copy(text: str) -> None:
    """
    It is neither pickled nor copied, and the refusal does not say it.
    """
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as refused:
            leave(ApiKey(text))

        assert text not in "".join(traceback.format_exception(refused.value))


@given(KEYS, st.text(), st.text())
def test_a_scrubbed_text_is_without_the_key(key: str, before: str, after: str) -> None:
    """
    Every occurrence is replaced; an empty key replaces nothing.
    """
    assert key not in ApiKey(key).redact(f"{key}{before}{key}{after}").replace(REDACTED, "")
    assert ApiKey("").redact(before) == before


@given(KEYS)
def test_a_key_is_sent_as_the_document_says(text: str) -> None:
    """
    `Authorization: Api-Key abcd1234.abcd1234`; blanks around the variable's value are not part of the key.
    """
    key = load_key({"K": f"  {text}\n"}, "K")

    assert (f"Api-Key {text}", text) == (key.authorization, key.reveal())
    assert key == ApiKey(text)
    assert hash(key) == hash(ApiKey(text))
    assert key != ApiKey(text + "x")
    assert key != text


@given(KEYS, st.sampled_from(["Api-Key {}", "api-key {}", "Bearer {}", "{} {}", "{}\n{}", "{}é", "{}\x00", "{}\x7f"]))
def test_a_refusal_names_the_variable_and_not_what_is_in_it(text: str, form: str) -> None:
    """
    Whoever reads the message learns where to look, not what was there.
    """
    with pytest.raises(ApiKeyError) as refused:
        load_key({"MY_KEY": form.format(text, text)}, "MY_KEY")

    assert "MY_KEY" in str(refused.value)
    assert text not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("environment", "told"), [({}, "found none"), ({"BASETEN_API_KEY": " "}, "found an empty value")]
)
def test_a_missing_key_is_told_with_the_way_out(environment: dict[str, str], told: str) -> None:
    """
    Unset and empty are told apart, and both say what to do.
    """
    with pytest.raises(ApiKeyError, match=told) as refused:
        load_key(environment)

    assert f"export {DEFAULT_KEY_VARIABLE}=" in str(refused.value)


def test_the_environment_is_this_processs(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The variable may have another name.
    """
    monkeypatch.setenv("OTHER_KEY", "abcd1234.abcd1234")

    assert ApiKey("abcd1234.abcd1234") == load_key_from_environment("OTHER_KEY")
