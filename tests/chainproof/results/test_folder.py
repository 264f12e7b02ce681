"""Run folders: writing, reading, kills, damaged files and names."""

from __future__ import annotations

import os
import resource
import string
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainproof.contract import clauses
from chainproof.contract.target import parse_target
from chainproof.contract.violations import Violation
from chainproof.machine_faults import MachineFault
from chainproof.results import run_writer
from chainproof.results.exchange import Exchange, NotSent, Outcome, Result, Transport
from chainproof.results.exemplar import exemplar
from chainproof.results.finding import ClauseCount, finding
from chainproof.results.folder import (
    CLAUSES,
    END,
    EXEMPLARS,
    FINDINGS,
    INTERVALS,
    MANIFEST,
    PLANS,
    FolderError,
    find_runs,
    read_run,
)
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import (
    FORMAT,
    Ending,
    RunEnd,
    Series,
    SeriesKind,
    Side,
    versions,
)
from chainproof.results.run_writer import RunWriter, check_writable, create_run_folder, remove_if_empty

from ...manifests import load_manifest

STARTED = "2026-11-22T13:27:00.250Z"
TARGET = parse_target("http://127.0.0.1:8080")
LOAD = load_manifest(
    started=STARTED,
    target=TARGET.url,
    emulated=True,
    contract="documented",
    seed=7,
    settings={"rate": 12.5, "arrivals": "poisson"},
    objectives=("p95 response_time < 800ms",),
    versions=versions("orjson", "no-such-package"),
)
FINISH = RunEnd(ending=Ending.COMPLETED, seconds=2.5, accounting={"planned": 6, "sent": 5}, note="")
LIMITED = Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED)
OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
LATE = Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT)


def second(number: int, worker: str = "0") -> Interval:
    """One second with some of everything."""
    interval = Interval(second=number, worker=worker, in_flight=2, in_flight_max=3)
    for _ in range(4):
        interval.count_planned()
    interval.count_not_sent(NotSent.MAX_IN_FLIGHT)
    for lag, outcome in ((0.001, OK), (0.002, LIMITED), (0.003, LATE)):
        interval.count_all_sent([lag])
        interval.count_outcomes(outcome, [0.1 + number], [0.09 + number])
    return interval


EXCHANGE = Exchange(number=3, intended_start=0.5, start=0.6, end=0.9, outcome=LIMITED, request_id="9d3f")
EXEMPLAR = exemplar(EXCHANGE, why="outcome", reason="429")
FINDING = finding(
    Violation(clause=clauses.STATUS, expected="one of …", actual="418"), reproduce="curl …", request_id="9d3f", seed=7
)
COUNT = ClauseCount(clause=clauses.STATUS.id, exercised=10, violations=0)


def write(path: Path, *, seconds: int = 3, end: RunEnd | None = FINISH) -> None:
    """Write a run folder with every kind of line."""
    with RunWriter(path, LOAD) as writer:
        for number in range(seconds):
            writer.write_interval(second(number))
            writer.write_exemplar(replace(EXEMPLAR, number=number))
            writer.write_finding(replace(FINDING, actual=str(500 + number)))
            writer.write_clause(replace(COUNT, clause=clauses.CLAUSES[number].id))
        if end is not None:
            writer.finish(end)


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Manifest, intervals, exemplars, findings, clause counts and end are equal after reading, in order."""
    write(tmp_path / "run")
    run = read_run(tmp_path / "run")

    assert (LOAD, FINISH, {}) == (run.manifest, run.end, run.damage)
    assert tuple(second(number) for number in range(3)) == run.intervals
    assert tuple(replace(EXEMPLAR, number=number) for number in range(3)) == run.exemplars
    assert tuple(replace(FINDING, actual=str(500 + number)) for number in range(3)) == run.findings
    assert tuple(replace(COUNT, clause=clause.id) for clause in clauses.CLAUSES[:3]) == run.clauses


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("kind", SeriesKind)
def test_the_place_in_a_series_is_read_as_it_was_written(tmp_path: Path, kind: SeriesKind, side: Side) -> None:
    """A run of a series has its id, kind, index and side in the manifest."""
    manifest = replace(LOAD, series=Series(id="a1", kind=kind, index=2, side=side))
    with RunWriter(tmp_path / "run", manifest) as writer:
        writer.finish(FINISH)

    run = read_run(tmp_path / "run")

    assert (manifest, {}) == (run.manifest, run.damage)
    assert {"id": "a1", "kind": kind, "index": 2, "side": side} == orjson.loads(
        (tmp_path / "run" / MANIFEST).read_bytes()
    )["series"]


@pytest.mark.parametrize(("octets", "stored"), [("ü☃".encode(), "ü☃"), (b"a\xff", "a\ufffd")])
def test_file_names_of_any_bytes_are_stored(tmp_path: Path, octets: bytes, stored: str) -> None:
    """As UTF-8 if they are, which Python does not see in the C locale, and else with a replacement character."""
    name = octets.decode("ascii", "surrogateescape")
    with RunWriter(tmp_path / "run", replace(LOAD, settings={"payloads": name})) as writer:
        writer.write_exemplar(replace(EXEMPLAR, reason=name))
        writer.finish(FINISH)
    run = read_run(tmp_path / "run")

    assert stored == run.manifest.settings["payloads"] == run.exemplars[0].reason
    assert {} == run.damage


def test_a_manifest_without_a_series_is_read(tmp_path: Path) -> None:
    """A folder that was written before there were series is no run of one."""
    (tmp_path / MANIFEST).write_bytes(
        orjson.dumps({name: value for name, value in LOAD.to_json().items() if name != "series"})
    )

    assert LOAD == read_run(tmp_path).manifest


@pytest.mark.parametrize("name", [INTERVALS, EXEMPLARS, FINDINGS, CLAUSES])
def test_a_file_cut_at_any_byte_loses_only_its_last_line(tmp_path: Path, name: str) -> None:
    """After a kill, everything before the last line is read, and no line counts as unreadable."""
    write(tmp_path / "complete", end=None)
    content = (tmp_path / "complete" / name).read_bytes()
    field = {INTERVALS: "intervals", EXEMPLARS: "exemplars", FINDINGS: "findings", CLAUSES: "clauses"}[name]
    lines = getattr(read_run(tmp_path / "complete"), field)
    cut = copytree(tmp_path / "complete", tmp_path / "cut")
    for size in range(len(content) + 1):
        (cut / name).write_bytes(content[:size])
        run = read_run(cut)

        assert lines[: content[:size].count(b"\n")] == getattr(run, field)
        assert (run.damage, run.end) == ({}, None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.sampled_from([INTERVALS, EXEMPLARS, FINDINGS, CLAUSES, END]),
    st.binary(max_size=30)
    | st.sampled_from([b"{}", b"[]", b"5", b"null", b'"x"', b'{"second": 1}', b'{"clause": "x"}']),
)
def test_unreadable_lines_are_ignored_and_reported(tmp_path: Path, name: str, junk: bytes) -> None:
    """The other lines are read, and the file is known to be damaged."""
    if not (tmp_path / "run").exists():
        write(tmp_path / "run")
    line = junk.replace(b"\n", b"")
    path = tmp_path / "run" / name
    content = path.read_bytes()
    path.write_bytes(line + b"\n" + (content if name != END else b""))
    run = read_run(tmp_path / "run")
    path.write_bytes(content)

    assert len(run.intervals) == len(run.exemplars) == len(run.findings) == len(run.clauses) == 3
    assert list(run.damage) == [name]
    assert (run.end is None) is (name == END)


@pytest.mark.parametrize("name", [INTERVALS, EXEMPLARS, FINDINGS, CLAUSES])
@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-2]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"{", b"{ ", 1)),
        lambda path: path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:])),
        lambda path: path.write_bytes(path.read_bytes() * 2),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["deleted", "emptied", "torn", "changed", "first line removed", "doubled", "a folder"],
)
def test_a_file_that_is_not_as_it_was_written_is_named(
    tmp_path: Path, name: str, spoil: Callable[[Path], object]
) -> None:
    """After the end of a run, every loss and every change of a file is noticed."""
    write(tmp_path / "run")
    spoil(tmp_path / "run" / name)
    run = read_run(tmp_path / "run")

    assert name in run.damage


def test_a_manifest_that_was_edited_is_named(tmp_path: Path) -> None:
    """A looser objective that was written later is not the objective of the run."""
    write(tmp_path / "run")
    manifest = tmp_path / "run" / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b"800ms", b"900ms"))

    assert read_run(tmp_path / "run").damage == {MANIFEST: "its content was changed after the run"}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"ending": "completed"', b"[]"])
def test_an_end_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    """Without it nothing is known about the other files."""
    write(tmp_path / "run")
    (tmp_path / "run" / END).write_bytes(content)
    run = read_run(tmp_path / "run")

    assert list(run.damage) == [END]
    assert run.end is None


def test_a_file_that_the_run_did_not_write_is_named(tmp_path: Path) -> None:
    """Lines from elsewhere are not part of the run."""
    write(tmp_path / "run")
    (tmp_path / "run" / PLANS).write_text("")

    assert read_run(tmp_path / "run").damage == {PLANS: "the run did not write this file"}


def test_a_violation_without_its_finding_is_damage(tmp_path: Path) -> None:
    """Also in a run that was killed, where no digest was written."""
    with RunWriter(tmp_path / "run", LOAD) as writer:
        writer.write_clause(replace(COUNT, violations=1))

    assert read_run(tmp_path / "run").damage == {
        FINDINGS: f"violations of {COUNT.clause} were counted, but the findings are missing"
    }


def test_a_finding_that_was_counted_with_another_one_is_not_read(tmp_path: Path) -> None:
    """A later line with the count 0 removes it."""
    with RunWriter(tmp_path / "run", LOAD) as writer:
        writer.write_finding(replace(FINDING, count=2))
        writer.write_finding(replace(FINDING, count=0))

    assert read_run(tmp_path / "run").findings == ()


def test_a_later_line_replaces_an_earlier_one(tmp_path: Path) -> None:
    """A finding, a clause count or an exemplar that is written again is read once, as last written."""
    with RunWriter(tmp_path / "run", LOAD) as writer:
        for times in (1, 2, 3):
            writer.write_finding(replace(FINDING, count=times))
            writer.write_finding(replace(FINDING, actual="419", count=times))
            writer.write_clause(replace(COUNT, exercised=times))
            writer.write_exemplar(replace(EXEMPLAR, reason=str(times)))
    run = read_run(tmp_path / "run")

    assert run.findings == (replace(FINDING, count=3), replace(FINDING, actual="419", count=3))
    assert run.clauses == (replace(COUNT, exercised=3),)
    assert run.exemplars == (replace(EXEMPLAR, reason="3"),)
    assert FINDING.with_added_count() == replace(FINDING, count=2)


def test_lines_are_written_without_buffering(tmp_path: Path) -> None:
    """A kill loses no line that was written."""
    with RunWriter(tmp_path / "run", LOAD) as writer:
        writer.write_interval(second(0))

        assert len(read_run(tmp_path / "run").intervals) == 1


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may get larger than so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 700, 5000])
def test_a_file_that_cannot_grow_ends_with_a_complete_line(tmp_path: Path, room: int) -> None:
    """What could be written of a line is removed again, and the end of the run is written with what was recorded."""
    writer = RunWriter(tmp_path / "run", LOAD)
    writer.write_interval(second(0))
    with largest_file((tmp_path / "run" / INTERVALS).stat().st_size + room):
        with pytest.raises(
            MachineFault, match=f"cannot write to the run folder {tmp_path}/run: file too large"
        ) as caught:
            deque(map(writer.write_interval, map(second, range(1, 100))), maxlen=0)
        writer.finish(replace(FINISH, ending=Ending.MACHINE_FAULT, note=str(caught.value)))
    run = read_run(tmp_path / "run")

    assert run.intervals
    assert not run.damage
    assert run.end is not None
    assert Ending.MACHINE_FAULT is run.end.ending


@pytest.mark.parametrize(
    "put", [lambda path, _: os.mkfifo(path), lambda path, other: path.symlink_to(other)], ids=["pipe", "link"]
)
def test_a_run_writes_only_files_of_its_own(put: Callable[[Path, Path], None], tmp_path: Path) -> None:
    """It follows no link that somebody put into the folder, and does not wait for the reader of a pipe."""
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    with RunWriter(tmp_path / "run", LOAD) as writer:
        put(tmp_path / "run" / FINDINGS, other)
        with pytest.raises(MachineFault, match=f"cannot write to the run folder {tmp_path}/run: file exists"):
            writer.write_finding(FINDING)

    assert b"mine" == other.read_bytes()


def test_a_run_whose_last_counts_of_findings_are_lost_has_an_end(tmp_path: Path) -> None:
    """It was not completed: a problem of the machine ended it. Writing the end once more changes nothing."""
    writer = RunWriter(tmp_path / "run", LOAD)
    for number in range(20):
        writer.write_finding(replace(FINDING, actual=str(number), count=2))
    with largest_file((tmp_path / "run" / FINDINGS).stat().st_size):
        writer.write_finding(replace(FINDING, actual="0", count=3))
        with pytest.raises(MachineFault, match="file too large"):
            writer.finish(FINISH)
        writer.finish(FINISH)
    run = read_run(tmp_path / "run")

    assert ({}, 20) == (run.damage, len(run.findings))
    assert run.end is not None
    assert Ending.MACHINE_FAULT is run.end.ending
    assert "file too large" in run.end.note


def test_a_file_whose_first_line_cannot_be_written_is_no_damage(tmp_path: Path) -> None:
    """The run has created it, and the reason for its end is the machine."""
    with RunWriter(tmp_path / "run", LOAD) as writer:
        with largest_file(0), pytest.raises(MachineFault, match="file too large"):
            writer.write_clause(COUNT)
        writer.finish(replace(FINISH, ending=Ending.MACHINE_FAULT))

    assert {} == read_run(tmp_path / "run").damage


@pytest.mark.parametrize("size", [0, 5000], ids=["manifest", "end"])
def test_a_run_that_cannot_begin_leaves_nothing(size: int, tmp_path: Path) -> None:
    """The same folder can be used once there is space; the message says what to do."""
    with largest_file(size), pytest.raises(FolderError, match=r"cannot write a run folder at .*; raise the limit"):
        RunWriter(tmp_path / "run", LOAD)

    assert [] == list((tmp_path / "run").iterdir())
    write(tmp_path / "run")


def test_the_end_of_a_run_can_be_written_on_a_full_disk(tmp_path: Path) -> None:
    """Its draft takes up the space before the run, and no more than that is needed."""
    with RunWriter(tmp_path / "run", LOAD) as writer:
        draft = tmp_path / "run" / f"{END}.part"
        before = draft.stat()
        writer.write_interval(second(0))
        writer.finish(FINISH)
        after = (tmp_path / "run" / END).stat()

    assert before.st_ino == after.st_ino
    assert after.st_size < before.st_size == before.st_blocks * 512


def test_a_folder_that_was_deleted_is_noticed_at_the_next_line(tmp_path: Path) -> None:
    """A file that has no name any more would take up a run without an end."""
    with RunWriter(tmp_path / "run", LOAD) as writer:
        writer.write_interval(second(0))
        rmtree(tmp_path / "run")
        with pytest.raises(MachineFault, match=r"cannot write to the run folder .*: no such file or directory"):
            writer.write_interval(second(1))


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    """A folder with files is rejected; an empty or a missing folder is accepted."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new/and/deep"):
        check_writable(tmp_path / name)
        write(tmp_path / name)

        with pytest.raises(FolderError, match="name another with --out"):
            write(tmp_path / name)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file", "found a file"),
        ("file/run", "found a file"),
        ("x" * 300, "file name too long"),
    ],
)
def test_an_unusable_path_is_rejected_before_the_run(tmp_path: Path, path: str, message: str) -> None:
    """It is rejected before the run rather than at its end."""
    (tmp_path / "file").touch()

    with pytest.raises(FolderError, match=message):
        check_writable(tmp_path / path)


def test_a_read_only_file_system_is_reported_in_one_line() -> None:
    """Only such a file system stops root; other users are rejected before they try."""
    with pytest.raises(FolderError, match="cannot write a run folder at /proc/chainproof/run"):
        RunWriter(Path("/proc/chainproof/run"), LOAD)


def test_only_one_of_many_runs_gets_a_folder(tmp_path: Path) -> None:
    """Runs that choose the same name at the same time do not mix their lines."""

    def attempt(number: int) -> int:
        try:
            RunWriter(tmp_path / "run", replace(LOAD, seed=number)).close()
        except FolderError:
            return -1
        return number

    with ThreadPoolExecutor(16) as pool:
        winners = [seed for seed in pool.map(attempt, range(64)) if seed >= 0]

    assert winners == [read_run(tmp_path / "run").manifest.seed]


def test_a_run_created_after_the_check_keeps_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another run takes the folder between check and write, it stays unchanged."""
    monkeypatch.setattr(run_writer, "check_writable", lambda path: None)
    write(tmp_path / "run")

    with pytest.raises(FolderError, match="another run is already there"):
        RunWriter(tmp_path / "run", replace(LOAD, seed=8))
    assert read_run(tmp_path / "run").manifest == LOAD
    assert not list((tmp_path / "run").glob("*.part"))


def test_an_existing_name_gets_a_number(tmp_path: Path) -> None:
    """Runs of the same second get different names, valid on every file system."""
    paths = [create_run_folder("steady", TARGET, tmp_path, started=STARTED) for _ in range(3)]

    assert [path.name for path in paths] == [
        f"20261122T132700Z_steady_127.0.0.1-8080{suffix}" for suffix in ("", "-2", "-3")
    ]
    assert create_run_folder("x", TARGET, tmp_path).name.endswith("Z_x_127.0.0.1-8080")
    assert set(paths[0].name) <= set(string.ascii_letters + string.digits + "_.-")


def test_simultaneous_runs_get_folders_of_their_own(tmp_path: Path) -> None:
    """Every caller gets a new folder, even if others remove empty ones and the root at the same time."""

    def attempt(number: int) -> Path:
        path = create_run_folder("steady", TARGET, tmp_path / "runs", started=STARTED)
        if number % 2:
            write(path)
        else:
            remove_if_empty(path)
        return path

    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(attempt, range(64)))

    assert {path.name for path in (tmp_path / "runs").iterdir()} == {path.name for path in paths[1::2]}
    assert 32 == len(set(paths[1::2]))


def test_a_root_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    """The message says what is in the way."""
    (tmp_path / "runs").touch()

    with pytest.raises(FolderError, match="runs is a file; name another with --out"):
        create_run_folder("steady", TARGET, tmp_path / "runs")


def test_find_runs_finds_the_run_or_the_runs_in_a_folder(tmp_path: Path) -> None:
    """A path is a run folder, or contains run folders."""
    for name in ("2_b", "1_a"):
        write(tmp_path / "runs" / name)
    (tmp_path / "runs" / "notes").mkdir()
    inside = [tmp_path / "runs" / name for name in ("1_a", "2_b")]

    assert inside == find_runs(tmp_path / "runs")
    assert inside[:1] == find_runs(inside[0])


@pytest.mark.parametrize(
    ("path", "message"), [("nowhere", "found nothing"), ("file", "found a file"), ("empty", "found no manifest.json")]
)
def test_a_path_without_a_run_is_reported_in_one_line(tmp_path: Path, path: str, message: str) -> None:
    """The message says what was expected and what was found, for one run and for several."""
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for read in (read_run, find_runs):
        with pytest.raises(FolderError, match=message):
            read(tmp_path / path)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"", "cannot understand"),
        (b"[]", "cannot understand"),
        (b"{}", "`contract` is missing"),
        (orjson.dumps({**LOAD.to_json(), "kind": "stress"}), "stress"),
        (
            orjson.dumps({**LOAD.to_json(), "format": FORMAT + 1}),
            f"format {FORMAT}, found {FORMAT + 1} .*a newer chainproof",
        ),
        (
            orjson.dumps({**LOAD.to_json(), "format": FORMAT - 1}),
            f"format {FORMAT}, found {FORMAT - 1} .*an older chainproof",
        ),
    ],
)
def test_an_unreadable_manifest_is_rejected(tmp_path: Path, manifest: bytes, message: str) -> None:
    """The message says which format was expected and found, or what is wrong with the manifest."""
    (tmp_path / MANIFEST).write_bytes(manifest)

    with pytest.raises(FolderError, match=message):
        read_run(tmp_path)


def test_no_temporary_file_remains(tmp_path: Path) -> None:
    """Manifest and end are written completely or not at all."""
    write(tmp_path / "run")

    assert {MANIFEST, END, INTERVALS, EXEMPLARS, FINDINGS, CLAUSES} == {p.name for p in (tmp_path / "run").iterdir()}
