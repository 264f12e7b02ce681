"""Tests of locustfiles with their own users: their payloads and tasks are planned, measured, judged and recorded."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.loadtests.command import LOCUSTFILE
from chainproof.results.exchange import Result
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import total
from chainproof.results.manifest import Ending

from ...processes import run_process
from ..behaviours import fine
from ..conftest import is_late, locust_command, locust_environment

RunServer = Callable[..., Any]

MINE = """
import itertools
from locust import tag, task
from chainproof.loadtests import ClosedUser, OpenUser

numbers = itertools.count()

class Mine(OpenUser):
    def payload(self):
        return {"number": next(numbers)}

class MyCaller(ClosedUser):
    def payload(self):
        return {"caller": next(numbers)}
"""

TASKS = """
from locust import constant, tag, task
from chainproof.loadtests import ClosedUser, OpenUser

class Planned(OpenUser):
    @tag("short")
    @task
    def short(self):
        assert self.client.run_remote({"text": "short"}).status == 200

    @tag("long")
    @task
    def long(self):
        assert self.client.run_remote({"text": "long"}).status == 200

class Conversation(ClosedUser):
    wait_time = constant(0.02)

    @task
    def twice(self):
        answer = self.client.run_remote({"text": "first"})
        self.client.run_remote({"text": "second", "before": len(answer.body)})
"""


def run(server: Any, folder: Path, source: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Locust with a locustfile."""
    (folder / "mine.py").write_text(source)
    words = ("--headless", "--only-summary", f"--out={folder / 'run'}", "--target", server.target.origin, *words)
    # A few requests are enough for a verdict.
    command = locust_command(*words, "--objective=error_rate < 90%", file=folder / "mine.py")
    return run_process(command, env=locust_environment())


def assert_passed(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    """Assert that a run has passed, or is invalid and was late, as on a busy machine."""
    assert done.returncode == 0 or (done.returncode == 4 and is_late(read_run(folder / "run"))), done.stderr


def bodies(server: Any) -> list[dict[str, Any]]:
    """The request bodies that the server received."""
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def test_every_planned_request_has_the_payload_of_the_subclass(run_server: RunServer, tmp_path: Path) -> None:
    """A locustfile that imports all four classes runs one model, with its own subclass."""
    with run_server(fine) as server:
        done = run(server, tmp_path, MINE, "--rate=80", "--arrivals=constant", "--duration=500ms")
    totals = total(read_run(tmp_path / "run").intervals)

    assert_passed(done, tmp_path)
    assert [{"number": number} for number in range(40)] == bodies(server)
    assert 40 == totals.planned == totals.count(Result.OK)


def test_the_model_option_selects_the_users(run_server: RunServer, tmp_path: Path) -> None:
    """The same locustfile with `--model closed` runs the users of the closed model."""
    with run_server(fine) as server:
        done = run(server, tmp_path, MINE, "--model=closed", "--users=2", "--think-time=50ms", "--duration=500ms")

    assert_passed(done, tmp_path)
    assert {"caller"} == {name for body in bodies(server) for name in body}
    assert read_run(tmp_path / "run").end.accounting["ok"] == len(server.requests) >= 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), {"short", "long"}), (("--tags", "short"), {"short"}), (("--exclude-tags", "short"), {"long"})],
)
def test_tasks_of_the_open_model_are_started_by_the_plan(
    run_server: RunServer, tmp_path: Path, words: tuple[str, ...], expected: set[str]
) -> None:
    """Each planned request starts one of the tasks that the tags select."""
    with run_server(fine) as server:
        done = run(server, tmp_path, TASKS, "--rate=80", "--arrivals=constant", "--duration=500ms", *words)
    totals = total(read_run(tmp_path / "run").intervals)

    assert_passed(done, tmp_path)
    assert 40 == totals.planned == totals.sent == totals.count(Result.OK) == len(server.requests)
    assert expected == {body["text"] for body in bodies(server)}


def test_tasks_of_the_closed_model_can_send_any_request(run_server: RunServer, tmp_path: Path) -> None:
    """Tasks can read the answers, each request is counted, and the run ends on time."""
    with run_server(fine) as server:
        done = run(server, tmp_path, TASKS, "--model=closed", "--users=2", "--duration=500ms")
    finished = read_run(tmp_path / "run")
    counts = Counter(body["text"] for body in bodies(server))

    assert_passed(done, tmp_path)
    assert Ending.COMPLETED is finished.end.ending
    assert finished.end.accounting["ok"] == finished.end.accounting["planned"] == len(server.requests)
    assert counts["first"] - counts["second"] in (0, 1, 2)
    assert counts["second"] > 2


TASK_SETS = """
from locust import SequentialTaskSet, constant, task
from chainproof.loadtests import ClosedUser

class Flow(SequentialTaskSet):
    @task
    def first(self):
        self.client.run_remote({"text": "first"})

    @task
    def second(self):
        self.client.run_remote({"text": "second"})
        self.interrupt()

class Mine(ClosedUser):
    wait_time = constant(0.02)
    tasks = [Flow]

    def on_start(self):
        self.client.run_remote({"text": "start"})
"""


def test_our_locustfile_and_a_second_one_run_together(run_server: RunServer, tmp_path: Path) -> None:
    """With `-f OURS,MINE.py`, the task sets of the subclass run in place of our user, and every request is counted."""
    with run_server(fine) as server:
        words = ["-f", f"{LOCUSTFILE},{tmp_path / 'mine.py'}", "--model=closed", "--users=2", "--duration=500ms"]
        done = run(server, tmp_path, TASK_SETS, *words)
    finished = read_run(tmp_path / "run")
    counts = Counter(body["text"] for body in bodies(server))

    assert_passed(done, tmp_path)
    assert 2 == counts["start"]
    assert 0 <= counts["first"] - counts["second"] <= 2
    assert finished.end.accounting["ok"] == finished.end.accounting["planned"] == len(server.requests) > 4
    assert ["Mine.Flow"] == finished.manifest.settings["payloads"]


INVALID_LOCUSTFILES = {
    "a task that sends nothing": (
        "class Mine(OpenUser):\n    @task\n    def idle(self):\n        pass\n",
        70,
        "expected idle to call self.client.run_remote, but it did not",
    ),
    "a task that sends twice": (
        "class Mine(OpenUser):\n    @task\n    def twice(self):\n        [self.client.run_remote({}) for _ in 'ab']\n",
        70,
        "expected one run_remote call per task in the open model",
    ),
    "a task that raises": (
        "class Mine(OpenUser):\n    @task\n    def careless(self):\n        1 / 0\n",
        70,
        "your code: careless raised ZeroDivisionError: division by zero (",
    ),
    "a payload that raises": (
        "class Mine(OpenUser):\n    def payload(self):\n        return {}[1]\n",
        70,
        "KeyError: 1",
    ),
    "two user classes of one model": (
        "class Mine(OpenUser):\n    pass\nclass Yours(OpenUser):\n    pass\n",
        2,
        "expected one user class of the open model, found Mine, Yours",
    ),
    "a payload with a number that JSON does not have": (
        "class Mine(OpenUser):\n    def payload(self):\n        return {'x': float('nan')}\n",
        70,
        "your code: Mine.payload: expected a payload with finite numbers and without cycles, found NaN or infinity",
    ),
    "a payload that is not an object": (
        "class Mine(OpenUser):\n    def payload(self):\n        return None\n",
        70,
        "expected Mine.payload() to return a JSON object, found None",
    ),
}


@pytest.mark.parametrize("case", INVALID_LOCUSTFILES)
def test_errors_in_a_locustfile_are_reported(run_server: RunServer, tmp_path: Path, case: str) -> None:
    """They are an internal error or a usage error, and never a finding about the target."""
    source, code, message = INVALID_LOCUSTFILES[case]
    head = "from locust import task\nfrom chainproof.loadtests import OpenUser\n"
    with run_server(fine) as server:
        done = run(server, tmp_path, head + source, "--rate=20", "--duration=1s")

    assert code == done.returncode, done.stderr
    assert message in done.stderr
    if code == 70:
        end = read_run(tmp_path / "run").end

        assert Ending.INTERNAL_ERROR is end.ending
        assert end.accounting["planned"] == end.accounting["sent"] + end.accounting["not_sent"]
