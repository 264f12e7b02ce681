"""Reports on the folder of a series: runs that are missing, exchanged or added are noticed, and named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from chainproof.judgement.verdict import ExitCode
from chainproof.reports.command import main
from chainproof.results.manifest import Series, SeriesKind, Side
from chainproof.results.series_record import SERIES_FILE, SeriesRecord, write_series

from .sample_runs import drawn_intervals, load_manifest, write_load


def a_series(folder: Path, name: str = "a") -> Path:
    """A series of three runs."""
    places = {f"0{n}": Series(id=name, kind=SeriesKind.REPEAT, index=n, side=Side.CANDIDATE) for n in (1, 2, 3)}
    for run, series in places.items():
        write_load(folder / run, drawn_intervals(2, 20), manifest=replace(load_manifest(), series=series))
    write_series(folder, SeriesRecord(runs=places, ended=True))
    return folder


def change_record(folder: Path, **changes: Any) -> None:
    """Change members of the record."""
    data = orjson.loads((folder / SERIES_FILE).read_bytes())
    (folder / SERIES_FILE).write_bytes(orjson.dumps({**data, **changes}))


def exchange(folder: Path) -> None:
    """Give two runs each other's name."""
    (folder / "01").rename(folder / "x")
    (folder / "02").rename(folder / "01")
    (folder / "x").rename(folder / "02")


def replace_run(folder: Path, put: Callable[[Path, Path], object]) -> None:
    """Put the run of another series in the place of one."""
    shutil.rmtree(folder / "02")
    put(a_series(folder.parent / "other", "b") / "02", folder / "02")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda folder: shutil.rmtree(folder / "03"), "03"),
    "exchanged": (exchange, "01"),
    "of another series": (lambda folder: replace_run(folder, shutil.copytree), "02"),
    "a link to another series": (lambda folder: replace_run(folder, lambda run, to: to.symlink_to(run)), "02"),
    "a link to nowhere": (lambda folder: replace_run(folder, lambda _, to: to.symlink_to("nowhere")), "02"),
    "a copy": (lambda folder: shutil.copytree(folder / "01", folder / "04"), "04"),
    "without a manifest": (lambda folder: (folder / "02" / "manifest.json").unlink(), "02"),
    "torn record": (lambda folder: (folder / SERIES_FILE).write_bytes(b'{"format":1,"runs":{'), SERIES_FILE),
    "newer record": (lambda folder: change_record(folder, format=2), SERIES_FILE),
    "wrong types": (lambda folder: change_record(folder, runs=["01"]), SERIES_FILE),
    "wrong place": (lambda folder: change_record(folder, runs={"01": {"id": 1}}), SERIES_FILE),
    "wrong kind": (
        lambda folder: change_record(folder, runs={"01": {"id": "a", "kind": "x", "index": 1, "side": "candidate"}}),
        SERIES_FILE,
    ),
    "outside": (
        lambda folder: change_record(
            folder, runs={"../01": {"id": "a", "kind": "repeat", "index": 1, "side": "candidate"}}
        ),
        SERIES_FILE,
    ),
    "folder as record": (lambda folder: ((folder / SERIES_FILE).unlink(), (folder / SERIES_FILE).mkdir()), SERIES_FILE),
}
"""What may happen to the folder of a series, and the name in the message."""


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_series_is_rejected(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line that names the run or the file; also as the baseline and in a history."""
    change, name = DAMAGE[damage]
    change(a_series(tmp_path / "series"))
    write_load(tmp_path / "run", drawn_intervals(2, 20))
    commands = [["series"], ["."], ["run", "--against", "series"], ["--history", "series"]]
    for words in commands if damage == "missing" else commands[:1]:
        code = main([word if word.startswith("-") else str(tmp_path / word) for word in words])
        shown = capsys.readouterr()

        assert ExitCode.USAGE == code, words
        assert 1 == shown.err.count("\n")
        assert f"/{name}" in shown.err


def test_an_intact_series_is_reported(tmp_path: Path) -> None:
    """So is one that was killed before all of its runs were made, and each run by itself."""
    folder = a_series(tmp_path / "series")

    assert main([str(folder)]) != ExitCode.USAGE
    shutil.rmtree(folder / "03")
    assert main([str(folder / "01"), str(folder / "02")]) != ExitCode.USAGE
    change_record(folder, ended=False)
    assert main([str(folder)]) != ExitCode.USAGE


def test_runs_of_a_series_are_not_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--keep` would leave a series without some of its runs."""
    folder = a_series(tmp_path / "series")

    assert ExitCode.USAGE == main([str(folder), "--keep", "1"])
    assert "found a series" in capsys.readouterr().err
    assert 4 == len(list(folder.iterdir()))
