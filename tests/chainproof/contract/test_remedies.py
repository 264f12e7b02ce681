"""A remedy is shown for the violations that it may end."""

from __future__ import annotations

import pytest

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    ECHO_EXACT,
    ERROR_MEDIA_TYPE,
    OBJECT_ACCEPTED,
    OUTPUT_MEDIA_TYPE,
    OUTPUT_OBJECT,
    REQUEST_ANSWERED,
    STATUS,
)
from chainproof.contract.levels import Clause, Contract
from chainproof.contract.remedies import remedies_for
from chainproof.contract.violations import violations


@pytest.mark.parametrize(
    ("actual", "frameworks"),
    [
        ("another number: 9007199254740992 in place of 9007199254740993 at /x", {"Express"}),
        ('different members: "a" is missing at the top level', set()),
    ],
)
def test_a_remedy_for_numbers_is_shown_for_other_numbers_only(actual: str, frameworks: set[str]) -> None:
    """What rounds integers does not explain another member."""
    assert frameworks == {remedy.framework for remedy in remedies_for(ECHO_EXACT.id, actual)}


@pytest.mark.parametrize(
    ("clause", "media_type", "is_permitted"),
    [
        (OUTPUT_MEDIA_TYPE, "application/octet-stream", True),
        (OUTPUT_OBJECT, "application/json", True),
        (OUTPUT_MEDIA_TYPE, "text/html", False),
    ],
    ids=["a stream", "a text", "a page"],
)
def test_the_wider_contract_is_named_where_it_permits_the_output(
    clause: Clause, media_type: str, is_permitted: bool
) -> None:
    """As of chains that stream, or return a text."""
    answer = Answer(status=200, headers=(("Content-Type", media_type), ("X-Baseten-Request-Id", "a")), body=b'"a"')
    found = {each.clause: each.actual for each in violations(answer, Contract.STRICT)}

    assert is_permitted is ("Baseten" in {each.framework for each in remedies_for(clause.id, found[clause])})
    assert is_permitted is (clause not in {each.clause for each in violations(answer, Contract.DOCUMENTED)})


@pytest.mark.parametrize("form", ["status {}", "Undocumented status code, reported by Schemathesis: Received: {}"])
def test_a_remedy_for_a_status_is_shown_for_that_status_only(form: str) -> None:
    """A limit of the body's size does not explain a 404."""
    assert any("nginx answers bodies above" in remedy.text for remedy in remedies_for(STATUS.id, form.format(413)))
    assert not any("nginx answers bodies above" in remedy.text for remedy in remedies_for(STATUS.id, form.format(404)))


@pytest.mark.parametrize(("status", "is_shown"), [(400, True), (502, False)])
def test_a_schema_may_be_wider_than_the_chain(status: int, is_shown: bool) -> None:
    """A 400 to an input of the schema may be meant; a failure of the chain is not."""
    remedies = remedies_for(OBJECT_ACCEPTED.id, f"status {status}: texts: at most 64")

    assert is_shown == any("--input-schema allows more" in remedy.text for remedy in remedies)


def test_a_refused_connection_has_no_remedy_for_slow_answers() -> None:
    """A longer timeout of a gateway does not mend a server that has stopped."""
    remedies = remedies_for(REQUEST_ANSWERED.id, "Connection refused")

    assert ["any server"] == [remedy.framework for remedy in remedies]
    assert "log" in remedies[0].text
    assert "any server" not in {remedy.framework for remedy in remedies_for(REQUEST_ANSWERED.id, "none")}


@pytest.mark.parametrize(
    ("server", "first"),
    [
        ("nginx/1.24.0", "nginx"),
        ("openresty", "nginx"),
        ("Werkzeug/3.0 Python/3.12", "Flask"),
        ("Express", "Express"),
        ("Werkzeug/3.0 Python/3.12, 1.1 haproxy", "Flask"),
        ("1.1 haproxy", "HAProxy"),
    ],
)
def test_remedies_for_the_server_of_the_answer_come_first(server: str, first: str) -> None:
    """
    Those for gateways stay, and behind a gateway those for all frameworks: it may have passed on an error of the application.
    Another web framework than the named one is not meant.
    """
    remedies = remedies_for(ERROR_MEDIA_TYPE.id, "status 400 with Content-Type text/html", server)
    every = {remedy.framework for remedy in remedies_for(ERROR_MEDIA_TYPE.id, "status 400 with Content-Type text/html")}
    frameworks = {"FastAPI", "Flask", "Express"}

    assert first == remedies[0].framework
    assert every - {remedy.framework for remedy in remedies} == (
        every & frameworks - {first} if first in frameworks else set()
    )
