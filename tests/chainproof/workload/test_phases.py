"""Tests of phases, and of payload files."""

from __future__ import annotations

import math
from itertools import count, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.errors import UsageError
from chainproof.workload.payloads import draw_payloads, load_payloads
from chainproof.workload.phases import Phase, phase_at, phase_ends, rescale_events
from chainproof.workload.workload import Workload, WorkloadError
from chainproof.workload.workload_file import load_workload, parse_workload, workload_table

phases = st.lists(
    st.builds(
        Phase,
        name=st.uuids().map(str),
        duration=st.floats(0.1, 20),
        rate=st.floats(0, 30),
        final_rate=st.floats(0, 30),
        judged=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


def expected_by(instant: float, of: list[Phase]) -> float:
    """The number of requests expected by an instant: the integral of the rate, phase by phase."""
    total = 0.0
    for phase in of:
        part = min(max(instant, 0.0), phase.duration)
        slope = (phase.final_rate - phase.rate) / phase.duration
        total += phase.rate * part + slope * part * part / 2
        instant -= phase.duration
    return total


@given(phases)
def test_nth_request_starts_when_n_are_expected(of: list[Phase]) -> None:
    """An even grid in phases is ascending, within the phases, and each start is where the integral of the rate is an integer."""
    starts = list(rescale_events((float(n) for n in count()), of))
    expected = sum(phase.expected_requests for phase in of)

    assert abs(len(starts) - math.ceil(expected)) <= 1
    assert all(first <= second for first, second in pairwise(starts))
    assert all(0 <= start < phase_ends(of)[-1] for start in starts)
    for number, start in enumerate(starts):
        assert math.isclose(number, expected_by(start, of), abs_tol=1e-6)


@given(phases, st.integers(0, 2**32))
def test_poisson_plan_follows_its_phases(of: list[Phase], seed: int) -> None:
    """The same seed gives the same plan, and the number of requests in a phase is within six standard deviations."""
    work = Workload(name="w", phases=tuple(of))
    starts = list(work.starts(seed))
    ends = phase_ends(of)

    assert starts == list(work.starts(seed))
    assert starts == sorted(starts)
    for phase in of:
        inside = sum(work.phase_at(start) == phase.name for start in starts)

        assert abs(inside - phase.expected_requests) <= 6 * math.sqrt(phase.expected_requests) + 20
    assert phase_at(ends[-1], of, ends) is None


def test_constant_phase_has_its_rate() -> None:
    """A phase with a constant rate divides by that rate."""
    level = [Phase(name="level", duration=10.0, rate=4.0, final_rate=4.0)]

    assert [n / 4 for n in range(40)] == list(rescale_events((float(n) for n in count()), level))


TABLE = {
    "phases": [
        {"name": "warm-up", "duration": "10s", "rate": [0, 8], "judged": False},
        {"name": "steady", "duration": "1m", "rate": 8},
    ],
    "payloads": [{"name": "short", "body": {"a": 1}, "weight": 3}, {"name": "long", "body": {"a": 2}}],
}


def test_workload_with_phases_round_trips() -> None:
    """A workload is the same after conversion to a table and back, also with options applied."""
    work = parse_workload(TABLE, name="mine").with_options(rate=4.0, duration=35.0)

    assert work == parse_workload(workload_table(work), name="mine")
    assert [(5.0, 0.0, 4.0), (30.0, 4.0, 4.0)] == [(p.duration, p.rate, p.final_rate) for p in work.phases]
    assert Workload(name="w") == parse_workload(workload_table(Workload(name="w")), name="w")


INVALID = {
    "a rate beside phases": (TABLE | {"rate": 3}, "rate: not allowed together with phases"),
    "no phases": ({"phases": []}, "expected [[phases]] tables"),
    "a phase without a rate": ({"phases": [{"name": "a", "duration": 1}]}, "expected name, duration and rate"),
    "three rates": ({"phases": [{"name": "a", "duration": 1, "rate": [1, 2, 3]}]}, "[from, to]"),
    "two with the same name": (
        {"phases": [{"name": "a", "duration": 1, "rate": 1}] * 2},
        "phases: expected unique names, found a, a",
    ),
    "no duration": (
        {"phases": [{"name": "a", "duration": 0, "rate": 1}]},
        "phase a: expected a duration of more than 0 s",
    ),
    "a rate below zero": (
        {"phases": [{"name": "a", "duration": 1, "rate": [1, -1]}]},
        "phase a: expected a rate of at least 0",
    ),
    "users": (TABLE | {"model": "closed"}, "phases: expected the open model"),
    "a body and a file": (
        {"payloads": [{"body": {}, "file": "a"}]},
        "expected a table `body`, a JSON `text` or a `file`",
    ),
}


@pytest.mark.parametrize("label", INVALID)
def test_invalid_phases_are_rejected(label: str) -> None:
    """The message says what was expected."""
    table, message = INVALID[label]
    with pytest.raises(WorkloadError) as error:
        parse_workload(table, name="mine")

    assert message in str(error.value)


def test_payload_file_is_relative_to_the_workload(tmp_path: Path) -> None:
    """The file has one JSON object per line, which share its weight; blank lines are ignored."""
    (tmp_path / "long.jsonl").write_text('{"n": 1}\n\n{"n": 2}\n')
    (tmp_path / "mine.toml").write_text(
        '[[payloads]]\nname = "short"\nbody = { n = 0 }\n[[payloads]]\nfile = "long.jsonl"\nweight = 3\n'
    )
    work = load_workload(tmp_path / "mine.toml")
    source = draw_payloads(work.payloads, 1)
    names = [next(source).name for _ in range(2000)]

    assert [("short", 0, 1.0), ("long", 1, 1.5), ("long", 2, 1.5)] == [
        (each.name, each.body["n"], each.weight) for each in work.payloads
    ]
    assert ("short", "long") == work.payload_names
    assert 400 < names.count("short") < 600


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one JSON object per line"),
        ('{"a": 1}\n{"a": ', "line 2 of"),
        ("[1]\n", "line 1 of .*: expected a JSON object, found an array"),
    ],
)
def test_invalid_payload_file_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    """The message names the line."""
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_payloads(tmp_path / "a.jsonl")
