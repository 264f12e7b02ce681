"""
The page docs/troubleshooting.md is true: each of its lines is provoked, and gives the message and the exit code of the page.

Those with a load run are provoked with `CHAINPROOF_SAMPLE=all` only, except for one.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

import pytest

from chainproof.__main__ import main as chainproof
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.endpoint import Endpoint
from chainproof.processes import chainproof_command
from chainproof.reports.command import main as reports
from chainproof.results.coverage import Coverage
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.folder import INTERVALS, MANIFEST
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, RunEnd, RunKind, Series, SeriesKind, Side
from chainproof.results.run_writer import RunWriter
from chainproof.results.series_record import SeriesRecord, write_series

from ..manifests import load_manifest
from ..processes import clean_environment
from ..waiting import PATIENCE, await_condition

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
SAMPLE_ALL = os.environ.get("CHAINPROOF_SAMPLE") == "all"
LOAD = "chainproof loadtests --rate 50 --no-html --quiet --out run --duration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a table of the page."""

    situation: str
    message: str
    code: str


def lines_of_page() -> Iterator[Line]:
    """The lines of all tables."""
    for row in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        if row.startswith("|") and len(cells) == 4 and cells[0] not in ("situation", "---"):
            yield Line(situation=cells[0], message=cells[1].strip("`").strip(), code=cells[2])


LINES = {line.situation: line for line in lines_of_page()}

COMMANDS: dict[str, str] = {
    "no API key": "unset BASETEN_API_KEY; chainproof call --target http://127.0.0.1:1",
    "nothing listens at the target": "chainproof call --target http://127.0.0.1:1",
    "the name of the target does not exist": "chainproof call --target https://nope.invalid",
    "a target without TLS that is not on this machine": "chainproof call --target http://nope.invalid",
    "a misspelt option": "chainproof call --paylod x",
    "an objective that cannot be read": "chainproof loadtests --objective 'p95 < 1s'",
    "a mistake in a workload file": "chainproof loadtests w.toml",
    "a mistake in a payload file": "chainproof loadtests --payloads p.jsonl",
    "a schema that takes too long, or has no value": "chainproof loadtests --input-schema slow.json",
    "a pipe in place of a file": "echo '{}' | chainproof loadtests --payloads /dev/stdin",
    "Ctrl-\\ (SIGQUIT)": "env --default-signal=QUIT chainproof emulator -- sh -c 'kill -QUIT $PPID'; exit $?",
    "a run folder that has files": "chainproof loadtests --out full",
    "a run folder that cannot be written": "chainproof loadtests --out /proc/x",
    "a limit of open files that is too low": "ulimit -n 100; chainproof loadtests",
    "a plan that is too long": "chainproof loadtests --rate 100000 --duration 10h",
    "a limit of memory that is too low": "ulimit -v 60000; chainproof reports .",
    "a limit of address space, with charts": "ulimit -v 700000; chainproof reports load --json load.json --html load.html",
    "a limit of the stack that is too low": "ulimit -s 512; chainproof reports .",
    "no more processes or threads allowed": "unprivileged chainproof loadtests --out /tmp/chainproof-nowhere",
    "the working folder was deleted": "mkdir gone; cd gone; rmdir ../gone; chainproof loadtests",
    "no folder for temporary files": "ulimit -f 0; chainproof conformance -k without_a_body",
    "the port of the emulator is taken": "chainproof emulator --port $PORT",
    "the folder is no run folder": "chainproof reports nothing",
    "the output cannot be written": "chainproof --version >/dev/full",
    "the reader closes the pipe, as `head` does": "chainproof --help | head -1 >/dev/null; exit ${PIPESTATUS[0]}",
}
"""The shell commands that lead to a situation, in a folder with `FILES`."""

FILES = {
    "w.toml": 'rate = "x"\nusers = 0\n',
    "p.jsonl": "{}\n[\n",
    "full/x": "",
    "slow.json": json.dumps(
        {"properties": {"a": {"pattern": f"^{'a?' * 5000}aa$", "type": "string"}}, "required": ["a"]}
    ),
}

RUNS: dict[str, str] = {
    "the key is rejected": f"CHAINPROOF_TARGET=$URL BASETEN_API_KEY=wrong.12345678 {LOAD} 1s",
    "your own code raises an exception": f"echo 'def check(payload, answer): return 1 / 0' >c.py; {LOAD} 1s --check c.py:check",
}
"""The same with a load run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Where a situation is provoked."""

    folder: Path
    emulator: Endpoint

    def start(self, line: str) -> subprocess.Popen[str]:
        """A shell with the commands of a line."""
        command = shlex.join(chainproof_command())
        unprivileged = (
            "setpriv --reuid 65534 --inh-caps=+dac_override --ambient-caps=+dac_override" if not os.geteuid() else "env"
        )
        line = line.replace("unprivileged chainproof", f"{unprivileged} prlimit --nproc=0 chainproof")
        return subprocess.Popen(
            ["bash", "-c", re.sub(r"(?<![/\w-])chainproof(?= )", command, line)],
            cwd=self.folder,
            env={
                **clean_environment(),
                "BASETEN_API_KEY": EMULATOR_KEY,
                "PORT": str(self.emulator.target.port),
                "URL": self.emulator.target.url,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str]) -> tuple[str, str]:
        """Exit code and output of a process."""
        output = process.communicate(timeout=PATIENCE)[0]
        return str(process.returncode), output

    def load(self, change: Callable[[Path, int], object], duration: str) -> tuple[str, str]:
        """Exit code and output of a load run that is disturbed after its first second; *change* gets folder and process."""
        process = self.start(f"exec {LOAD} {duration}")
        await_condition((self.folder / "run" / INTERVALS).exists)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        change(
            self.folder / "run",
            next(int(each) for each in children if b"locustfile" in Path(f"/proc/{each}/cmdline").read_bytes()),
        )
        return self.end(process)


def limit_files(folder: Path, process: int) -> None:
    """Let no file of a process grow any more."""
    size = (folder / INTERVALS).stat().st_size
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, size))


def suspend_command(folder: Path, process: int) -> None:
    """Stop the parent of a process as Ctrl-Z does, let it go on, and end the run soon."""
    parent = int(Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
    state, before = Path(f"/proc/{parent}/stat"), (folder / INTERVALS).stat().st_size
    os.kill(parent, signal.SIGTSTP)
    await_condition(lambda: state.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T")
    await_condition(lambda: (folder / INTERVALS).stat().st_size > before)
    os.kill(parent, signal.SIGCONT)


DISTURBED: dict[str, Callable[[Path, int], object]] = {
    "the disk is full, or a file may not grow": limit_files,
    "the run folder was deleted": lambda folder, _: shutil.rmtree(folder),
    "the load process was killed": lambda _, process: os.kill(process, signal.SIGKILL),
    "a file of the run folder was deleted": lambda folder, _: (folder / MANIFEST).unlink(),
    "Ctrl-Z in a load test": suspend_command,
}
SHORT = {"a file of the run folder was deleted", "Ctrl-Z in a load test"}
"""Those that do not end a run."""
"""What is done to a load run, or to its process."""

MANIFEST_OF_RUN = load_manifest(
    target="http://127.0.0.1:1/production/run_remote",
    seed=1,
    settings={"model": "open", "rate_per_s": 3.0, "duration_s": 1.0},
    objectives=("p95 response_time < 1s",),
    versions={"chainproof": "0"},
)
OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
NO_FILES = Outcome(Transport.NO_RESOURCES, None, None, Result.FAILED)
COUNTS = {"planned": 3, "not_sent": 0, "sent": 3, "ok": 3, "failed": 0, "timed_out": 0, "censored": 0}


def write_load(folder: Path, outcome: Outcome = OK, *, ended: bool = True) -> None:
    """A load run of three requests."""
    interval = Interval(second=0)
    for _ in range(3):
        interval.count_planned()
        interval.count_all_sent([0.0])
        interval.count_outcomes(outcome, [0.1], [0.1])
    counts = COUNTS if outcome is OK else {**COUNTS, "ok": 0, "failed": 3}
    with RunWriter(folder, MANIFEST_OF_RUN) as writer:
        writer.write_interval(interval)
        if ended:
            writer.finish(RunEnd(ending=Ending.COMPLETED, seconds=1.0, accounting=counts))


def write_conformance(folder: Path) -> None:
    """A conformance run without a 200."""
    manifest = replace(MANIFEST_OF_RUN, kind=RunKind.CONFORMANCE, objectives=(), settings={})
    with RunWriter(folder, manifest) as writer:
        writer.write_coverage(Coverage(statuses={400: 3}))
        writer.finish(RunEnd(ending=Ending.COMPLETED, seconds=1.0))


def write_changed(folder: Path) -> None:
    """A run whose intervals were changed afterwards."""
    write_load(folder)
    with (folder / INTERVALS).open("ab") as file:
        file.write(b"{}\n")


def write_incomplete_series(folder: Path) -> None:
    """A series whose second run is missing."""
    places = {name: Series(id="a", kind=SeriesKind.REPEAT, index=int(name), side=Side.CANDIDATE) for name in "12"}
    with RunWriter(folder / "1", replace(MANIFEST_OF_RUN, series=places["1"])):
        write_series(folder, SeriesRecord(runs=places, ended=True))


FOLDERS: dict[str, Callable[[Path], None]] = {
    "no request was answered 200": write_conformance,
    "too few requests for the objective": write_load,
    "this machine had no free files, memory or ports": lambda folder: write_load(folder, NO_FILES),
    "a run that was killed, or is still going on, is reported": lambda folder: write_load(folder, ended=False),
    "a file of the run folder was changed": write_changed,
    "a run of a series is missing, or was exchanged": write_incomplete_series,
}
"""Run folders that a report is made of."""


def interrupted(situation: Situation) -> tuple[str, str]:
    """Exit code and output of a call of a target that never answers, after Ctrl-C."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = situation.start(
            f"exec chainproof call --deadline 20s --target http://127.0.0.1:{silent.getsockname()[1]}"
        )
        silent.settimeout(PATIENCE)
        _connections = [silent.accept() for _ in range(3)]  # two that look whether it listens, and that of the request
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        return situation.end(process)


def unreachable(situation: Situation) -> tuple[str, str]:
    """Exit code and output of a load run whose target closes every connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close_connections() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()

        Thread(target=close_connections, daemon=True).start()
        target = f"http://127.0.0.1:{server.getsockname()[1]}"
        return situation.end(situation.start(f"CHAINPROOF_TARGET={target} {LOAD} 60s --gone-after 1s"))


@pytest.fixture
def situation(tmp_path: Path, emulator: Endpoint) -> Situation:
    """A folder with some files, and a target."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    write_load(tmp_path / "load")
    return Situation(folder=tmp_path, emulator=emulator)


def check(line: Line, code: str, output: str) -> None:
    """Fail unless exit code and output are those of the page."""
    pattern = ".*".join(map(re.escape, re.split(r"\s*…\s*", line.message)))

    assert line.code.replace("the verdict's", "0") == code, output
    assert line.message == "no message" or re.search(pattern, " ".join(output.split())), output
    assert "Traceback" not in output or line.code == "70"


def test_every_line_is_provoked() -> None:
    """The page and this file name the same situations; one needs a control group of its own."""
    provoked = {*COMMANDS, *RUNS, *DISTURBED, *FOLDERS, *SERVERS}

    assert {*provoked, "memory ran out"} == set(LINES)  # see tests/loadtests/engine/test_out_of_memory.py


NEEDS_SHELL = [name for name, line in COMMANDS.items() if SAMPLE_ALL or re.search(r"[;|<>$]|unprivileged", line)]


@pytest.mark.parametrize("name", NEEDS_SHELL)
def test_a_command_says_what_the_page_says(name: str, situation: Situation) -> None:
    """Message and exit code are those of the page."""
    check(LINES[name], *situation.end(situation.start(COMMANDS[name])))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in NEEDS_SHELL])
def test_a_command_in_this_process_says_what_the_page_says(
    name: str, situation: Situation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Message and exit code are those of the page; with `CHAINPROOF_SAMPLE=all`, each is a process of its own."""
    monkeypatch.chdir(situation.folder)
    monkeypatch.setenv("BASETEN_API_KEY", EMULATOR_KEY)
    try:
        code = chainproof(shlex.split(COMMANDS[name])[1:])
    except SystemExit as ended:
        code = int(ended.code or 0)

    check(LINES[name], str(int(code)), "".join(capsys.readouterr()))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_report_says_what_the_page_says(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Message and exit code are those of the page."""
    FOLDERS[name](tmp_path / "run")
    code = reports([str(tmp_path / "run")])

    check(LINES[name], str(int(code)), "".join(capsys.readouterr()))


SERVERS: dict[str, Callable[[Situation], tuple[str, str]]] = {
    "Ctrl-C, SIGTERM, or a terminal that is closed": interrupted,
    "the target stops answering": unreachable,
}
"""Situations with a server of their own."""


@pytest.mark.parametrize("name", SERVERS if SAMPLE_ALL else list(SERVERS)[:1])
def test_a_command_with_an_odd_target_says_what_the_page_says(name: str, situation: Situation) -> None:
    """Message and exit code are those of the page, also with several signals."""
    check(LINES[name], *SERVERS[name](situation))


@pytest.mark.parametrize("name", list(DISTURBED) if SAMPLE_ALL else list(DISTURBED)[1:2])
def test_a_disturbed_run_says_what_the_page_says(name: str, situation: Situation) -> None:
    """Message and exit code are those of the page."""
    check(LINES[name], *situation.load(DISTURBED[name], "4s" if name in SHORT else "60s"))


@pytest.mark.skipif(not SAMPLE_ALL, reason="skipped: needs CHAINPROOF_SAMPLE=all")
@pytest.mark.parametrize("name", RUNS)
def test_a_run_says_what_the_page_says(name: str, situation: Situation) -> None:
    """Message and exit code are those of the page."""
    check(LINES[name], *situation.end(situation.start(RUNS[name])))
