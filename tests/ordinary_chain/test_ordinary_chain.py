"""
Defects of an ordinary chain, FastAPI behind nginx, are found and named; without a defect it passes.

By default a fixed sample of the defects is tested, at depth quick. `CHAINPROOF_SAMPLE=all pytest tests/ordinary_chain` tests all
defects, and the correct chain at every depth.
"""

from __future__ import annotations

import faulthandler
import json
import os

import pytest

from chainproof.processes import chainproof_command

from ..processes import run_process
from ..waiting import PATIENCE
from .defects import DEFECTS
from .serving import FOLDER, KEY, missing_software, running_chain

pytestmark = pytest.mark.skipif(bool(missing_software()), reason=f"needs {missing_software()}")
ALL = os.environ.get("CHAINPROOF_SAMPLE") == "all"
SAMPLE = sorted(DEFECTS) if ALL else ["html-errors"]


def run_conformance(origin, out, depth, *options):
    """The result of a run with the chain's schemas."""
    schema = f"{FOLDER / 'app.py'}:Chain"
    command = chainproof_command(
        "conformance", "--target", origin, "--depth", depth, "--seed", "1", "--out", str(out),
        "--input-schema", schema, "--output-schema", schema, *options,
    )  # fmt: skip  # options and values in pairs
    return run_process(command, env={**os.environ, "BASETEN_API_KEY": KEY}, timeout=4 * PATIENCE)


def finding_lines(out):
    """The findings of a run."""
    return [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", SAMPLE)
def test_a_defect_is_found_and_named(name, tmp_path):
    """
    A run fails, or passes with a warning if the defect violates a recommendation, and a finding names one of the clauses
    that the defect violates.
    """
    with running_chain(name, tmp_path) as origin:
        result = run_conformance(origin, tmp_path / "run", "quick", *(() if ALL else ("-k", "body- or failure-")))
    found = {each["clause"] for each in finding_lines(tmp_path / "run")}
    expected_exit_code = 0 if DEFECTS[name].is_warning else 1
    assert result.returncode == expected_exit_code, result.stdout[-3000:]
    assert found & set(DEFECTS[name].clauses), sorted(found)


@pytest.mark.parametrize("depth", ("quick", "standard", "deep") if ALL else ("quick",))
def test_the_correct_chain_passes(depth, tmp_path):
    """The chain without a defect passes."""
    if depth == "deep":
        faulthandler.cancel_dump_traceback_later()  # it takes longer than pytest permits for other tests
    with running_chain("", tmp_path) as origin:
        result = run_conformance(origin, tmp_path / "run", depth)
    assert 0 == result.returncode, result.stdout[-3000:] + result.stderr[-2000:]
