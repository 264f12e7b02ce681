"""Tests of the violations that a single answer shows."""

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

VALID = {
    "an output": OUTPUT,
    "an output that is an empty object": replace(OUTPUT, body=b"{}"),
    "media type in capitals, with a parameter": replace(
        OUTPUT, headers=(("CONTENT-TYPE", " Application/JSON ; charset=utf-8"), REQUEST_ID)
    ),
    "request id in lower case": replace(OUTPUT, headers=(JSON_TYPE, (REQUEST_ID_HEADER.lower(), "9d3f"))),
    "an error": ERROR,
    "an error with Retry-After in seconds": replace(ERROR, headers=(JSON_TYPE, REQUEST_ID, ("Retry-After", "30"))),
    "an error with a date in Retry-After": replace(
        ERROR, headers=(JSON_TYPE, REQUEST_ID, ("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"))
    ),
    "an error without members": replace(ERROR, body=b"{}"),
    "an error with an undocumented member": replace(ERROR, body=b'{"trace": [1]}'),
    "an output that is nested too deeply to parse": replace(OUTPUT, body=b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "an output with a lone surrogate": replace(OUTPUT, body=b'{"a": "\\ud800"}'),
}

INVALID: tuple[tuple[str, Answer, Clause], ...] = (
    ("an undocumented 4xx status", replace(ERROR, status=418, body=b"{}"), clauses.STATUS),
    ("an undocumented 2xx status", replace(OUTPUT, status=201), clauses.STATUS),
    ("a redirect", replace(OUTPUT, status=302, headers=(("Location", "/"), REQUEST_ID), body=b""), clauses.STATUS),
    ("an output as text/plain", replace(OUTPUT, headers=(("Content-Type", "text/plain"), REQUEST_ID)), clauses.OUTPUT_MEDIA_TYPE),
    ("an output without a media type", replace(OUTPUT, headers=(REQUEST_ID,)), clauses.OUTPUT_MEDIA_TYPE),
    ("an output as application/json5", replace(OUTPUT, headers=(("Content-Type", "application/json5"), REQUEST_ID)), clauses.OUTPUT_MEDIA_TYPE),
    ("a 200 without a body", replace(OUTPUT, body=b""), clauses.OUTPUT_JSON),
    ("half an output", replace(OUTPUT, body=b'{"a":'), clauses.OUTPUT_JSON),
    ("two outputs", replace(OUTPUT, body=b"{}{}"), clauses.OUTPUT_JSON),
    ("an output in latin-1", replace(OUTPUT, body=b'{"a": "\xe9"}'), clauses.OUTPUT_JSON),
    ("an output with nan", replace(OUTPUT, body=b'{"a": NaN}'), clauses.OUTPUT_JSON),
    ("an output after a byte order mark", replace(OUTPUT, body=b"\xef\xbb\xbf{}"), clauses.OUTPUT_JSON),
    *(
        (f"an output that is {body.decode()}", replace(OUTPUT, body=body), clauses.OUTPUT_OBJECT)
        for body in (b"[]", b'"{}"', b"null", b"1", b"0.5", b"true")
    ),
    ("an error as text/html", replace(ERROR, headers=(("Content-Type", "text/html"), REQUEST_ID)), clauses.ERROR_MEDIA_TYPE),
    ("an error without a media type", replace(ERROR, headers=(REQUEST_ID,)), clauses.ERROR_MEDIA_TYPE),
    ("an error without a body", replace(ERROR, body=b""), clauses.ERROR_JSON),
    ("an error with an HTML body", replace(ERROR, body=b"<h1>Bad Gateway</h1>"), clauses.ERROR_JSON),
    ("an error that is a list", replace(ERROR, body=b'["no"]'), clauses.ERROR_OBJECT),
    ("an error that is null", replace(ERROR, body=b"null"), clauses.ERROR_OBJECT),
    ("an error message that is an object", replace(ERROR, body=b'{"error": {"message": "no"}}'), clauses.ERROR_MESSAGE),
    ("an error message that is null", replace(ERROR, body=b'{"error": null}'), clauses.ERROR_MESSAGE),
    ("an undocumented code", replace(ERROR, body=b'{"error_code": "gremlins"}'), clauses.ERROR_CODE),
    ("a code in capitals", replace(ERROR, body=b'{"error_code": "CLIENT_ERROR"}'), clauses.ERROR_CODE),
    ("a code that is a number", replace(ERROR, body=b'{"error_code": 400}'), clauses.ERROR_CODE),
    ("a code that is null", replace(ERROR, body=b'{"error_code": null}'), clauses.ERROR_CODE),
    ("a code that is a list", replace(ERROR, body=b'{"error_code": ["timeout"]}'), clauses.ERROR_CODE),
    ("a detail that is a list", replace(ERROR, body=b'{"detail": []}'), clauses.ERROR_DETAIL),
    ("unauthorized with status 400", replace(ERROR, body=b'{"error_code": "unauthorized"}'), clauses.ERROR_CODE_STATUS),
    ("timeout with status 502", replace(ERROR, status=502, body=b'{"error_code": "timeout"}'), clauses.ERROR_CODE_STATUS),
    ("no request id", replace(OUTPUT, headers=(JSON_TYPE,)), clauses.REQUEST_ID_PRESENT),
    ("an empty request id", replace(ERROR, headers=(JSON_TYPE, (REQUEST_ID_HEADER, " "))), clauses.REQUEST_ID_PRESENT),
    ("two request ids", replace(OUTPUT, headers=(JSON_TYPE, REQUEST_ID, REQUEST_ID)), clauses.REQUEST_ID_PRESENT),
    ("no request id with an error", replace(ERROR, headers=(JSON_TYPE,)), clauses.REQUEST_ID_ON_ERRORS),
    ("two media types", replace(OUTPUT, headers=(JSON_TYPE, REQUEST_ID, JSON_TYPE)), clauses.SINGLETON_FIELDS),
    *(
        (f"Retry-After: {text!r}", replace(ERROR, status=429, body=b"{}", headers=(JSON_TYPE, REQUEST_ID, ("Retry-After", text))), clauses.RETRY_AFTER)
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


def broken_clauses(answer: Answer, contract: Contract = Contract.STRICT) -> list[Clause]:
    """The clauses that an answer breaks, in order."""
    return [violation.clause for violation in violations(answer, contract)]


@pytest.mark.parametrize("contract", Contract)
@pytest.mark.parametrize("label", VALID)
def test_valid_answer_has_no_violations(label: str, contract: Contract) -> None:
    """A valid answer has no violations under any contract."""
    assert broken_clauses(VALID[label], contract) == []


@pytest.mark.parametrize(("answer", "clause"), [row[1:] for row in INVALID], ids=[row[0] for row in INVALID])
def test_invalid_answer_violates_exactly_one_clause(answer: Answer, clause: Clause) -> None:
    """An answer that is wrong in one way has exactly one violation, of the expected clause."""
    assert broken_clauses(answer) == [clause]


@pytest.mark.parametrize("contract", [Contract.DOCUMENTED, Contract.OBSERVED])
def test_documented_stream_is_no_violation(contract: Contract) -> None:
    """
    The strict contract has JSON outputs only, and the violation says that the chain streams. Event streams are documented
    nowhere.
    """
    stream = replace(OUTPUT, headers=(("Content-Type", "application/octet-stream"), REQUEST_ID), body=b"Hel\xfflo")
    events = replace(stream, headers=(("Content-Type", "text/event-stream"), REQUEST_ID))

    assert () == violations(stream, contract)
    assert ["the chain streams its output"] == [found.actual.rpartition(": ")[2] for found in violations(stream)]
    assert [clauses.OUTPUT_MEDIA_TYPE] == [found.clause for found in violations(events, contract)]


def test_every_single_answer_clause_is_tested() -> None:
    """The table of invalid answers has a row for every clause."""
    assert set(SINGLE_ANSWER_CLAUSES) == {clause for _, _, clause in INVALID}


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda pairing: pairing.code)
def test_documented_status_violates_only_the_strict_contract(pairing: Pairing) -> None:
    """Every status of a row, with its code, is allowed by the contracts that the row names and wider ones."""
    body = orjson.dumps({"error_code": pairing.code})
    for status in pairing.strict:
        assert broken_clauses(replace(ERROR, status=status, body=body)) == []
    for status in pairing.documented:
        answer = replace(ERROR, status=status, body=body)

        assert broken_clauses(answer) in ([clauses.STATUS], [clauses.ERROR_CODE_STATUS])
        assert broken_clauses(answer, Contract.DOCUMENTED) == broken_clauses(answer, Contract.OBSERVED) == []


@pytest.mark.parametrize("status", UNPAIRED_STATUSES)
def test_status_without_a_code_is_allowed_when_documented(status: int) -> None:
    """402 has no error code and is allowed from the documented contract on."""
    answer = replace(ERROR, status=status, body=b"{}")

    assert [[clauses.STATUS], [], []] == [broken_clauses(answer, contract) for contract in Contract]


@pytest.mark.parametrize(("answer", "clause"), [row[1:] for row in INVALID], ids=[row[0] for row in INVALID])
def test_waived_clause_is_violated_only_under_narrower_contracts(answer: Answer, clause: Clause) -> None:
    """A waiver suppresses its own clause from its contract on, and no other clause."""
    waived_from = WAIVED_FROM.get(clause)
    for contract in Contract:
        waived = waived_from is not None and contract.includes(waived_from)

        assert broken_clauses(answer, contract) == ([] if waived else [clause])


@given(ANSWERS)
def test_violations_of_any_answer_can_be_stored(answer: Answer) -> None:
    """No answer raises an exception, and the texts of its violations are short and can be stored as UTF-8."""
    for contract in Contract:
        for violation in violations(answer, contract):
            orjson.dumps([violation.expected, violation.actual])

            assert len(violation.actual) < 1000


@given(ANSWERS)
def test_wider_contract_has_no_more_violations(answer: Answer) -> None:
    """Violations come in a fixed order, one per clause. A wider contract has more of them only if the narrower one stopped at an unknown status."""
    strict, documented, observed = (broken_clauses(answer, contract) for contract in Contract)
    positions = [SINGLE_ANSWER_CLAUSES.index(clause) for clause in strict]

    for narrower, wider in ((strict, documented), (documented, observed)):
        assert clauses.STATUS in narrower or set(narrower) >= set(wider)
    assert sorted(positions) == positions
    assert len(set(positions)) == len(positions)


@given(ANSWERS)
def test_error_code_can_be_encoded_as_utf_8(answer: Answer) -> None:
    """An error code of any answer, even one with a lone surrogate, can be stored as UTF-8."""
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
def test_error_code_is_what_the_target_wrote(answer: Answer, code: str | None) -> None:
    """The code is None for a 200 and if `error_code` is not a string."""
    assert code == error_code(answer)


def test_only_a_must_violation_makes_an_answer_fail() -> None:
    """A violation of any other level does not: an answer without a request id counts as ok."""
    for _, answer, clause in INVALID:
        assert breaks_must_clause(violations(answer)) is (clause.level is Level.MUST)
    assert not breaks_must_clause(violations(OUTPUT))


def test_header_names_ignore_case() -> None:
    """Values come in wire order, and blanks around a request id are removed."""
    answer = Answer(status=200, headers=(("x-a", "1"), ("X-A", "2"), ("x-baseten-request-ID", " 9d3f ")))

    assert (("1", "2"), "1", None, "9d3f", None) == (
        answer.fields("X-a"),
        answer.field("X-a"),
        answer.field("X-B"),
        answer.request_id,
        answer.media_type,
    )
