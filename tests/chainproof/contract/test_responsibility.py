"""Who is responsible for an error: a bug in the chain is not attributed to the platform."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.answer import Answer
from chainproof.contract.errors import PAIRINGS, Responsible
from chainproof.contract.responsibility import responsible, responsible_for

JSON_TYPE = ("Content-Type", "application/json")
EXCEPTION = {"error": {"exception_cls_name": "ValueError", "exception_message": "boom", "user_stack_trace": []}}
NOT_READY = {"error": "Model with name model is not ready."}
CHAIN_SERVER = (("X-BASETEN-ERROR-SOURCE", "04"), ("X-BASETEN-ERROR-CODE", "600"))
HTML = (("Content-Type", "text/html; charset=utf-8"),)


def answer(status: int, body: object, *headers: tuple[str, str]) -> Answer:
    """An answer with a JSON body, or with these bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    types = () if any(name == "Content-Type" for name, _ in headers) else (JSON_TYPE,)
    return Answer(status=status, headers=(*types, *headers), body=content)


CASES = {
    "an exception in run_remote": (answer(500, EXCEPTION), Responsible.CHAIN),
    "HTTPException(503) in run_remote": (answer(503, EXCEPTION, *CHAIN_SERVER), Responsible.CHAIN),
    "HTTPException(302) in run_remote": (answer(302, EXCEPTION), Responsible.CHAIN),
    "HTTPException(422): the chain rejects the input": (answer(422, EXCEPTION), Responsible.CALLER),
    "HTTPException(401): a key that the chain uses, not the caller's": (answer(401, EXCEPTION), Responsible.CHAIN),
    "header fields alone": (answer(500, {}, *CHAIN_SERVER), Responsible.CHAIN),
    "header fields in another case and form": (answer(500, {}, ("x-baseten-error-source", " 4")), Responsible.CHAIN),
    "a response that the chain made itself": (
        answer(503, b"busy", ("X-BASETEN-ERROR-SOURCE", "04"), ("X-BASETEN-ERROR-CODE", "700")),
        Responsible.CHAIN,
    ),
    "another part of the platform": (answer(500, {}, ("X-BASETEN-ERROR-SOURCE", "02")), Responsible.PLATFORM),
    "the chain is still loading": (answer(503, NOT_READY, *CHAIN_SERVER), Responsible.PLATFORM),
    "invalid input": (
        answer(400, {}, ("X-BASETEN-ERROR-SOURCE", "04"), ("X-BASETEN-ERROR-CODE", "700")),
        Responsible.CALLER,
    ),
    "an output that cannot be written as JSON": (
        answer(500, {"error": "Unhandled exception: PydanticSerializationError: …"}),
        Responsible.CHAIN,
    ),
    "an exception in a plain model": (
        answer(500, {"error": "Internal Server Error (in model/chainlet)."}),
        Responsible.CHAIN,
    ),
    "SystemExit in run_remote": (
        answer(500, b"Internal Server Error", ("Content-Type", "text/plain; charset=utf-8")),
        Responsible.CHAIN,
    ),
    "a page of a proxy": (answer(502, b"<html>502 Bad Gateway</html>", *HTML), Responsible.GATEWAY),
    "a page with a request id": (answer(502, b"<html>", *HTML, ("X-BASETEN-REQUEST-ID", "1")), Responsible.PLATFORM),
    "a page that refuses a large body": (answer(413, b"<html>", *HTML), Responsible.CALLER),
    "an error of the platform": (answer(502, {"error": "Error making prediction"}), Responsible.PLATFORM),
    "a chain that took too long": (answer(504, {"error": "timeout"}), Responsible.CHAIN),
    "an output that violates the contract": (answer(200, b"nonsense"), Responsible.CHAIN),
}


@pytest.mark.parametrize("case", CASES)
def test_the_evidence_in_an_answer_decides_who_is_responsible(case: str) -> None:
    """Exception body, error code, header fields, sentences of the chain's server, and the status at last."""
    shown, expected = CASES[case]

    assert expected is responsible_for(shown)


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda pairing: pairing.code)
def test_a_documented_code_decides_unless_the_chain_shows_its_exception(pairing: object) -> None:
    """The body of an exception is what happened; a code is only what somebody says."""
    status, code = pairing.strict[0], pairing.code.value  # type: ignore[attr-defined]

    assert pairing.responsible is responsible_for(answer(status, {"error_code": code}))  # type: ignore[attr-defined]
    if status >= 500:
        assert Responsible.CHAIN is responsible_for(answer(status, {**EXCEPTION, "error_code": code}))


@given(st.integers(201, 599), st.binary(max_size=60), st.sampled_from([*PAIRINGS, None]))
def test_an_answer_without_evidence_is_judged_by_code_and_status(status: int, body: bytes, pairing: object) -> None:
    """As a run folder does that has only these."""
    code = pairing.code.value if pairing is not None else None  # type: ignore[attr-defined]
    content = json.dumps({"error_code": code}).encode() if code is not None else b"<" + body

    assert responsible(code, status) is responsible_for(answer(status, content))
