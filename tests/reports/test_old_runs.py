"""`--keep N` removes the oldest runs, and nothing that may be something else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import orjson
import pytest

from chainproof.errors import UsageError
from chainproof.reports.command import main
from chainproof.reports.old_runs import QUIET, remove_old_runs
from chainproof.results.folder import END, MANIFEST

from .sample_runs import flaky_load


def write_runs(folder: Path, *days: int) -> None:
    """A run on each of these days of a month, named by it."""
    for day in days:
        path = folder / f"run-{day:02}"
        flaky_load(path)
        manifest = orjson.loads((path / MANIFEST).read_bytes())
        (path / MANIFEST).write_bytes(orjson.dumps({**manifest, "started": f"2026-11-{day:02}T00:00:00.000Z"}))


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_runs_stay(tmp_path: Path) -> None:
    """By the time in the manifest, not by name or by the time of a file."""
    write_runs(tmp_path, 3, 1, 20, 2)

    assert ("run-01", "run-02") == remove_old_runs(tmp_path, 2).removed
    assert ["run-03", "run-20"] == names(tmp_path)
    assert () == remove_old_runs(tmp_path, 2).removed


def test_only_runs_are_removed(tmp_path: Path) -> None:
    """A folder with a file of the user, a link, a file and a folder that is no run stay, with the reason."""
    runs = tmp_path / "runs"
    write_runs(runs, 1, 2, 3, 4)
    write_runs(tmp_path / "elsewhere", 1)
    (runs / "run-01" / "notes.txt").write_text("mine")
    (runs / "run-02" / "plots").mkdir()
    (runs / "link").symlink_to(tmp_path / "elsewhere" / "run-01")
    (runs / "notes").mkdir()
    (runs / "notes" / "manifest.txt").write_text("mine")
    removal = remove_old_runs(runs, 1)

    assert ("run-03",) == removal.removed
    assert ("run-01: it has other files (notes.txt)", "run-02: it has other files (plots)") == removal.left
    assert ["link", "notes", "run-01", "run-02", "run-04"] == names(runs)
    assert ["run-01"] == names(tmp_path / "elsewhere")


def test_a_run_that_may_still_go_on_stays(tmp_path: Path) -> None:
    """A run without an end is removed when nothing was written to it for an hour."""
    write_runs(tmp_path, 1, 2)
    (tmp_path / "run-01" / END).unlink()

    assert ("run-01: it has no end, so it may still go on",) == remove_old_runs(tmp_path, 1).left
    long_ago = time.time() - QUIET - 60
    for path in (tmp_path / "run-01").iterdir():
        os.utime(path, (long_ago, long_ago))
    assert ("run-01",) == remove_old_runs(tmp_path, 1).removed


def test_a_removal_that_was_killed_is_completed(tmp_path: Path) -> None:
    """What is left of it is no run, and goes with the next one."""
    write_runs(tmp_path, 1)
    (tmp_path / ".removed-run-00").mkdir()
    (tmp_path / ".removed-run-00" / "intervals.jsonl").touch()
    remove_old_runs(tmp_path, 5)

    assert ["run-01"] == names(tmp_path)


def test_a_run_is_no_folder_of_runs(tmp_path: Path) -> None:
    """So `--keep` does not remove files inside a run, nor with a wrong path."""
    write_runs(tmp_path, 1)
    for path in (tmp_path / "run-01", tmp_path / "run-01" / MANIFEST, tmp_path / "none"):
        with pytest.raises(UsageError, match="expected a folder of run folders"):
            remove_old_runs(path, 1)


def test_the_command_removes_before_it_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report is on the runs that are kept; standard error names the others."""
    write_runs(tmp_path, 1, 2)
    main([str(tmp_path), "--keep", "1", "--json", "-"])
    shown = capsys.readouterr()

    assert ["run-02"] == [run["run"] for run in orjson.loads(shown.out)["runs"]]
    assert "removed 1 old run: run-01" in shown.err
    for text in ("0", "two"):
        with pytest.raises(SystemExit, match="2"):
            main([str(tmp_path), "--keep", text])
        assert f"expected a whole number of at least 1, found '{text}'" in capsys.readouterr().err
