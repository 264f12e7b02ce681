"""Violating examples that Hypothesis has found are stored and sent again."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainproof.conformance import options as settings_file
from chainproof.conformance.checks import body, checks_in
from chainproof.conformance.options import Depth
from chainproof.conformance.probing import hypothesis_runner
from chainproof.conformance.transport.check_skipped import CheckSkipped

from ..endpoints import EndpointAnswer, EndpointRequest, correct_endpoint, error, is_object
from ..in_process import run_suite_in_process

DRAWN = tuple(check for check in checks_in(body) if check.name == "generated_objects_are_accepted")


class FalseRejectingEndpoint:
    """An endpoint that rejects objects with a false in them, and records the bodies that it receives."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        self.bodies.append(request.body)
        if is_object(request.body) and b"false" in request.body:
            return error(400, "client_error")
        return correct_endpoint(request)


@pytest.fixture(autouse=True)
def _own_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test has a database of its own."""
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path))
    monkeypatch.setitem(settings_file.EXAMPLES_BY_DEPTH, Depth.STANDARD, 80)


def test_a_violating_example_is_sent_first_in_the_next_run() -> None:
    """The stored example comes first, with another seed too."""
    before, after = FalseRejectingEndpoint(), FalseRejectingEndpoint()
    first = run_suite_in_process(before, checks=DRAWN, is_stored=True).findings
    second = run_suite_in_process(after, checks=DRAWN, is_stored=True, seed=2).findings

    assert 1 == len(first) == len(second)
    assert b"false" not in before.bodies[0]
    assert b"false" in after.bodies[0]


def test_an_example_that_violates_nothing_any_more_is_deleted() -> None:
    """A repaired target is sent the stored example once more, and then no longer."""
    run_suite_in_process(FalseRejectingEndpoint(), checks=DRAWN, is_stored=True)
    bodies: list[bytes] = []

    def repaired(request: EndpointRequest) -> EndpointAnswer:
        bodies.append(request.body)
        return correct_endpoint(request)

    assert [] == run_suite_in_process(repaired, checks=DRAWN, is_stored=True).lines
    stored = bodies[0]
    bodies.clear()
    assert b"false" in stored
    assert [] == run_suite_in_process(repaired, checks=DRAWN, is_stored=True).lines
    assert stored != bodies[0]


def test_nothing_is_stored_without_a_run_folder(tmp_path: Path) -> None:
    """Then only the seed decides which examples are sent."""
    first, second = FalseRejectingEndpoint(), FalseRejectingEndpoint()
    run_suite_in_process(first, checks=DRAWN)
    run_suite_in_process(second, checks=DRAWN)

    assert first.bodies == second.bodies
    assert [] == list(tmp_path.glob("examples/*"))


def test_a_seed_draws_the_same_whatever_modules_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis would also draw the constants of modules of the working folder, and other code still gets them."""
    (tmp_path / "many_constants.py").write_text(f"TEXTS = {[f'text {number}' for number in range(1000)]}")
    monkeypatch.syspath_prepend(tmp_path)
    first, second = FalseRejectingEndpoint(), FalseRejectingEndpoint()
    run_suite_in_process(first, checks=DRAWN)
    importlib.import_module("many_constants")
    run_suite_in_process(second, checks=DRAWN)
    drawn: list[str] = []

    @settings(database=None, derandomize=True, max_examples=500)
    @given(st.text())
    def draw(text: str) -> None:
        drawn.append(text)

    draw()

    assert first.bodies == second.bodies
    assert any(text.startswith("text ") for text in drawn)


def test_the_database_is_in_hypothesiss_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is in the working folder unless `HYPOTHESIS_STORAGE_DIRECTORY` is set."""
    monkeypatch.delenv("HYPOTHESIS_STORAGE_DIRECTORY")

    assert Path(".hypothesis/examples") == hypothesis_runner.examples_folder()


def test_a_strategy_that_draws_nothing_skips_its_check() -> None:
    """It is no error of chainproof; the reason says what would make the check run."""
    with_settings = settings(max_examples=5, database=None, suppress_health_check=list(HealthCheck))
    nothing = with_settings(given(st.integers().filter(lambda _: False))(lambda _: None))

    with pytest.raises(CheckSkipped, match="add `examples`"):
        hypothesis_runner.run_hypothesis_test(nothing)
