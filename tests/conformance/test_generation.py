"""
What chance has found once is found again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chainproof.conformance import options as settings_file
from chainproof.conformance.checks import body, checks_in
from chainproof.conformance.options import Depth
from chainproof.conformance.probing import hypothesis_runner

from .directly import run_suite_in_process
from .endpoints import EndpointAnswer, EndpointRequest, correct_endpoint, error, is_object

DRAWN = tuple(check for check in checks_in(body) if check.name == "generated_objects_are_accepted")


class Picky:
    """
    An endpoint that refuses objects with a false in them, and keeps what it was asked.
    """

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        self.heard.append(asked.body)
        return (
            error(400, "client_error") if is_object(asked.body) and b"false" in asked.body else correct_endpoint(asked)
        )


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    A database of its own.
    """
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path))
    monkeypatch.setitem(settings_file.EXAMPLES_BY_DEPTH, Depth.STANDARD, 80)


def test_what_departed_is_asked_first_the_next_time() -> None:
    """
    By another seed too, and whatever the seed would have drawn.
    """
    before, after = Picky(), Picky()
    found = run_suite_in_process(before, checks=DRAWN, is_stored=True).findings
    again = run_suite_in_process(after, checks=DRAWN, is_stored=True, seed=2).findings

    assert 1 == len(found) == len(again)
    assert b"false" not in before.heard[0]
    assert b"false" in after.heard[0]


def test_what_departs_no_more_is_forgotten() -> None:
    """
    A target that was mended is asked once more, and then no longer.
    """
    run_suite_in_process(Picky(), checks=DRAWN, is_stored=True)
    heard: list[bytes] = []

    def mended(asked: EndpointRequest) -> EndpointAnswer:
        heard.append(asked.body)
        return correct_endpoint(asked)

    assert [] == run_suite_in_process(mended, checks=DRAWN, is_stored=True).lines
    kept = heard[0]
    heard.clear()
    assert b"false" in kept
    assert [] == run_suite_in_process(mended, checks=DRAWN, is_stored=True).lines
    assert kept != heard[0]


def test_nothing_is_kept_where_there_is_no_run_folder(tmp_path: Path) -> None:
    """
    And the seed alone says what is asked.
    """
    one, other = Picky(), Picky()
    run_suite_in_process(one, checks=DRAWN)
    run_suite_in_process(other, checks=DRAWN)

    assert one.heard == other.heard
    assert [] == list(tmp_path.glob("examples/*"))


def test_the_database_is_hypothesiss_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In the working folder, unless its variable says otherwise.
    """
    monkeypatch.delenv("HYPOTHESIS_STORAGE_DIRECTORY")

    assert Path(".hypothesis/examples") == hypothesis_runner.examples_folder()
