"""Tests of the table of options and of the parsers that are made from it."""

from __future__ import annotations

import argparse

import pytest

from chainproof.command import build_parser
from chainproof.conformance.options import OPTIONS as CONFORMANCE_OPTIONS
from chainproof.contract.credentials import AuthScheme
from chainproof.contract.levels import Contract
from chainproof.emulator.options import OPTIONS as EMULATOR_OPTIONS
from chainproof.judgement.verdict import ExitCode
from chainproof.loadtests.options import OPTIONS as LOADTEST_OPTIONS
from chainproof.options import (
    CONTRACT_OPTION,
    TARGET_OPTIONS,
    Option,
    Surface,
    add_options,
    count,
    duration,
    positive_duration,
    positive_number,
)

TABLES = {"conformance": CONFORMANCE_OPTIONS, "loadtests": LOADTEST_OPTIONS, "emulator": EMULATOR_OPTIONS}


def test_target_and_contract_options_have_the_documented_defaults() -> None:
    """The options and their defaults are as documented; a key is never an option, and options cannot be abbreviated."""
    parser = build_parser("reports", "…", options=(CONTRACT_OPTION, *TARGET_OPTIONS))

    assert vars(parser.parse_args([])) == {
        "contract": Contract.STRICT,
        "target": None,
        "chain_id": None,
        "model_id": None,
        "environment": None,
        "deployment": None,
        "regional": False,
        "connect_to": None,
        "ca_file": None,
        "header": None,
        "api_key_env": "BASETEN_API_KEY",
        "auth_scheme": AuthScheme.API_KEY,
    }
    assert parser.parse_args(["--contract", "documented"]).contract is Contract.DOCUMENTED
    for wrong in (["--contract", "lax"], ["--targ", "x"], ["--api-key", "abcd1234.s3cret"]):
        with pytest.raises(SystemExit) as exited:
            parser.parse_args(wrong)

        assert exited.value.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("tool", "option", "old"),
    [(tool, option.name, old) for tool, table in TABLES.items() for option in table for old in option.replaces],
)
@pytest.mark.parametrize("value", [[], ["5"]])
def test_a_renamed_option_fails_with_its_new_name(
    tool: str, option: str, old: str, value: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A former name, with or without a value, is a usage error whose message gives the new name."""
    parser = build_parser(tool, "…", options=TABLES[tool])
    with pytest.raises(SystemExit) as exited:
        parser.parse_args([old, *value])

    assert exited.value.code == ExitCode.USAGE
    assert f"{old} was renamed: use {option}" in capsys.readouterr().err
    assert old not in parser.format_help()


def test_every_renamed_option_is_known() -> None:
    """The options that were renamed in the past still fail with a message."""
    renamed = {old for table in TABLES.values() for option in table for old in option.replaces}

    assert renamed == {
        "--provoke",
        "--truth",
        "--search-to",
        "--search-longest",
        "--search-max-probe-duration",
        "--search-verify",
    }


@pytest.mark.parametrize("tool", TABLES)
def test_names_are_unique_on_each_surface(tool: str) -> None:
    """No two options of a tool have the same name and the same attribute in one place."""
    for surface in Surface:
        names = [option.dest for option in TABLES[tool] if surface in option.valid_in]

        assert sorted(set(names)) == sorted(names)


def test_options_are_only_added_where_they_are_valid() -> None:
    """A parser for a surface has the options of that surface, under their headings."""
    here, there = (
        Option(name="--here", help="…", valid_in=frozenset({Surface.LOCUST})),
        Option(name="--there", help="…"),
    )
    parser = argparse.ArgumentParser()
    add_options(parser, (here, there), Surface.COMMAND)

    assert vars(parser.parse_args([])) == {"there": None}


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (duration, "1m30s", 90.0),
        (duration, "0", 0.0),
        (positive_duration, "20s", 20.0),
        (count, "3", 3),
        (positive_number, "0.5", 0.5),
    ],
)
def test_a_value_is_parsed(parse: type[object], text: str, value: object) -> None:
    """Values are numbers and seconds."""
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (duration, "soon", "expected a duration such as"),
        (duration, "400", "did you mean 400ms or 400s"),
        (positive_duration, "1m30", "expected a duration such as"),
        (positive_duration, "0s", "expected more than 0 s"),
        (count, "0", "expected a whole number of at least 1"),
        (positive_number, "nan", "expected a number of more than 0"),
    ],
)
def test_an_invalid_value_is_rejected(parse: type[object], text: str, message: str) -> None:
    """The exception is one whose message argparse shows."""
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        parse(text)
