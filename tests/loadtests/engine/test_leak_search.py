"""The API key is found in answers of a load test, in every encoding and at a bounded cost."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable

import pytest

from chainproof.contract.answer import Answer
from chainproof.loadtests.engine.leak_search import KEY_LEAK, LeakSearch

KEY = "zQ7vXw2K.pL9mNb4RtYc6HsJd8FgWe3Au5"
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "reversed": lambda key: key[::-1],
    "half": lambda key: key[:12],
    "base64": lambda key: base64.b64encode(f"Api-Key {key}".encode()).decode(),
    "URL": lambda key: "".join(f"%{ord(each):02x}" for each in key),
    "hexadecimal": lambda key: key.encode().hex(),
    "JSON": lambda key: "".join(f"\\u{ord(each):04x}" for each in key),
}


def answer(body: str, *fields: tuple[str, str], status: int = 200) -> Answer:
    """An answer."""
    return Answer(status=status, headers=(("Content-Type", "application/json"), *fields), body=body.encode())


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_key_is_found_in_every_encoding(name: str) -> None:
    """In the body, in the name and in the value of a header field, and in a request id; of an ok answer too."""
    text = ENCODINGS[name](KEY)
    search = LeakSearch(KEY, clock=lambda: 0.0)

    assert search.finds_in(answer(f'{{"a":"{text}"}}'))
    assert search.finds_in(answer("{}", ("X-Any", text)))
    assert search.finds_in(answer("{}", (f"X-{text}", "a")))
    assert search.finds_in(answer(f'{{"a":"{text}"}}', status=500))
    assert (1, KEY_LEAK) == search.leak_in_ids([b"a", text.encode(), b"b"])
    assert search.leak_in_ids([b"a", b"b"]) is None
    assert not search.finds_in(answer('{"a":"b"}'))


def test_the_search_for_encodings_is_bounded() -> None:
    """Of ten thousand answers in a second some are searched only for the key as it is; a second later there is time again."""
    seconds = itertools.chain([0.0], itertools.repeat(1.0, 10_000), itertools.repeat(2.0))
    search = LeakSearch(KEY, clock=lambda: next(seconds))
    leaking = answer(f'{{"a":"{KEY[::-1]}"}}')
    found = [search.finds_in(leaking) for _ in range(10_000)]

    assert found[0]
    assert 500 < sum(found) < 2000
    assert search.finds_in(leaking)
    assert search.finds_in(answer(KEY))
    assert [search.leak_in_ids([KEY.encode()]) for _ in range(10_000)] == [(0, KEY_LEAK)] * 10_000
