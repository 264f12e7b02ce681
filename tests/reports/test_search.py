"""Tests of reports on a search: its exit code, and that a record which contradicts its runs is rejected."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from chainproof.reports.command import main
from chainproof.results.folder import MANIFEST
from chainproof.results.search_record import SEARCH_FILE, read_search

from .sample_reports import finished_search


@pytest.fixture(name="search")
def finished(tmp_path: Path) -> Path:
    """The folder of a finished search."""
    finished_search(tmp_path)
    return next(tmp_path.iterdir())


def change(search: Path, **changes: object) -> None:
    """Change members of the record."""
    record = json.loads((search / SEARCH_FILE).read_text())
    (search / SEARCH_FILE).write_text(json.dumps({**record, **changes}))


def change_probe(search: Path, place: int, **changes: object) -> None:
    """Change members of a probe."""
    record = json.loads((search / SEARCH_FILE).read_text())
    record["probes"][place] |= changes
    (search / SEARCH_FILE).write_text(json.dumps(record))


WITHOUT_RATE = {"saturation_rate_per_s": None, "interval_per_s": [None, None]}


@pytest.mark.parametrize(("verdict", "code"), [("fail", 1), ("inconclusive", 3), ("invalid", 4), ("error", 70)])
def test_a_search_without_a_result_has_its_own_exit_code(verdict: str, code: int, search: Path) -> None:
    """Not that of its probes, of which some met the objectives and some missed them on purpose."""
    assert 0 == main([str(search)])
    change(search, **WITHOUT_RATE, verdict=verdict, no_rate_reason="unstable", summary="No result.")

    assert code == main([str(search)])
    assert code == main([str(search.parent)])


def test_a_probe_can_be_reported_alone(search: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is then an ordinary run with its own verdict."""
    main([str(search / "03_40"), "--json", "-"])

    assert [] == json.loads(capsys.readouterr().out)["searches"]


CONTRADICTIONS = {
    "another rate": (lambda search: change_probe(search, 0, rate=11.0), "is a run at 10.0 per second, not at 11"),
    "more ok answers": (lambda search: change_probe(search, 7, ok=420), "ok of 420 planned, not 420 of 420"),
    "another target": (lambda search: change(search, target="https://other.example"), "another target"),
    "other objectives": (lambda search: change(search, objectives=["error_rate < 90%"]), "other objectives"),
    "folders that were swapped": (
        lambda search: (change_probe(search, 0, folder="03_40"), change_probe(search, 2, folder="01_10")),
        "is a run at 40.0 per second, not at 10",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_record_that_contradicts_its_runs_is_rejected(
    case: str, search: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2; the message names the file and the run."""
    damage, message = CONTRADICTIONS[case]
    damage(search)

    assert 2 == main([str(search)])
    assert message in (error := capsys.readouterr().err)
    assert SEARCH_FILE in error


def test_a_record_or_manifest_that_leads_nowhere_is_damage(search: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The search is not reported as if it were plain runs, and no run is left out of a folder of runs."""
    run = next(child for child in sorted(search.iterdir()) if child.is_dir())
    for path in (search / SEARCH_FILE, run / MANIFEST):
        content = path.read_bytes()
        path.unlink()
        path.symlink_to(path.name)
        assert 2 == main([str(search)])
        assert path.name in capsys.readouterr().err
        path.unlink()
        path.write_bytes(content)
    (search / SEARCH_FILE).unlink()
    (run / MANIFEST).unlink()

    assert 2 == main([str(search)])
    assert MANIFEST in capsys.readouterr().err


def test_missing_run_folders_are_a_caveat(search: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of these probes cannot be checked; the report says so."""
    for folder in ("01_10", "03_40"):
        shutil.rmtree(search / folder)

    assert 0 == main([str(search)])
    assert "2 of 8 run folders are missing" in " ".join(capsys.readouterr().out.split())


def test_an_estimate_needs_six_rates_and_a_limit(search: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise the reason is given."""
    main([str(search), "--json", "-"])
    full = json.loads(capsys.readouterr().out)["searches"][0]["capacity"]
    for place in range(8):
        change_probe(
            search, place, in_flight=json.loads((search / SEARCH_FILE).read_text())["probes"][place]["rate"] / 10
        )
    main([str(search), "--json", "-"])
    straight = json.loads(capsys.readouterr().out)["searches"][0]["capacity"]
    for place in (3, 5):
        change_probe(search, place, growing=True)
    main([str(search), "--json", "-"])
    few = json.loads(capsys.readouterr().out)["searches"][0]["capacity"]

    record = read_search(search)

    assert record is not None
    assert record.saturation_rate is not None
    assert 7 == full["levels"]
    assert pytest.approx(0.7 * record.saturation_rate) == full["rate_at_target_utilisation_per_s"]
    assert (
        full["concurrency_target"]["low"] <= full["concurrency_target"]["value"] <= full["concurrency_target"]["high"]
    )
    assert "does not show a limit" in straight["reason"]
    assert "expected at least 6 rates in a steady state, found 5" in few["reason"]
