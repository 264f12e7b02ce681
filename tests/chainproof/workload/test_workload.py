"""Tests of reading workload files."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from chainproof.errors import UsageError
from chainproof.workload.workload import Workload, WorkloadError, WorkloadModel
from chainproof.workload.workload_file import load_workload, parse_workload

COMPLETE = """
description = "a file with many settings"
model = "closed"
rate = 12.5
arrivals = "constant"
users = 3
think_time = "250ms"
think_time_distribution = "exponential"
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

INVALID = {
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
    'think_time_distribution = "uniform"': "think_time_distribution: expected constant or exponential",
    "think_time = -1": "think_time: expected at least 0",
    "think_time = inf": "think_time: expected",
    "duration = 0": "duration: expected more than 0",
    "duration = inf": "duration: expected",
    "deadline = nan": "deadline: expected",
    "deadline = 0": "deadline: expected more than 0",
    "max_in_flight = 0": "max_in_flight: expected at least 1",
    'objectives = "p95 response_time < 1s"': "objectives: expected a list",
    "objectives = [1]": "objectives: expected a string",
    'objectives = ["fast"]': "objectives: expected an objective such as",
    "payloads = []": "payloads: expected at least one",
    "payloads = [1]": "payloads: expected",
    "payloads = [{}]": "payloads: payload 1: expected a table `body`",
    "payloads = [{ body = {}, size = 1 }]": "payloads: payload 1: expected a table `body`",
    "payloads = [{ body = {}, weight = 0 }]": "payloads: expected all weights to be more than 0",
    "payloads = [{ body = {}, weight = inf }]": "payloads: expected",
    "payloads = [{ body = {}, name = 1 }]": "payloads: expected a string",
    "duraton = 1": "duraton: unknown setting (did you mean duration?), expected one of arrivals",
    "speed = 1": "speed: unknown setting, expected one of arrivals",
}


def test_workload_file_is_read(tmp_path: Path) -> None:
    """Every setting can be in the file, durations can have units, and the name is that of the file."""
    path = tmp_path / "complete.toml"
    path.write_text(COMPLETE)
    workload = load_workload(path)

    assert ("complete", WorkloadModel.CLOSED, 12.5, "constant", 3, 0.25, "exponential", 90.0, 5.0, 7) == (
        workload.name,
        workload.model,
        workload.rate,
        workload.arrivals,
        workload.users,
        workload.think_time,
        workload.think_time_distribution,
        workload.duration,
        workload.deadline,
        workload.max_in_flight,
    )
    assert [objective.text for objective in workload.objectives] == ["p95 response_time < 800ms", "error_rate < 1%"]
    assert [(payload.name, payload.weight, payload.body) for payload in workload.payloads] == [
        ("small", 3.0, {"names": ["Ada"]}),
        ("payload 2", 1.0, {}),
    ]


@pytest.mark.parametrize("line", INVALID)
def test_invalid_setting_is_rejected(line: str) -> None:
    """The message names the setting and says what was expected."""
    with pytest.raises(WorkloadError) as error:
        parse_workload(tomllib.loads(line), name="invalid")

    assert INVALID[line] in str(error.value)


def test_all_errors_are_reported_at_once() -> None:
    """The message lists every invalid setting."""
    with pytest.raises(WorkloadError) as error:
        parse_workload({"rate": -1, "users": 0, "colour": "red", "duration": "soon"}, name="invalid")

    assert all(f"{key}: expected" in str(error.value) for key in ("rate", "users", "duration"))
    assert "colour: unknown setting, expected one of" in str(error.value)


def test_options_override_the_file() -> None:
    """An option of None overrides nothing; an invalid one is rejected as in a file."""
    workload = Workload(name="steady", rate=5.0)

    assert (7.0, 10.0) == (
        workload.with_options(rate=7.0, duration=None).rate,
        workload.with_options(rate=7.0, duration=None).duration,
    )
    with pytest.raises(WorkloadError, match="rate: expected more than 0"):
        workload.with_options(rate=-1.0)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot read"), (b"rate =", "not TOML"), (b"\xff", "expected UTF-8")]
)
def test_unreadable_file_is_rejected(tmp_path: Path, content: bytes | None, message: str) -> None:
    """Missing, truncated and binary files raise UsageError with the path."""
    path = tmp_path / "invalid.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=message) as error:
        load_workload(path)
    assert str(path) in str(error.value)
