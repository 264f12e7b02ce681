"""
A workload: the whole demand, as a TOML file writes it and as the command line overrides it.

Every mistake in a file is reported at once, each with what was expected and what was found.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import cast

from chainproof.clock import PerSecond, Seconds
from chainproof.durations import parse_duration
from chainproof.jsontext import JSON
from chainproof.workload.arrivals import PROCESSES, until
from chainproof.workload.objectives import BadObjective, Objective, parse_objective
from chainproof.workload.payloads import DEFAULT_PAYLOADS, Payload, load_payloads
from chainproof.workload.phases import Phase, bent, ends, phase_at


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
    phases: tuple[Phase, ...] = ()
    """Open model: a rate that changes; `rate` is then the highest there is, `duration` that of all phases together."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the payloads, each once."""
        return tuple(dict.fromkeys(payload.name for payload in self.payloads))

    @property
    def expected(self) -> float:
        """Open model: how many requests are to be expected."""
        return sum(phase.expected for phase in self.phases) if self.phases else self.rate * self.duration

    def phase_at(self, instant: Seconds) -> str | None:
        """The name of the phase that an intended start lies in; None where there is none."""
        found = phase_at(instant, self.phases, ends(self.phases)) if self.phases else None
        return found.name if found is not None else None

    def starts(self, seed: int) -> Iterator[Seconds]:
        """Open model: every intended start. The same seed draws the same."""
        process = PROCESSES[self.arrivals]
        if self.phases:
            return bent(process(1.0, seed), self.phases)
        return until(self.duration, process(self.rate, seed))

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
        return [mistake for fine, mistake in checks if not fine] + self._phase_mistakes()

    def _phase_mistakes(self) -> list[str]:
        """
        What is wrong with the phases.
        """
        names = [phase.name for phase in self.phases]
        checks = [
            (not self.phases or self.model is Model.OPEN, "phases: expected the open model, found the closed one"),
            (len(set(names)) == len(names), f"phases: expected a name of its own for each, found {', '.join(names)}"),
        ]
        for phase in self.phases:
            level = phase.rate >= 0 and phase.final_rate >= 0
            checks += [
                (phase.duration > 0, f"phase {phase.name}: expected a duration of more than 0 s"),
                (level, f"phase {phase.name}: expected rates of at least 0 requests a second"),
            ]
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

        Phases keep their proportions: a rate is their highest, a duration that of all together.
        """
        given = {name: value for name, value in options.items() if value is not None}
        changed = replace(self, **given)  # type: ignore[arg-type]  # argparse has typed each of them
        changed.checked()
        scale = {"rate": changed.rate / self.rate, "duration": changed.duration / self.duration}
        phases = tuple(phase.scaled(**scale) for phase in self.phases)
        return replace(changed, phases=phases)

    def to_table(self) -> dict[str, JSON]:
        """The workload as the table of a TOML file, which `workload_from` reads."""
        course: dict[str, JSON] = {"rate": self.rate, "duration": self.duration}
        if self.phases:
            course = {"phases": [_phase_table(phase) for phase in self.phases]}
        return course | {
            "description": self.description,
            "model": self.model.value,
            "arrivals": self.arrivals,
            "users": self.users,
            "think_time": self.think_time,
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
        _name_files(table, path.parent)
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
    if "phases" in values:
        mistakes += [f"{key}: expected none beside phases" for key in ("rate", "duration") if key in table]
        phases = cast(tuple[Phase, ...], values["phases"])
        values["rate"] = max(max(phase.rate, phase.final_rate) for phase in phases)
        values["duration"] = sum(phase.duration for phase in phases)
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
    return tuple(payload for number, row in enumerate(value, start=1) for payload in _payload(row, number))


def _payload(row: dict[str, object], number: int) -> tuple[Payload, ...]:
    unknown = set(row) - {"name", "weight", "body", "file"}
    if unknown or isinstance(row.get("body"), dict) is isinstance(row.get("file"), str):
        raise ValueError(
            f"payload {number}: expected a table `body`, or a `file` with one JSON object a line, and, if you like, name "
            f"and weight, found {sorted(row)}"
        )
    weight = _number(row.get("weight", 1.0))
    body = row.get("body")
    if not isinstance(body, dict):
        return load_payloads(Path(_text(row["file"])), name=_text(row.get("name", "")), weight=weight)
    return (Payload(name=_text(row.get("name", f"payload {number}")), weight=weight, body=body),)


def _name_files(table: dict[str, object], folder: Path) -> None:
    """
    Let the files that a workload names lie beside it.
    """
    rows = table.get("payloads")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("file"), str):
            row["file"] = str(folder / row["file"])


def _phases(value: object) -> tuple[Phase, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        raise TypeError("expected [[phases]] tables, each with a name, a duration and a rate")
    return tuple(map(_phase, value))


def _phase(row: dict[str, object]) -> Phase:
    if set(row) - {"judged"} != {"name", "duration", "rate"}:
        raise ValueError(f"expected name, duration and rate, and, if you like, judged, found {sorted(row)}")
    rate = row["rate"]
    if isinstance(rate, list) and len(rate) != 2:
        raise ValueError(f"expected a rate or two of them, [from, to], found {rate!r}")
    first, last = rate if isinstance(rate, list) else (rate, rate)
    judged = row.get("judged", True)
    if not isinstance(judged, bool):
        raise TypeError(f"expected judged to be true or false, found {judged!r}")
    return Phase(
        name=_text(row["name"]),
        duration=_duration(row["duration"]),
        rate=_number(first),
        final_rate=_number(last),
        judged=judged,
    )


def _phase_table(phase: Phase) -> dict[str, JSON]:
    """
    A phase as the table that `_phase` reads.
    """
    return {
        "name": phase.name,
        "duration": phase.duration,
        "rate": [phase.rate, phase.final_rate],
        "judged": phase.judged,
    }


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
    "phases": _phases,
}
"""What a workload's file may say, and how each value is read."""
