"""Findings store the answer's body on request, without credentials, and reproduce missed deadlines."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from ..conftest import RunSuite
from ..endpoints import KEY, EndpointAnswer, EndpointRequest, error


def always_500(request: EndpointRequest) -> EndpointAnswer:
    """A server that answers 500 to everything and quotes the request's header fields."""
    answer = error(500, "gremlins", f"a-word-of-the-answer, and you sent {request.fields}")
    return replace(answer, extra_fields=(("X-Seen", "once"),))


@pytest.mark.parametrize("keep_bodies", [True, False])
def test_bodies_are_stored_on_request(run_suite: RunSuite, *, keep_bodies: bool) -> None:
    """With `--keep-bodies` each finding has the body of its answer, with the key redacted."""
    findings = run_suite(always_500, checks=(), keep_bodies=keep_bodies).findings
    bodies = [finding.answer_body.text or "" for finding in findings if finding.answer_body is not None]

    assert findings
    assert len(bodies) == (len(findings) if keep_bodies else 0)
    assert keep_bodies is any("a-word-of-the-answer" in body for body in bodies)
    assert not any(KEY in body for body in bodies)


def test_a_missed_deadline_is_in_the_curl_command(run_suite: RunSuite) -> None:
    """The curl command of a missed deadline waits as long as the check did. Other commands have no limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        missed = run_suite(f"http://127.0.0.1:{silent.getsockname()[1]}", checks=(), deadline=0.25).findings
    answered = run_suite(always_500, checks=(), deadline=2.5).findings

    assert ["request-answered"] == [each.clause for each in missed]
    assert "--max-time 0.25 " in missed[0].reproduce
    assert not any("--max-time" in each.reproduce for each in answered)
