"""
Scenarios: named emulator configurations, read from TOML files.

All errors in a file are reported at once, each with the expected and the actual value.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib.resources import files
from pathlib import Path

from chainproof.clock import Seconds
from chainproof.contract.addresses import DEPLOYMENT_ID, ENVIRONMENT_NAME, RESERVED_ENVIRONMENT, Identifier
from chainproof.contract.errors import DOCUMENTED_CODES, ErrorCode
from chainproof.errors import UsageError, closest
from chainproof.text_files import load_toml, read_settings, toml_duration, toml_number, toml_text

from .behaviour.gateway_retries import RetryPolicy
from .behaviour.latency import NO_DELAY, Component, ServiceTime, constant, sigma_from_p99
from .behaviour.rate_limit import RateLimit
from .behaviour.routing import Names

_FOLDER = files("chainproof.emulator").joinpath("scenarios")


class ScenarioError(UsageError):
    """A scenario that cannot be used; the message lists every error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The behaviour of the emulated chain."""

    name: str
    description: str = ""
    service_time: ServiceTime = NO_DELAY
    error_service_time: ServiceTime | None = None
    """Service time of errors; None for the service time of successes."""
    errors: tuple[tuple[ErrorCode, float], ...] = ()
    """Error codes with the probability that a valid request is answered with them."""
    rate_limit: RateLimit | None = None
    """Requests above it are answered 429 at once."""
    max_body_bytes: int = 100_000_000
    predict_concurrency: int = 1
    """Requests that a user's chain processes at once; the default is Baseten's."""
    predict_timeout: Seconds = 1200.0
    """Seconds after which a request to a user's chain is answered 504; the default is Baseten's."""
    gateway_retries: RetryPolicy | None = None
    """When a 502, 503 or 504 of a user's chain is retried; None: never."""
    environments: tuple[str, ...] = ("staging", "prod-us")
    """Environments that exist besides `production`."""
    deployments: tuple[str, ...] = ("abcd1234",)
    """Ids of deployments that exist besides the development deployment."""

    @property
    def names(self) -> Names:
        """The names and ids at which the emulator serves an address that has one."""
        return (
            (ENVIRONMENT_NAME.placeholder, ("production", *self.environments)),
            (DEPLOYMENT_ID.placeholder, self.deployments),
        )


def scenario_names() -> tuple[str, ...]:
    """The names of the built-in scenarios."""
    return tuple(sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml")))


def builtin_scenarios() -> dict[str, Scenario]:
    """The built-in scenarios by name."""
    texts = {name: _FOLDER.joinpath(f"{name}.toml").read_text(encoding="utf-8") for name in scenario_names()}
    return {name: parse_scenario(tomllib.loads(text), name=name) for name, text in texts.items()}


def find_scenario(name: str) -> Scenario:
    """The built-in scenario with this name, or the one in the TOML file at this path. Raises ScenarioError."""
    builtin = builtin_scenarios()
    if name in builtin:
        return builtin[name]
    if not name.endswith(".toml") and not Path(name).exists():
        raise ScenarioError(
            f"expected one of {', '.join(builtin)}, or the path of a TOML file, found {name!r}{closest(name, builtin)}"
        )
    return load_scenario(Path(name))


def load_scenario(path: Path) -> Scenario:
    """The scenario in a TOML file. Raises UsageError with every error in it."""
    return parse_scenario(load_toml(path, "the scenario"), name=path.stem)


def parse_scenario(table: Mapping[str, object], *, name: str) -> Scenario:
    """The scenario in a TOML table. Raises ScenarioError with every error in it."""
    values, errors = read_settings(table, _READERS)
    if errors:
        raise ScenarioError(f"scenario {name}: " + "; ".join(errors))
    return replace(Scenario(name=name), **values)  # type: ignore[arg-type]  # each reader returns its field's type


def _positive(value: object) -> float:
    number = toml_number(value)
    if number <= 0:
        raise ValueError(f"expected more than 0, found {value!r}")
    return number


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 2:
        raise ValueError(f"expected a whole number of bytes, at least 2 (an empty object), found {value!r}")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"expected a whole number of at least 1, found {value!r}")
    return value


def _time_limit(value: object) -> Seconds:
    if (seconds := _duration(value)) == 0:
        raise ValueError(f"expected more than 0 s, found {value!r}")
    return seconds


def _duration(value: object) -> Seconds:
    seconds = toml_duration(value)
    if not 0 <= seconds <= 3600:
        raise ValueError(f"expected a duration between 0 s and 1 h, found {value!r}")
    return seconds


def _service_time(value: object) -> ServiceTime:
    """A duration (constant), a table (lognormal), or a list of tables with weights (mixture)."""
    if isinstance(value, list) and value:
        return tuple(_component(row) for row in value)
    if isinstance(value, dict):
        return (_component(value),)
    if isinstance(value, str | int | float):
        return constant(_duration(value))
    raise TypeError(
        f"expected a duration, a table with median and p99 or sigma, or a list of such tables with weights, found {value!r}"
    )


def _component(row: object) -> Component:
    if not isinstance(row, dict) or "median" not in row or not set(row) <= {"median", "p99", "sigma", "weight"}:
        raise ValueError(f"expected a table with median and optionally p99 or sigma, and weight, found {row!r}")
    if "p99" in row and "sigma" in row:
        raise ValueError("expected p99 or sigma, found both")
    median = _duration(row["median"])
    sigma = toml_number(row.get("sigma", 0.0))
    if "p99" in row:
        p99 = _duration(row["p99"])
        if not 0 < median <= p99:
            raise ValueError(f"expected 0 < median <= p99, found {row['median']!r} and {row['p99']!r}")
        sigma = sigma_from_p99(median, p99)
    if not 0 <= sigma <= 5:
        raise ValueError(f"expected a sigma between 0 and 5, found {sigma:g}")
    return Component(median=median, sigma=sigma, weight=_positive(row.get("weight", 1.0)))


def _errors(value: object) -> tuple[tuple[ErrorCode, float], ...]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a table of error codes with probabilities, found {value!r}")
    unknown = sorted(set(value) - DOCUMENTED_CODES)
    if unknown:
        raise ValueError(f"expected codes of {', '.join(sorted(ErrorCode))}, found {', '.join(unknown)}")
    rates = tuple((ErrorCode(code), toml_number(rate)) for code, rate in value.items())
    total = math.fsum(rate for _, rate in rates)
    if any(rate < 0 for _, rate in rates) or total > 1:
        raise ValueError(f"expected probabilities of at least 0 with a sum of at most 1, found a sum of {total:g}")
    return rates


def _rate_limit(value: object) -> RateLimit:
    if not isinstance(value, dict) or set(value) != {"rate", "burst"}:
        raise ValueError(f"expected a table with rate (requests per second) and burst (requests), found {value!r}")
    burst = toml_number(value["burst"])
    if burst < 1:
        raise ValueError(f"expected a burst of at least 1, found {burst:g}")
    return RateLimit(rate=_positive(value["rate"]), burst=burst)


def _gateway_retries(value: object) -> RetryPolicy:
    names = {each.name for each in fields(RetryPolicy)}
    if not isinstance(value, dict) or not set(value) <= names:
        raise ValueError(f"expected a table with any of {', '.join(sorted(names))}, found {value!r}")
    readers = dict.fromkeys(names, _duration) | {"factor": _positive}
    return RetryPolicy(**{name: readers[name](text) for name, text in value.items()})


def _identifiers(identifier: Identifier, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and identifier.accepts(each) for each in value):
        raise ValueError(f"expected a list, each item {identifier.description}, found {value!r}")
    if RESERVED_ENVIRONMENT in value:
        raise ValueError(f"expected no {RESERVED_ENVIRONMENT!r}: it is not an environment, and always exists")
    return tuple(value)


_READERS: dict[str, Callable[[object], object]] = {
    "description": toml_text,
    "service_time": _service_time,
    "error_service_time": _service_time,
    "errors": _errors,
    "rate_limit": _rate_limit,
    "max_body_bytes": _size,
    "predict_concurrency": _count,
    "predict_timeout": _time_limit,
    "gateway_retries": _gateway_retries,
    "environments": partial(_identifiers, ENVIRONMENT_NAME),
    "deployments": partial(_identifiers, DEPLOYMENT_ID),
}
"""The keys of a scenario file, and the function that reads each value."""
