"""Answers that repeat an earlier one: recognised exactly, with the result that parsing and judging them would have."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.violations import violations
from chainproof.loadtests.client.answer_templates import MAX_TEMPLATE_BYTES, MAX_TEMPLATES, PAUSE, AnswerTemplates
from chainproof.loadtests.client.client import LoadClient
from chainproof.loadtests.client.request import request_bytes

RunServer = Callable[..., Any]

ID = "X-BASETEN-REQUEST-ID"


def octets(request_id: str, *, status: int = 200, name: str = ID, body: bytes = b"{}", blank: str = " ") -> bytes:
    """The bytes of an answer."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{name}:{blank}{request_id}\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def parsed(data: bytes) -> Answer:
    """The answer in these bytes."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    pairs = (line.partition(":") for line in lines[1:])
    return Answer(
        status=int(lines[0][9:12]), headers=tuple((name, value.strip()) for name, _, value in pairs), body=body
    )


ids = st.text("abXY09-_.", max_size=6) | st.sampled_from(["", " ", "a b", "é", "a\t", "x\x00"])
answers = st.builds(
    octets,
    ids,
    status=st.sampled_from([200, 429]),
    name=st.sampled_from([ID, ID.lower(), "Other"]),
    body=st.sampled_from([b"{}", b"[]", b"{}\r\n" + ID.encode() + b": 7\r\n", b""]),
    blank=st.sampled_from(["", " ", "  "]),
)


@given(st.lists(answers, max_size=30))
def test_a_repeated_answer_is_what_parsing_would_return(received: list[bytes]) -> None:
    """Whatever was stored before, a template gives the same status, fields, body, request id and violations."""
    templates = AnswerTemplates()
    for data in received:
        expected = parsed(data)
        added = templates.find(data) is None and templates.add(data, expected)
        found = templates.find(data)
        assert found is not None or not added
        if found is not None:
            template, request_id = found
            actual = template.answer(request_id)
            first = template.conclusion = template.conclusion or violations(expected)

            assert expected == actual
            assert (expected.request_id or "") == request_id.decode()
            assert violations(expected) == first
            assert len(expected.body) == template.body_length


OTHER_ANSWERS = {
    "empty id": octets(""),
    "blank in the id": octets("a b"),
    "blank after the id": octets("a\t"),
    "status": octets("1", status=201),
    "body": octets("1", body=b"{ }"),
    "name of the field": octets("1", name=ID.lower()),
    "folded line": octets("1").replace(b"\r\nContent-Length", b"\r\n folded\r\nContent-Length"),
    "interim answer": b"HTTP/1.1 103 X\r\n\r\n" + octets("1"),
    "bytes after it": octets("1") + b"\r\n",
}


@pytest.mark.parametrize("difference", OTHER_ANSWERS)
def test_an_answer_that_differs_elsewhere_is_not_a_repetition(difference: str) -> None:
    """Only another request id of ordinary characters is a repetition."""
    templates = AnswerTemplates()
    templates.add(octets("first"), parsed(octets("first")))

    assert templates.find(octets("another-one_2")) is not None
    assert templates.find(OTHER_ANSWERS[difference]) is None


def test_the_number_and_the_size_of_templates_are_bounded() -> None:
    """Long answers are not stored, and a target whose answers all differ is not stored again and again."""
    templates = AnswerTemplates()
    long = octets("1", body=b"x" * MAX_TEMPLATE_BYTES)
    each = [octets("1", body=b"%d" % number) for number in range(MAX_TEMPLATES + 1)]

    assert templates.add(long, parsed(long)) is None
    assert all(templates.add(data, parsed(data)) for data in each)
    assert [False] * MAX_TEMPLATES + [True] == [templates.find(data) is not None for data in each]
    assert not any(templates.add(data, parsed(data)) for data in [each[0]] * PAUSE)
    assert templates.add(each[0], parsed(each[0])) is not None


def test_the_client_returns_repeated_answers_with_their_own_ids(run_server: RunServer) -> None:
    """The second answer is not parsed; a different one in between is, and all have their own ids and bytes."""
    sent = [octets("a-1"), octets("a-2"), octets("a-3", status=429), octets("a-4"), octets("a-5", body=b"{ }")]

    async def behave(request: Any) -> None:
        await request.send_bytes(sent[request.number])

    with run_server(behave) as server:
        client = LoadClient(server.target)
        request = request_bytes(server.target, ApiKey("key"), b"{}")
        replies = [client.call(request, time.monotonic() + 5) for _ in sent]

    assert [parsed(data) for data in sent] == [reply.answer for reply in replies]
    assert [b"a-%d" % number for number in range(1, 6)] == [reply.request_id for reply in replies]
    assert [False, True, False, True, False] == [reply.parsed_answer is None for reply in replies]
    assert [len(data) for data in sent] == [reply.received for reply in replies]
    assert 1 == server.connections
