"""Each kind of fault of a small chain is found by its own check, which finds nothing in the correct chain."""

from __future__ import annotations

import json
import os

import pytest
from pydantic import ValidationError, validate_call

from chainproof.chain_schema.loading import load_input_schema
from chainproof.conformance.checks.catalogue import ALL_CHECKS

from ..conformance.conftest import RunSuite, run_suite
from ..conformance.endpoints import EndpointAnswer, EndpointRequest, error, rejection
from .serving import FOLDER
from .small_chains import CHAINS

__all__ = ["run_suite"]

SOURCE = FOLDER / "small_chains.py"
SAMPLE = {"FalseForAbsent", "GrowingDefault", "SticksBesideAnother", "CachedByLastText", "NumbersBeginAgain"}
"""One fault of each way to find one. `CHAINPROOF_SAMPLE=all` tests all of them."""
NAMES = sorted(CHAINS if os.environ.get("CHAINPROOF_SAMPLE") == "all" else SAMPLE)


class SmallEndpoint:
    """A chain behind a correct gateway."""

    def __init__(self, name: str, *, is_faulty: bool) -> None:
        chain = type(name, (CHAINS[name],), {"IS_FAULTY": is_faulty})()
        self.run = validate_call(chain.run_remote)
        self.names = load_input_schema(f"{SOURCE}:{name}").document["properties"]

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        """The answer to a request."""
        rejected = rejection(request)
        if rejected is not None:
            return rejected
        value = json.loads(request.body)
        try:
            output = self.run(**{name: value[name] for name in self.names if name in value})
        except ValidationError:
            return error(400, "client_error")
        except Exception:  # noqa: BLE001  # responsible: the chain
            return EndpointAnswer(status=500, body=b'{"error":"internal error"}')
        return EndpointAnswer(status=200, body=json.dumps(output).encode())


def clauses_violated(run_suite: RunSuite, name: str, *, is_faulty: bool) -> frozenset[str]:
    """The clauses that the check of the fault finds violated."""
    return frozenset(
        run_suite(
            SmallEndpoint(name, is_faulty=is_faulty),
            input_schema=load_input_schema(f"{SOURCE}:{name}"),
            checks=tuple(check for check in ALL_CHECKS if CHAINS[name].CHECK in check.name),
        ).clauses
    )


@pytest.mark.parametrize("name", NAMES)
def test_fault_of_a_small_chain_is_found(name: str, run_suite: RunSuite) -> None:
    """The finding names its clause."""
    assert {CHAINS[name].CLAUSE} == clauses_violated(run_suite, name, is_faulty=True)


@pytest.mark.parametrize("name", NAMES)
def test_correct_small_chain_has_no_findings(name: str, run_suite: RunSuite) -> None:
    """The same chain without the fault is not accused."""
    assert frozenset() == clauses_violated(run_suite, name, is_faulty=False)


def test_rejection_in_the_form_of_a_framework_is_found_by_the_check_of_answers(run_suite: RunSuite) -> None:
    """A missing argument that is answered 422 violates the status clause, whatever other checks send."""

    class Framework(SmallEndpoint):
        def __call__(self, request: EndpointRequest) -> EndpointAnswer:
            answer = super().__call__(request)
            is_invalid = answer.status == 400 and b"client_error" in answer.body and request.body == b"{}"
            return EndpointAnswer(status=422, body=b'{"detail":[]}') if is_invalid else answer

    checks = tuple(check for check in ALL_CHECKS if "every_kind_of_answer" in check.name)
    schema = load_input_schema(f"{SOURCE}:FalseForAbsent")
    server = Framework("FalseForAbsent", is_faulty=False)

    assert "status" in run_suite(server, input_schema=schema, checks=checks).clauses
