"""
A workload: the whole demand, as a TOML file writes it and as the command line overrides it.

Every mistake in a file is reported at once, each with what was expected and what was found.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from chainproof.clock import PerSecond, Seconds
from chainproof.durations import parse_duration
from chainproof.jsontext import JSON
from chainproof.workload.arrivals import PROCESSES
from chainproof.workload.objectives import BadObjective, Objective, parse_objective
from chainproof.workload.payloads import DEFAULT_PAYLOADS, Payload


class Model(StrEnum):
    """
    What makes a request start.
    """

    OPEN = "open"
    """A schedule, whatever the target does."""
    CLOSED = "closed"
    """A user who has got the answer before, and thought about it."""


class BadWorkload(Exception):
    """
    A workload that cannot be run; the message lists every mistake.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """
    The whole demand of a run.
    """

    name: str
    description: str = ""
    model: Model = Model.OPEN
    rate: PerSecond = 10.0
    """Open model: planned requests a second."""
    arrivals: str = "poisson"
    """Open model: a name of `arrivals.PROCESSES`."""
    users: int = 10
    """Closed model: how many users there are."""
    think_time: Seconds = 0.0
    """Closed model: the pause between an answer and the same user's next request."""
    duration: Seconds = 10.0
    """How long requests are started; the drain comes after."""
    deadline: Seconds = 30.0
    """After this long without a complete answer a request has timed out, counted from when it was sent."""
    max_in_flight: int = 1000
    """Open model: the most requests in flight at once; what the plan asks beyond is not sent, and counted."""
    objectives: tuple[Objective, ...] = ()
    payloads: tuple[Payload, ...] = DEFAULT_PAYLOADS

    def mistakes(self) -> list[str]:
        """
        Everything that makes it impossible to run, in words.
        """
        checks = (
            (self.rate > 0, f"rate: expected more than 0 requests a second, found {self.rate:g}"),
            (self.rate <= 100_000, f"rate: expected at most 100000 requests a second, found {self.rate:g}"),
            (self.users > 0, f"users: expected at least 1, found {self.users}"),
            (self.think_time >= 0, f"think_time: expected at least 0 s, found {self.think_time:g} s"),
            (self.duration > 0, f"duration: expected more than 0 s, found {self.duration:g} s"),
            (self.deadline > 0, f"deadline: expected more than 0 s, found {self.deadline:g} s"),
            (self.max_in_flight > 0, f"max_in_flight: expected at least 1, found {self.max_in_flight}"),
            (
                self.arrivals in PROCESSES,
                f"arrivals: expected one of {', '.join(PROCESSES)}, found {self.arrivals!r}",
            ),
            (bool(self.payloads), "payloads: expected at least one, found none"),
            (
                all(payload.weight > 0 for payload in self.payloads),
                "payloads: expected every weight to be more than 0",
            ),
        )
        return [mistake for fine, mistake in checks if not fine]

    def checked(self) -> Workload:
        """
        The workload itself. Raises BadWorkload with every mistake.
        """
        mistakes = self.mistakes()
        if mistakes:
            raise BadWorkload("; ".join(mistakes))
        return self

    def with_options(self, **options: object) -> Workload:
        """
        The workload with every option that is not None in place of its own. Raises BadWorkload.
        """
        given = {name: value for name, value in options.items() if value is not None}
        return replace(self, **given).checked()  # type: ignore[arg-type]  # argparse has typed each of them

    def to_table(self) -> dict[str, JSON]:
        """The workload as the table of a TOML file, which `workload_from` reads."""
        return {
            "description": self.description,
            "model": self.model.value,
            "rate": self.rate,
            "arrivals": self.arrivals,
            "users": self.users,
            "think_time": self.think_time,
            "duration": self.duration,
            "deadline": self.deadline,
            "max_in_flight": self.max_in_flight,
            "objectives": [objective.text for objective in self.objectives],
            "payloads": [
                {"name": payload.name, "weight": payload.weight, "body": payload.body} for payload in self.payloads
            ],
        }


def load_workload(path: Path) -> Workload:
    """
    The workload in a TOML file. Raises BadWorkload with every mistake in it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as wrong:
        raise BadWorkload(f"cannot read the workload {path}: {wrong.strerror}") from wrong
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise BadWorkload(f"{path} is not TOML: {wrong}") from wrong
    return workload_from(table, name=path.stem)


def workload_from(table: Mapping[str, object], *, name: str) -> Workload:
    """
    The workload that a TOML table describes. Raises BadWorkload with every mistake in it.
    """
    mistakes: list[str] = []
    values: dict[str, object] = {}
    for key, value in table.items():
        reader = _READERS.get(key)
        if reader is None:
            mistakes.append(f"{key}: expected one of {', '.join(sorted(_READERS))}")
            continue
        try:
            values[key] = reader(value)
        except (ValueError, TypeError, BadObjective) as wrong:
            mistakes.append(f"{key}: {wrong}")
    workload = replace(Workload(name=name), **values)  # type: ignore[arg-type]  # each reader returns its field's type
    mistakes += workload.mistakes()
    if mistakes:
        raise BadWorkload(f"workload {name}: " + "; ".join(mistakes))
    return workload


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {value!r}")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, found {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, found {value!r}")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number, found {value!r}")
    return value


def _duration(value: object) -> Seconds:
    return parse_duration(value) if isinstance(value, str) else _number(value)


def _model(value: object) -> Model:
    if value not in [model.value for model in Model]:
        raise ValueError(f"expected open or closed, found {value!r}")
    return Model(value)


def _objectives(value: object) -> tuple[Objective, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list of objectives such as 'p95 response_time < 800ms', found {value!r}")
    return tuple(parse_objective(_text(text)) for text in value)


def _payloads(value: object) -> tuple[Payload, ...]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise TypeError("expected [[payloads]] tables, each with a body and, if you like, a name and a weight")
    return tuple(_payload(row, number) for number, row in enumerate(value, start=1))


def _payload(row: dict[str, object], number: int) -> Payload:
    unknown = set(row) - {"name", "weight", "body"}
    if unknown or not isinstance(row.get("body"), dict):
        raise ValueError(
            f"payload {number}: expected a table `body` and, if you like, name and weight, found {sorted(row)}"
        )
    body = row["body"]
    assert isinstance(body, dict)
    return Payload(name=_text(row.get("name", f"payload {number}")), weight=_number(row.get("weight", 1.0)), body=body)


_READERS = {
    "description": _text,
    "model": _model,
    "rate": _number,
    "arrivals": _text,
    "users": _whole,
    "think_time": _duration,
    "duration": _duration,
    "deadline": _duration,
    "max_in_flight": _whole,
    "objectives": _objectives,
    "payloads": _payloads,
}
"""What a workload's file may say, and how each value is read."""
