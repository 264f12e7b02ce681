"""Texts of other requests are recognised in answers, and only those."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.conformance.judging.request_texts import RequestTexts
from chainproof.conformance.probing.leak_confirmation import confirm_leaks
from chainproof.conformance.transport.request import CheckRequest
from chainproof.contract.answer import Answer

from ..endpoints import EndpointAnswer, EndpointRequest, typed_endpoint
from ..in_process import InProcessClient, make_requester

TEXT = "3f9a0c17be42d865"
OTHER = "77c1e09ab4d25f38"


def request(*texts: str, **parts: object) -> CheckRequest:
    """A request with some texts."""
    return CheckRequest(body=json.dumps({"names": texts}).encode(), **parts)  # type: ignore[arg-type]  # fields of a request


def answer(text: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer with a text."""
    return Answer(status=status, headers=headers, body=text.encode())


def is_suspected(sent: CheckRequest, received: Answer, *others: CheckRequest) -> bool:
    """Whether an answer is suspected after some requests."""
    texts = RequestTexts()
    for each in (*others, sent):
        texts.add(each)
    texts.observe(sent, received, "a check")
    return bool(texts.take_suspected())


@pytest.mark.parametrize(
    "received",
    [
        answer(json.dumps({"greeting": f"Dear {TEXT}"})),
        answer(json.dumps({"greeting": TEXT.upper()})),
        answer(json.dumps({"greeting": TEXT[:13]})),
        answer(f"<p>{TEXT}</p>"),
        answer(json.dumps({"error": f"x{TEXT}x"}), status=400),
        answer("{}", headers=(("X-Last", TEXT),)),
        answer(json.dumps({"filler": "a" * 500_000, "greeting": TEXT})),
    ],
)
def test_a_text_of_another_request_is_suspected(received: Answer) -> None:
    """Anywhere in an answer, in another letter case, or only its beginning."""
    assert is_suspected(request(OTHER), received, request(TEXT))
    assert not is_suspected(request(OTHER), received)


def test_a_text_with_escapes_is_suspected() -> None:
    """Texts are compared as characters, however their JSON is written."""
    text = "Grüße an 日本 und 😀!"

    assert is_suspected(request(OTHER), answer(json.dumps({"note": text})), request(text))


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_an_own_text_is_never_suspected(own: str, other: str) -> None:
    """A text of the request itself may be in its answer, also if another request had it."""
    received = answer(json.dumps({"own": own, "body": json.dumps({"names": [own]})}))

    assert not is_suspected(request(own), received, request(own), request(own, own))
    assert not is_suspected(request(own), received, request(other))


@pytest.mark.parametrize("text", ["Ada", "a" * 100, "ab" * 20, "1" * 16])
def test_a_short_or_simple_text_is_not_suspected(text: str) -> None:
    """Other requests may have it by chance."""
    assert not is_suspected(request(OTHER), answer(json.dumps({"name": text})), request(text))


def test_memory_is_bounded() -> None:
    """Only the latest texts are remembered, and a large body is not remembered at all."""
    texts = RequestTexts()
    texts.add(request(TEXT))
    for number in range(5_000):
        texts.add(request(f"{number:016x}-abcdef"[::-1]))
    texts.add(request(OTHER, "x" * 10_000))
    for text in (TEXT, OTHER):
        texts.observe(request("Ada"), answer(json.dumps([text])), "a check")

    assert texts.take_suspected() == []


def test_a_text_is_confirmed_once() -> None:
    """A constant that a request happened to have costs one confirmation, not one for each answer."""
    texts = RequestTexts()
    texts.add(request(TEXT))
    texts.observe(request(OTHER), answer(TEXT), "a check")

    assert len(texts.take_suspected()) == 1
    texts.observe(request(OTHER), answer(TEXT), "a check")
    assert texts.take_suspected() == []


def findings(
    server: Callable[[EndpointRequest], EndpointAnswer], other: CheckRequest, present: CheckRequest
) -> list[str]:
    """The clauses with findings after an answer to *present* with the text of *other*."""
    requester = make_requester(InProcessClient(server))
    requester.request_texts.add(replace(other, fields=requester.build_request().fields))
    requester.request_texts.observe(
        replace(present, fields=requester.build_request().fields), answer(json.dumps([TEXT])), "a check"
    )
    confirm_leaks(requester)
    return [finding.clause for finding in requester.finding_recorder.findings]


class Store:
    """Answers with the latest text of the same key, or of any key."""

    def __init__(self, *, is_keyed: bool) -> None:
        self._is_keyed = is_keyed
        self._texts: dict[object, str] = {}

    def __call__(self, received: EndpointRequest) -> EndpointAnswer:
        """The answer to a request."""
        key, text = json.loads(received.body)["names"]
        key = key if self._is_keyed else None
        output, self._texts[key] = {"text": self._texts.get(key)}, text
        return EndpointAnswer(status=200, body=json.dumps(output).encode())


def test_a_store_is_confirmed_only_if_it_answers_with_the_text_of_another_key() -> None:
    """A caller that names a key gets what belongs to it. Nobody gets what belongs to another key."""
    other, present = request("key 1", TEXT), request("key 1", OTHER)

    assert findings(Store(is_keyed=True), other, present) == []
    assert findings(Store(is_keyed=False), other, present) == ["answer-matches-request"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"names":["Ada"]}',
        b'{"names":[1e999]}',
        b'{"names":["\\ud800 and more"]}',
        b'{"names":[' + b"9" * 5_000 + b"]}",
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b'{"names":["a text that ends',
        b"\xff\xfe",
        b"",
    ],
)
def test_a_constant_is_never_confirmed(body: bytes) -> None:
    """Whatever the body is: new texts do not come back."""
    assert "answer-matches-request" not in findings(typed_endpoint, request(TEXT), CheckRequest(body=body))
