"""Tests of the target as one typed value."""

from __future__ import annotations

import json

import pytest

from chainproof.command import build_parser
from chainproof.errors import UsageError
from chainproof.options import TARGET_OPTIONS
from chainproof.target_options import TargetOptions, parse_target_options


def parse(*words: str) -> TargetOptions:
    """The target of these arguments."""
    return parse_target_options(vars(build_parser("loadtests", "…", options=TARGET_OPTIONS).parse_args(words)))


@pytest.mark.parametrize(
    "words",
    [
        ["--target", ""],
        ["--chain-id", "abc", "--target", "https://x.example"],
        ["--regional"],
        ["--deployment", "abc"],
        ["--chain-id", "abc", "--deployment", "d2", "--environment", "staging"],
        ["--chain-id", "abc", "--regional"],
    ],
)
def test_an_ambiguous_target_is_a_usage_error(words: list[str]) -> None:
    """An empty variable in CI must not select the emulator, which would pass."""
    with pytest.raises(UsageError):
        parse(*words)


def test_a_target_survives_json() -> None:
    """A child process or worker gets the target that was requested."""
    target = parse(
        *("--chain-id", "abc", "--environment", "staging", "--connect-to", "[::1]:8080", "--header", "X-A: b"),
        *("--auth-scheme", "bearer", "--api-key-env", "OTHER_KEY"),
    )

    assert target == TargetOptions.from_json(json.loads(json.dumps(target.to_json())))
    assert TargetOptions() == TargetOptions.from_json(json.loads(json.dumps(TargetOptions().to_json())))
    assert "https://chain-abc.api.baseten.co/environments/staging/run_remote" == target.url
