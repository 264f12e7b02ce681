"""Tests of drawing payloads."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chainproof.errors import UsageError
from chainproof.workload.payloads import DEFAULT_PAYLOADS, Payload, draw_payloads, encode_body, load_payloads
from chainproof.workload.workload_file import load_workload, parse_workload, workload_table

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


@pytest.mark.parametrize(
    ("line", "is_schema"),
    [
        ('{"$schema": "https://json-schema.org/draft/2020-12/schema"}', True),
        ('{"type": "object", "properties": {"names": {"type": "array"}}}', True),
        ('{"type": "object", "properties": {}, "required": []}', True),
        ('{"type": "object"}', False),
        ('{"type": "house", "properties": {"rooms": {}}}', False),
        ('{"type": "object", "properties": ["names"]}', False),
        ('{"type": "object", "properties": {"rooms": 4}}', False),
    ],
)
def test_a_json_schema_is_not_sent_as_a_payload(tmp_path: Path, line: str, is_schema: bool) -> None:
    """It is an input schema in the wrong option, unless the file has more inputs like it."""
    one, two = tmp_path / "one.json", tmp_path / "two.jsonl"
    one.write_text(f"{line}\n", encoding="utf-8")
    two.write_text(f"{line}\n{line}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="use --input-schema") if is_schema else nullcontext():
        load_payloads(one)

    assert 2 == len(load_payloads(two))


LINES = (
    b'{"id":123456789012345678901234567890}',
    b'{"a":1,"a":2}',
    b' {"x": 1E2,\r "y" : "\\ud800", "z":"\xc3\xa9"}',
)


def test_a_line_of_a_file_is_sent_as_it_is_written(tmp_path: Path) -> None:
    """Large integers, repeated names, notations and escapes are kept, also on the way to a worker."""
    path = tmp_path / "payloads.jsonl"
    path.write_bytes(b"\r\n".join(LINES))
    payloads = load_payloads(path)
    table = workload_table(parse_workload({"payloads": [{"file": str(path)}]}, name="w"))

    assert LINES == tuple(payload.encoded() for payload in payloads)
    assert LINES == tuple(payload.encoded() for payload in parse_workload(table, name="w").payloads)


def test_integers_may_have_any_size() -> None:
    """An integer beyond 64 bits is written with all its digits."""
    assert b'{"a":1208925819614629174706176,"b":null}' == Payload(name="p", body={"a": 2**80, "b": None}).encoded()


@given(body=st.dictionaries(st.text(), st.integers() | st.integers().map(lambda number: number**40) | st.none()))
def test_integers_of_payloads_are_exact(body: dict[str, int | None]) -> None:
    """Whatever its size, an integer is encoded with all its digits, also beside null."""
    assert body == json.loads(Payload(name="p", body=dict(body)).encoded())


def test_an_integer_may_have_more_digits_than_python_reads(tmp_path: Path) -> None:
    """An integer of 5,000 digits is sent exactly, from TOML and from a line of JSON."""
    digits = b"9" * 5000
    (tmp_path / "w.toml").write_bytes(b"[[payloads]]\nbody = { n = %b }\n" % digits)
    (tmp_path / "p.jsonl").write_bytes(b'{"n":%b}' % digits)

    for payload in (*load_workload(tmp_path / "w.toml").payloads, *load_payloads(tmp_path / "p.jsonl")):
        assert b'{"n":%b}' % digits == payload.encoded()


@pytest.mark.parametrize("number", ["nan", "+nan", "-inf", "1e400", "-1_0e9_99"])
@pytest.mark.parametrize("before", ["", "[[payloads]]\nbody = { a = [1,\n# nan\n2,\n'inf', ", f"a = {'9' * 5000}\n\n"])
def test_numbers_of_toml_are_finite(number: str, before: str, tmp_path: Path) -> None:
    """NaN, infinity and floats that overflow are a usage error with line and remedy; they would be sent as null."""
    path = tmp_path / "w.toml"
    path.write_text(f"{before or 'rate = '}{number if before[:1] != 'a' else f'b = {number}'}\n] }} more\n")
    line = before.count("\n") + 1

    with pytest.raises(
        UsageError, match=f"^expected finite numbers in line {line} of .*w.toml, found .*: write a finite"
    ):
        load_workload(path)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400", "-1E999"])
def test_numbers_of_a_payload_line_are_finite(number: str, tmp_path: Path) -> None:
    """A number that JSON does not have, or that readers take for infinity, is a usage error with line and remedy."""
    path = tmp_path / "p.jsonl"
    path.write_text(f'{{"a":"1e400 NaN"}}\n{{"a":[1,{{"b":{number}}}]}}\n')

    with pytest.raises(UsageError, match=f"line 2 of .*: expected finite numbers, found {number}: .*write a string"):
        load_payloads(path)


@pytest.mark.parametrize("body", [{"a": float("nan")}, {"a": [float("inf")], "b": 2**80}, {"a": object()}])
def test_values_that_json_does_not_have_are_refused(body: dict[str, object]) -> None:
    """A body from Python code has only values that JSON has."""
    with pytest.raises(UsageError, match="expected a payload"):
        encode_body(body)


@pytest.mark.parametrize("name", ["w.toml", "p.jsonl"])
def test_byte_order_marks_are_refused(name: str, tmp_path: Path) -> None:
    """The message names file and line, and says how to remove the mark."""
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + (b'{"a":1}' if name == "p.jsonl" else b"rate = 5"))

    with pytest.raises(UsageError, match=f"line 1 of .*{name}, found a byte order mark: save it as UTF-8 without one"):
        load_workload(path) if name == "w.toml" else load_payloads(path)


def test_dates_of_a_workload_are_text(tmp_path: Path) -> None:
    """A date in TOML is sent as RFC 3339 writes it, and an integer beyond 64 bits with all its digits."""
    path = tmp_path / "w.toml"
    path.write_text("[[payloads]]\nbody = { at = 2026-01-01T10:00:00Z, n = 36893488147419103232 }\n")

    assert [b'{"at":"2026-01-01T10:00:00+00:00","n":36893488147419103232}'] == [
        payload.encoded() for payload in load_workload(path).payloads
    ]
