"""
An honest answer departs from nothing; a bent one is caught for the clause it breaks and for no other.
"""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract import clauses
from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.contract.clauses import SINGLE_ANSWER_CLAUSES, Clause
from chainproof.contract.deviations import WAIVED_FROM
from chainproof.contract.errors import PAIRINGS, UNPAIRED_STATUSES, ErrorCode, Pairing
from chainproof.contract.levels import Contract, Level
from chainproof.contract.violations import breaks_must_clause, error_code, violations

JSON_TYPE = ("Content-Type", "application/json")
REQUEST_ID = (REQUEST_ID_HEADER, "9d3f")
OUTPUT = Answer(status=200, headers=(JSON_TYPE, REQUEST_ID), body=b'{"greeting": "hello"}')
ERROR = replace(OUTPUT, status=400, body=b'{"error": "no", "error_code": "client_error", "detail": "why"}')

HONEST = {
    "an output": OUTPUT,
    "an empty output": replace(OUTPUT, body=b"{}"),
    "media type in capitals, with a parameter": replace(
        OUTPUT, headers=(("CONTENT-TYPE", " Application/JSON ; charset=utf-8"), REQUEST_ID)
    ),
    "request id in lower case": replace(OUTPUT, headers=(JSON_TYPE, (REQUEST_ID_HEADER.lower(), "9d3f"))),
    "an error": ERROR,
    "an error that says when to come back": replace(ERROR, headers=(JSON_TYPE, REQUEST_ID, ("Retry-After", "30"))),
    "an error that dates when to come back": replace(
        ERROR, headers=(JSON_TYPE, REQUEST_ID, ("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"))
    ),
    "an error without members": replace(ERROR, body=b"{}"),
    "an error with a member nobody listed": replace(ERROR, body=b'{"trace": [1]}'),
    "an output nested deeper than we follow": replace(OUTPUT, body=b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "an output with a lone surrogate": replace(OUTPUT, body=b'{"a": "\\ud800"}'),
}

BENT: tuple[tuple[str, Answer, Clause], ...] = (
    ("a teapot", replace(ERROR, status=418, body=b"{}"), clauses.STATUS),
    ("created", replace(OUTPUT, status=201), clauses.STATUS),
    ("a redirect", replace(OUTPUT, status=302, headers=(("Location", "/"), REQUEST_ID), body=b""), clauses.STATUS),
    ("an output as text", replace(OUTPUT, headers=(("Content-Type", "text/plain"), REQUEST_ID)), clauses.OUTPUT_MEDIA_TYPE),
    ("an output as nothing", replace(OUTPUT, headers=(REQUEST_ID,)), clauses.OUTPUT_MEDIA_TYPE),
    ("an output as json of a kind", replace(OUTPUT, headers=(("Content-Type", "application/json5"), REQUEST_ID)), clauses.OUTPUT_MEDIA_TYPE),
    ("no output", replace(OUTPUT, body=b""), clauses.OUTPUT_JSON),
    ("half an output", replace(OUTPUT, body=b'{"a":'), clauses.OUTPUT_JSON),
    ("two outputs", replace(OUTPUT, body=b"{}{}"), clauses.OUTPUT_JSON),
    ("an output in latin-1", replace(OUTPUT, body=b'{"a": "\xe9"}'), clauses.OUTPUT_JSON),
    ("an output with nan", replace(OUTPUT, body=b'{"a": NaN}'), clauses.OUTPUT_JSON),
    ("an output behind a mark", replace(OUTPUT, body=b"\xef\xbb\xbf{}"), clauses.OUTPUT_JSON),
    *(
        (f"an output that is {body.decode()}", replace(OUTPUT, body=body), clauses.OUTPUT_OBJECT)
        for body in (b"[]", b'"{}"', b"null", b"1", b"0.5", b"true")
    ),
    ("an error in html", replace(ERROR, headers=(("Content-Type", "text/html"), REQUEST_ID)), clauses.ERROR_MEDIA_TYPE),
    ("an error as nothing", replace(ERROR, headers=(REQUEST_ID,)), clauses.ERROR_MEDIA_TYPE),
    ("an empty error", replace(ERROR, body=b""), clauses.ERROR_JSON),
    ("an error page", replace(ERROR, body=b"<h1>Bad Gateway</h1>"), clauses.ERROR_JSON),
    ("a list of errors", replace(ERROR, body=b'["no"]'), clauses.ERROR_OBJECT),
    ("null for an error", replace(ERROR, body=b"null"), clauses.ERROR_OBJECT),
    ("an error message that is an object", replace(ERROR, body=b'{"error": {"message": "no"}}'), clauses.ERROR_MESSAGE),
    ("an error message that is null", replace(ERROR, body=b'{"error": null}'), clauses.ERROR_MESSAGE),
    ("an invented code", replace(ERROR, body=b'{"error_code": "gremlins"}'), clauses.ERROR_CODE),
    ("a code in capitals", replace(ERROR, body=b'{"error_code": "CLIENT_ERROR"}'), clauses.ERROR_CODE),
    ("a code that is a number", replace(ERROR, body=b'{"error_code": 400}'), clauses.ERROR_CODE),
    ("a code that is null", replace(ERROR, body=b'{"error_code": null}'), clauses.ERROR_CODE),
    ("a code that is a list", replace(ERROR, body=b'{"error_code": ["timeout"]}'), clauses.ERROR_CODE),
    ("a detail that is a list", replace(ERROR, body=b'{"detail": []}'), clauses.ERROR_DETAIL),
    ("unauthorized by 400", replace(ERROR, body=b'{"error_code": "unauthorized"}'), clauses.ERROR_CODE_STATUS),
    ("a timeout by 502", replace(ERROR, status=502, body=b'{"error_code": "timeout"}'), clauses.ERROR_CODE_STATUS),
    ("no request id", replace(OUTPUT, headers=(JSON_TYPE,)), clauses.REQUEST_ID_PRESENT),
    ("an empty request id", replace(ERROR, headers=(JSON_TYPE, (REQUEST_ID_HEADER, " "))), clauses.REQUEST_ID_PRESENT),
    ("two request ids", replace(OUTPUT, headers=(JSON_TYPE, REQUEST_ID, REQUEST_ID)), clauses.REQUEST_ID_PRESENT),
    ("no request id with an error", replace(ERROR, headers=(JSON_TYPE,)), clauses.REQUEST_ID_ON_ERRORS),
    ("two media types", replace(OUTPUT, headers=(JSON_TYPE, REQUEST_ID, JSON_TYPE)), clauses.SINGLETON_FIELDS),
    *(
        (f"a retry after {text!r}", replace(ERROR, status=429, body=b"{}", headers=(JSON_TYPE, REQUEST_ID, ("Retry-After", text))), clauses.RETRY_AFTER)
        for text in ("soon", "-1", "1.5", "", "1s")
    ),
)  # fmt: skip  # a table is read by its columns

_MEMBERS = st.sampled_from(["error", "error_code", "detail"])
_TEXTS = st.text() | st.sampled_from([*ErrorCode, "gremlins"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(_MEMBERS, inner),
    max_leaves=6,
)
BODIES = st.binary() | _VALUES.map(orjson.dumps) | st.just(b'{"error_code": "\\ud800", "error": "\\udfff"}')
HEADERS = st.tuples(
    st.sampled_from(["content-type", REQUEST_ID_HEADER, "Date"]),
    st.sampled_from(["application/json", "text/html", ""]) | st.text(st.characters(max_codepoint=255)),
)
STATUSES = st.sampled_from([200, 400, 401, 500, 502, 503, 504, 529]) | st.integers(100, 599)
ANSWERS = st.builds(Answer, status=STATUSES, headers=st.lists(HEADERS).map(tuple), body=BODIES)


def broken(answer: Answer, contract: Contract = Contract.STRICT) -> list[Clause]:
    """
    The clauses that an answer breaks.
    """
    return [violation.clause for violation in violations(answer, contract)]


@pytest.mark.parametrize("contract", Contract)
@pytest.mark.parametrize("what", HONEST)
def test_an_honest_answer_departs_from_nothing(what: str, contract: Contract) -> None:
    """
    What the document allows is no finding, under any contract.
    """
    assert broken(HONEST[what], contract) == []


@pytest.mark.parametrize(("answer", "clause"), [row[1:] for row in BENT], ids=[row[0] for row in BENT])
def test_a_bent_answer_breaks_one_clause(answer: Answer, clause: Clause) -> None:
    """
    Whoever breaks one clause is caught for that clause and for no other.
    """
    assert broken(answer) == [clause]


def test_every_clause_of_a_single_answer_can_be_broken() -> None:
    """
    A clause that no answer can break protects nothing.
    """
    assert set(SINGLE_ANSWER_CLAUSES) == {clause for _, _, clause in BENT}


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda pairing: pairing.code)
def test_a_documented_status_is_a_departure_of_the_strict_contract_alone(pairing: Pairing) -> None:
    """
    Every status of a row, with its code, passes where the row says so and nowhere before.
    """
    body = orjson.dumps({"error_code": pairing.code})
    for status in pairing.strict:
        assert broken(replace(ERROR, status=status, body=body)) == []
    for status in pairing.documented:
        answer = replace(ERROR, status=status, body=body)

        assert broken(answer) in ([clauses.STATUS], [clauses.ERROR_CODE_STATUS])
        assert broken(answer, Contract.DOCUMENTED) == broken(answer, Contract.OBSERVED) == []


@pytest.mark.parametrize("status", UNPAIRED_STATUSES)
def test_a_status_without_a_code_passes_without_one(status: int) -> None:
    """
    A documented status that no code names is allowed from the documented contract on.
    """
    answer = replace(ERROR, status=status, body=b"{}")

    assert [[clauses.STATUS], [], []] == [broken(answer, contract) for contract in Contract]


@pytest.mark.parametrize(("answer", "clause"), [row[1:] for row in BENT], ids=[row[0] for row in BENT])
def test_a_waived_clause_is_broken_in_narrower_contracts_alone(answer: Answer, clause: Clause) -> None:
    """
    A waiver silences its clause from its contract on, and no other.
    """
    first = WAIVED_FROM.get(clause)
    for contract in Contract:
        silent = first is not None and contract.includes(first)

        assert broken(answer, contract) == ([] if silent else [clause])


@given(ANSWERS)
def test_any_answer_is_judged_in_words_that_can_be_written(answer: Answer) -> None:
    """
    No answer is too much: nothing is raised, and what is said of it can be stored as UTF-8 and read in a moment.
    """
    for contract in Contract:
        for violation in violations(answer, contract):
            orjson.dumps([violation.expected, violation.actual])

            assert len(violation.actual) < 1000


@given(ANSWERS)
def test_a_wider_contract_never_finds_more(answer: Answer) -> None:
    """
    Whatever a narrower contract lets pass, a wider one does too; clauses come in their order, each once a member. A status
    that the narrower one does not know stands for everything else that is wrong with that answer.
    """
    strict, documented, observed = (broken(answer, contract) for contract in Contract)
    places = [SINGLE_ANSWER_CLAUSES.index(clause) for clause in strict]

    for narrower, wider in ((strict, documented), (documented, observed)):
        assert clauses.STATUS in narrower or set(narrower) >= set(wider)
    assert sorted(places) == places
    assert len(set(places)) == len(places)


@given(ANSWERS)
def test_an_error_code_is_text_that_can_be_stored(answer: Answer) -> None:
    """
    A code is what the target named, documented or not; even half a character of it must not break the run's record.
    """
    code = error_code(answer)

    assert code is None or orjson.loads(orjson.dumps(code)) == code
    assert code is None or answer.status != 200


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (ERROR, "client_error"),
        (replace(ERROR, body=b'{"error_code": "gremlins"}'), "gremlins"),
        (replace(ERROR, body='{"error_code": "größer"}'.encode()), "größer"),
        (replace(ERROR, body=b'{"error_code": "\\ud800"}'), "\\ud800"),
        (replace(ERROR, body=b'{"error_code": 5}'), None),
        (replace(ERROR, body=b"{}"), None),
        (replace(ERROR, body=b"[]"), None),
        (replace(ERROR, body=b"<html>"), None),
        (replace(ERROR, status=200), None),
    ],
)
def test_an_error_code_is_as_the_target_spelled_it(answer: Answer, code: str | None) -> None:
    """
    None for a 200 and where no text stands.
    """
    assert code == error_code(answer)


def test_only_a_broken_must_keeps_an_answer_from_being_ok() -> None:
    """
    A request without id was answered all the same.
    """
    for _, answer, clause in BENT:
        assert breaks_must_clause(violations(answer)) is (clause.level is Level.MUST)
    assert not breaks_must_clause(violations(OUTPUT))


def test_a_header_is_found_whatever_its_case() -> None:
    """
    Names compare without case, values come in wire order, blanks around an id are not part of it.
    """
    answer = Answer(status=200, headers=(("x-a", "1"), ("X-A", "2"), ("x-baseten-request-ID", " 9d3f ")))

    assert (("1", "2"), "1", None, "9d3f", None) == (
        answer.fields("X-a"),
        answer.field("X-a"),
        answer.field("X-B"),
        answer.request_id,
        answer.media_type,
    )
