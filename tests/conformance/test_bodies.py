"""
Findings store the answer's body on request, without credentials, and reproduce missed deadlines.
"""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from .conftest import RunSuite
from .endpoints import KEY, EndpointAnswer, EndpointRequest, error


def talkative(asked: EndpointRequest) -> EndpointAnswer:
    """A server that answers 500 to everything, and says what it was told."""
    said = error(500, "gremlins", f"a-word-of-the-answer, and you said {asked.fields}")
    return replace(said, extra_fields=(("X-Seen", "once"),))


@pytest.mark.parametrize("asked", [True, False])
def test_answers_are_kept_where_asked_for(run_suite: RunSuite, *, asked: bool) -> None:
    """
    With `--keep-bodies` each finding has the body that its curl line is answered with, the key in it replaced.
    """
    findings = run_suite(talkative, checks=(), keep_bodies=asked).findings
    bodies = [found.answer_body.text or "" for found in findings if found.answer_body is not None]

    assert findings
    assert len(bodies) == (len(findings) if asked else 0)
    assert asked is any("a-word-of-the-answer" in body for body in bodies)
    assert not any(KEY in body for body in bodies)


def test_a_missed_deadline_is_in_the_line(run_suite: RunSuite) -> None:
    """
    Pasted, the line waits as long as the check did and no longer; a line for an answer that came says nothing of it.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = run_suite(f"http://127.0.0.1:{silent.getsockname()[1]}", checks=(), deadline=0.25).findings
    answered = run_suite(talkative, checks=(), deadline=2.5).findings

    assert ["request-answered"] == [each.clause for each in found]
    assert "--max-time 0.25 " in found[0].reproduce
    assert not any("--max-time" in each.reproduce for each in answered)
