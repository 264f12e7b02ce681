"""Tests of drawing payloads."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chainproof.errors import UsageError
from chainproof.workload.payloads import DEFAULT_PAYLOADS, Payload, draw_payloads, load_payloads
from chainproof.workload.workload import load_workload, parse_workload

KINDS = tuple(Payload(name=f"kind {weight}", body={"weight": weight}, weight=weight) for weight in (1, 2, 7))


@pytest.mark.parametrize("seed", [0, 1, 2026])
def test_payloads_are_drawn_by_weight(seed: int) -> None:
    """With weights 1, 2 and 7, one, two and seven of ten requests have that payload (chi-square test)."""
    counts = Counter(payload.name for payload in islice(draw_payloads(KINDS, seed), 10_000))

    assert stats.chisquare([counts[kind.name] for kind in KINDS], [1000, 2000, 7000]).pvalue > 0.01


@given(st.integers(), st.integers())
def test_sequence_depends_on_the_seed(one: int, other: int) -> None:
    """The same seed gives the same sequence, another seed a different one."""
    first, second = (tuple(islice(draw_payloads(KINDS, seed), 600)) for seed in (one, other))

    assert (one == other) is (first == second)


def test_payload_is_encoded_as_json() -> None:
    """The encoded payload is its body in JSON."""
    for payload in (*KINDS, *DEFAULT_PAYLOADS):
        assert payload.body == orjson.loads(payload.encoded())


LINES = (
    b'{"id":123456789012345678901234567890}',
    b'{"a":1,"a":2}',
    b'{"x": 1E2, "y" : "\\ud800", "z":"\xc3\xa9"}',
)


def test_a_line_of_a_file_is_sent_as_it_is_written(tmp_path: Path) -> None:
    """Large integers, repeated names, spellings and escapes are kept, also on the way to a worker."""
    path = tmp_path / "payloads.jsonl"
    path.write_bytes(b"\r\n".join(LINES))
    payloads = load_payloads(path)
    table = parse_workload({"payloads": [{"file": str(path)}]}, name="w").to_table()

    assert LINES == tuple(payload.encoded() for payload in payloads)
    assert LINES == tuple(payload.encoded() for payload in parse_workload(table, name="w").payloads)


def test_integers_may_have_any_size() -> None:
    """An integer beyond 64 bits is written with all its digits."""
    assert b'{"a":1208925819614629174706176,"b":null}' == Payload(name="p", body={"a": 2**80, "b": None}).encoded()


@pytest.mark.parametrize("number", ["nan", "-inf", "1e400"])
def test_numbers_that_json_does_not_have_are_refused(number: str, tmp_path: Path) -> None:
    """NaN and infinity in a workload are a usage error; they would be sent as null."""
    path = tmp_path / "w.toml"
    path.write_text(f"[[payloads]]\nbody = {{ a = {{ b = [1, {number}] }}, c = 2026-01-01 }}\n")

    with pytest.raises(UsageError, match="expected finite numbers in a payload, found NaN or infinity"):
        load_workload(path)


def test_dates_of_a_workload_are_text(tmp_path: Path) -> None:
    """A date in TOML is sent as RFC 3339 writes it, and an integer beyond 64 bits with all its digits."""
    path = tmp_path / "w.toml"
    path.write_text(
        "[[payloads]]\nbody = { at = 2026-01-01T10:00:00Z }\n[[payloads]]\nbody = { n = 36893488147419103232 }\n"
    )

    assert [b'{"at":"2026-01-01T10:00:00+00:00"}', b'{"n":36893488147419103232}'] == [
        payload.encoded() for payload in load_workload(path).payloads
    ]
