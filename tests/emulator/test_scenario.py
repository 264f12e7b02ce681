from __future__ import annotations

import pytest

from chainproof.contract.errors import ErrorCode
from chainproof.emulator.behaviour.gateway_retries import RetryPolicy
from chainproof.emulator.behaviour.latency import Component, sigma_from_p99
from chainproof.emulator.behaviour.rate_limit import RateLimit
from chainproof.emulator.scenario import (
    Scenario,
    ScenarioError,
    builtin_scenarios,
    find_scenario,
    load_scenario,
    parse_scenario,
)
from chainproof.errors import UsageError


def test_builtin_scenarios_load():
    """Each built-in scenario loads, has a description, and has the property in its name."""
    scenarios = builtin_scenarios()

    assert {"instant", "warm", "flaky", "rate-limited", "slow-tail"} == set(scenarios)
    assert all(scenario.description for scenario in scenarios.values())
    assert () == scenarios["warm"].errors
    assert 0.02 <= sum(rate for _, rate in scenarios["flaky"].errors) <= 0.04
    assert scenarios["rate-limited"].rate_limit is not None
    assert len(scenarios["slow-tail"].service_time) > 1


def test_file_sets_every_field(tmp_path):
    """A TOML file can set every field; durations may have units."""
    file = tmp_path / "mine.toml"
    file.write_text("""
description = "mine"
service_time = [{ weight = 3, median = "10ms", p99 = "40ms" }, { median = 2, sigma = 0.5 }]
error_service_time = "1ms"
rate_limit = { rate = 5, burst = 10 }
max_body_bytes = 1000
environments = ["qa"]
deployments = []
gateway_retries = { first_delay = "1s", factor = 2 }
[errors]
timeout = 0.25
""")

    assert Scenario(
        name="mine",
        description="mine",
        service_time=(
            Component(median=0.01, sigma=sigma_from_p99(0.01, 0.04), weight=3.0),
            Component(median=2.0, sigma=0.5),
        ),
        error_service_time=(Component(median=0.001),),
        errors=((ErrorCode.TIMEOUT, 0.25),),
        rate_limit=RateLimit(rate=5.0, burst=10.0),
        max_body_bytes=1000,
        environments=("qa",),
        deployments=(),
        gateway_retries=RetryPolicy(first_delay=1.0, factor=2.0),
    ) == load_scenario(file)


ERRORS = {
    "colour": ("red", "colour: unknown setting, expected one of deployments, description"),
    "description": (3, "description: expected a string"),
    "service_time": ("fast", "service_time: expected a duration such as"),
    "error_service_time": ({"median": "5ms", "p99": "1ms"}, "error_service_time: expected 0 < median <= p99"),
    "errors": ({"gremlins": 0.1}, "found gremlins"),
    "rate_limit": ({"rate": 0, "burst": 1}, "rate_limit: expected more than 0"),
    "max_body_bytes": (0.5, "max_body_bytes: expected a whole number of bytes"),
}


def test_all_errors_are_reported_at_once():
    """The message lists the error of every field."""
    with pytest.raises(ScenarioError) as raised:
        parse_scenario({key: value for key, (value, _) in ERRORS.items()}, name="wrong")

    assert [] == [words for _, words in ERRORS.values() if words not in str(raised.value)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("service_time", True),
        ("service_time", []),
        ("service_time", -1),
        ("service_time", float("nan")),
        ("service_time", "2h"),
        ("service_time", {"p99": "5ms"}),
        ("service_time", {"median": "1ms", "p99": "5ms", "sigma": 1}),
        ("service_time", {"median": "1ms", "sigma": 9}),
        ("service_time", [{"median": "1ms", "weight": 0}]),
        ("service_time", {"median": "1ms", "colour": 1}),
        ("errors", {"timeout": 0.7, "client_error": 0.7}),
        ("errors", {"timeout": -0.1}),
        ("errors", {"timeout": float("nan")}),
        ("errors", 0.1),
        ("rate_limit", 20),
        ("rate_limit", {"rate": 20, "burst": 0}),
        ("max_body_bytes", True),
        ("max_body_bytes", 0),
        ("gateway_retries", True),
        ("gateway_retries", {"colour": 1}),
        ("gateway_retries", {"factor": 0}),
        ("environments", "qa"),
        ("environments", ["Q A"]),
        ("environments", ["development"]),
        ("deployments", ["a/b"]),
    ],
    ids=repr,
)
def test_invalid_value_is_rejected(key, value):
    """The message names the key and what was expected."""
    with pytest.raises(ScenarioError, match=f"{key}: expected"):
        parse_scenario({key: value}, name="wrong")


@pytest.mark.parametrize("name", ["lukewarm", "missing.toml"])
def test_unknown_scenario_is_rejected(name):
    """An unknown name and a missing file are reported."""
    with pytest.raises(UsageError, match=r"expected one of flaky|cannot read"):
        find_scenario(name)


def test_invalid_toml_is_rejected(tmp_path):
    """A syntax error is reported with its line."""
    file = tmp_path / "broken.toml"
    file.write_text("a = = 1")

    with pytest.raises(UsageError, match=r"is not TOML.*line 1"):
        load_scenario(file)
