from __future__ import annotations

import pytest

from chainproof.contract.errors import ErrorCode
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


def test_the_four_scenarios_come_along():
    """
    Each named scenario loads and says what it is.
    """
    scenarios = builtin_scenarios()

    assert {"instant", "warm", "flaky", "rate-limited", "slow-tail"} == set(scenarios)
    assert all(scenario.description for scenario in scenarios.values())
    assert () == scenarios["warm"].errors
    assert 0.02 <= sum(rate for _, rate in scenarios["flaky"].errors) <= 0.04
    assert scenarios["rate-limited"].rate_limit is not None
    assert len(scenarios["slow-tail"].service_time) > 1


def test_a_file_says_everything_that_a_scenario_has(tmp_path):
    """
    Every field can be written in TOML, durations as people write them.
    """
    file = tmp_path / "mine.toml"
    file.write_text("""
description = "mine"
service_time = [{ weight = 3, median = "10ms", p99 = "40ms" }, { median = 2, sigma = 0.5 }]
error_service_time = "1ms"
rate_limit = { rate = 5, burst = 10 }
max_body_bytes = 1000
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
    ) == load_scenario(file)


MISTAKES = {
    "colour": ("red", "colour: expected one of description, error"),
    "description": (3, "description: expected a string"),
    "service_time": ("fast", "service_time: expected a duration such as"),
    "error_service_time": ({"median": "5ms", "p99": "1ms"}, "error_service_time: expected 0 < median <= p99"),
    "errors": ({"gremlins": 0.1}, "found gremlins"),
    "rate_limit": ({"rate": 0, "burst": 1}, "rate_limit: expected more than 0"),
    "max_body_bytes": (0.5, "max_body_bytes: expected an integer number of bytes"),
}


def test_every_mistake_is_reported_at_once():
    """
    A file with a mistake in each field is told of all of them.
    """
    with pytest.raises(ScenarioError) as told:
        parse_scenario({key: value for key, (value, _) in MISTAKES.items()}, name="wrong")

    assert [] == [words for _, words in MISTAKES.values() if words not in str(told.value)]


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
    ],
    ids=repr,
)
def test_a_value_that_cannot_be_served_is_a_mistake(key, value):
    """
    What no emulator could do is refused by name, with what was expected.
    """
    with pytest.raises(ScenarioError, match=f"{key}: expected"):
        parse_scenario({key: value}, name="wrong")


@pytest.mark.parametrize("name", ["lukewarm", "missing.toml"])
def test_an_unknown_scenario_is_a_mistake(name):
    """
    A name that nothing has, and a file that is not there, are told in one sentence.
    """
    with pytest.raises(ScenarioError, match=r"expected one of flaky|cannot read"):
        find_scenario(name)


def test_a_file_that_is_no_toml_is_a_mistake(tmp_path):
    """
    Broken syntax is told with its place.
    """
    file = tmp_path / "broken.toml"
    file.write_text("a = = 1")

    with pytest.raises(ScenarioError, match=r"is not TOML.*line 1"):
        load_scenario(file)
