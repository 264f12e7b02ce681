"""
Chains that remember by design are not accused, and those that mix up requests are.

By default some of them are tested in this process. `CHAINPROOF_SAMPLE=all pytest tests/ordinary_chain` also runs all checks
against all of them as FastAPI servers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from pydantic import ValidationError, validate_call

from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.judging.output_comparison import leaves
from chainproof.conformance.probing.outputs.difference_confirmation import own_values
from chainproof.processes import chainproof_command

from ..conformance.conftest import run_suite
from ..conformance.endpoints import EndpointAnswer, error, rejection
from ..processes import run_process
from ..waiting import PATIENCE
from .serving import FOLDER, KEY, free_port, missing_software, wait_for_port
from .stateful_chains import CHAINS, CORRECT, FAULTY, BadRequest

__all__ = ["run_suite"]

SOURCE = FOLDER / "stateful_chains.py"
CHECKS = tuple(check for check in ALL_CHECKS if check.module in ("consistency", "typed_inputs"))
ALL = os.environ.get("CHAINPROOF_SAMPLE") == "all"
SAMPLE = {"FirstWriteWins", "StrictIdempotency", "RateCounter", "PreferencesOfEveryone", "CapitalsForEver"}


class ChainEndpoint:
    """A chain behind a correct gateway, in this process."""

    def __init__(self, name):
        self.chain = CHAINS[name]()
        self.run = validate_call(self.chain.run_remote)
        self.names = load_input_schema(f"{SOURCE}:{name}").document["properties"]

    def __call__(self, request):
        """The answer to a request."""
        answer = rejection(request) or self.answer(json.loads(request.body))
        if answer.status >= 400 and hasattr(self.chain, "fail"):
            self.chain.fail()
        return answer

    def answer(self, value):
        """The answer to a JSON object."""
        try:
            output = self.run(**{name: value[name] for name in self.names if name in value})
        except (ValidationError, BadRequest):
            return error(400, "client_error")
        return EndpointAnswer(status=200, body=json.dumps(output.model_dump()).encode())


def names(chains):
    """The names of the chains of the sample."""
    return [chain.__name__ for chain in chains if ALL or chain.__name__ in SAMPLE]


def run_in_process(run_suite, name):
    """The result of the checks that compare answers."""
    source = f"{SOURCE}:{name}"
    return run_suite(
        ChainEndpoint(name),
        input_schema=load_input_schema(source),
        output_schema=load_output_schema(source),
        checks=CHECKS,
    )


@pytest.mark.parametrize("name", names(CORRECT))
def test_a_chain_that_remembers_by_design_is_not_accused(name, run_suite):
    """Stores, counters, sessions, allowances and chance are no faults."""
    assert [] == run_in_process(run_suite, name).lines


@pytest.mark.parametrize("name", names(FAULTY))
def test_a_chain_that_mixes_up_requests_is_accused(name, run_suite):
    """A finding names one of its clauses."""
    result = run_in_process(run_suite, name)

    assert result.clauses & FAULTY[CHAINS[name]], result.lines


def test_values_of_the_own_request_belong_to_no_other_request():
    """A first answer with the own note is right, even if later ones greet a known customer instead."""
    request = SimpleNamespace(body=b'{"customer":"Ada","note":"at noon"}')
    output = leaves({"note": "at noon", "total": 9.5})

    assert {("note",)} == own_values(SimpleNamespace(request=request, output=output))


@pytest.mark.skipif(not ALL, reason="CHAINPROOF_SAMPLE=all runs it")
@pytest.mark.skipif(bool(missing_software()), reason=f"needs {missing_software()}")
@pytest.mark.parametrize("depth", ["quick", "standard"])
@pytest.mark.parametrize("name", CHAINS)
def test_a_real_server_is_judged_alike(name, depth, tmp_path):
    """The exit code is 0 for a correct chain and 1 for a faulty one, with all checks."""
    port, environment = free_port(), {**os.environ, "BASETEN_API_KEY": KEY}
    server = subprocess.Popen([sys.executable, str(FOLDER / "stateful_app.py"), str(port), name], env=environment)
    try:
        wait_for_port(port)
        command = chainproof_command(
            "conformance", "--target", f"http://127.0.0.1:{port}", "--depth", depth, "--seed", "1",
            "--out", str(tmp_path / "run"), "--input-schema", f"{SOURCE}:{name}", "--output-schema", f"{SOURCE}:{name}",
        )  # fmt: skip  # options and values in pairs
        done = run_process(command, env=environment, timeout=4 * PATIENCE)
    finally:
        server.terminate()
        server.wait(10)
    findings = tmp_path / "run" / "findings.jsonl"
    found = {json.loads(line)["clause"] for line in findings.read_text().splitlines()} if findings.exists() else set()

    assert int(CHAINS[name] in FAULTY) == done.returncode, done.stdout[-3000:]
    assert CHAINS[name] not in FAULTY or found & FAULTY[CHAINS[name]], sorted(found)
