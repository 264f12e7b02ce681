"""
A workload is what its file says, or every mistake in it at once.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from chainproof.workload.workload import Workload, WorkloadError, WorkloadModel, load_workload, parse_workload

WHOLE = """
description = "everything a file may say"
model = "closed"
rate = 12.5
arrivals = "constant"
users = 3
think_time = "250ms"
duration = "1m30s"
deadline = 5
max_in_flight = 7
objectives = ["p95 response_time < 800ms", "error_rate < 1%"]

[[payloads]]
name = "small"
weight = 3
body = { names = ["Ada"] }

[[payloads]]
body = {}
"""

MISTAKES = {
    'rate = "fast"': "rate: expected a number",
    "rate = 0": "rate: expected more than 0",
    "rate = nan": "rate: expected",
    "rate = 100001": "rate: expected at most 100000",
    "rate = true": "rate: expected a number",
    'model = "ajar"': "model: expected open or closed",
    "model = []": "model: expected open or closed",
    'arrivals = "bursty"': "arrivals: expected one of poisson, constant",
    "users = 1.5": "users: expected a whole number",
    "users = 0": "users: expected at least 1",
    'think_time = "soon"': "think_time: expected a duration",
    "think_time = -1": "think_time: expected at least 0",
    "think_time = inf": "think_time: expected",
    "duration = 0": "duration: expected more than 0",
    "duration = inf": "duration: expected",
    "deadline = nan": "deadline: expected",
    "deadline = 0": "deadline: expected more than 0",
    "max_in_flight = 0": "max_in_flight: expected at least 1",
    'objectives = "p95 response_time < 1s"': "objectives: expected a list",
    "objectives = [1]": "objectives: expected a text",
    'objectives = ["fast"]': "objectives: expected an objective such as",
    "payloads = []": "payloads: expected at least one",
    "payloads = [1]": "payloads: expected",
    "payloads = [{}]": "payloads: payload 1: expected a table `body`",
    "payloads = [{ body = {}, size = 1 }]": "payloads: payload 1: expected a table `body`",
    "payloads = [{ body = {}, weight = 0 }]": "payloads: expected every weight to be more than 0",
    "payloads = [{ body = {}, weight = inf }]": "payloads: expected",
    "payloads = [{ body = {}, name = 1 }]": "payloads: expected a text",
    "speed = 1": "speed: expected one of arrivals",
}


def test_a_file_says_everything_about_a_workload(tmp_path: Path) -> None:
    """
    Every field of a workload is written in TOML, durations as people write them; its name is the file's.
    """
    path = tmp_path / "whole.toml"
    path.write_text(WHOLE)
    found = load_workload(path)

    assert ("whole", WorkloadModel.CLOSED, 12.5, "constant", 3, 0.25, 90.0, 5.0, 7) == (
        found.name,
        found.model,
        found.rate,
        found.arrivals,
        found.users,
        found.think_time,
        found.duration,
        found.deadline,
        found.max_in_flight,
    )
    assert [objective.text for objective in found.objectives] == ["p95 response_time < 800ms", "error_rate < 1%"]
    assert [(payload.name, payload.weight, payload.body) for payload in found.payloads] == [
        ("small", 3.0, {"names": ["Ada"]}),
        ("payload 2", 1.0, {}),
    ]


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_in_a_file_is_told(line: str) -> None:
    """
    Each mistake names its key and what was expected there.
    """
    with pytest.raises(WorkloadError) as refused:
        parse_workload(tomllib.loads(line), name="wrong")

    assert MISTAKES[line] in str(refused.value)


def test_all_mistakes_are_told_at_once() -> None:
    """
    Nobody corrects a file line by line.
    """
    with pytest.raises(WorkloadError) as refused:
        parse_workload({"rate": -1, "users": 0, "colour": "red", "duration": "soon"}, name="wrong")

    assert all(f"{key}: expected" in str(refused.value) for key in ("rate", "users", "colour", "duration"))


def test_options_override_a_file_where_they_were_given() -> None:
    """
    An option of None was not given; one that cannot be is refused as in a file.
    """
    workload = Workload(name="steady", rate=5.0)

    assert (7.0, 10.0) == (
        workload.with_options(rate=7.0, duration=None).rate,
        workload.with_options(rate=7.0, duration=None).duration,
    )
    with pytest.raises(WorkloadError, match="rate: expected more than 0"):
        workload.with_options(rate=-1.0)


@pytest.mark.parametrize(("content", "told"), [(None, "cannot read"), (b"rate =", "not TOML"), (b"\xff", "not TOML")])
def test_a_file_that_is_none_is_told_in_one_line(tmp_path: Path, content: bytes | None, told: str) -> None:
    """
    Missing, torn and binary files end in the same exception.
    """
    path = tmp_path / "wrong.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(WorkloadError, match=told):
        load_workload(path)
