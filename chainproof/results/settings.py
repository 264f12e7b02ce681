"""The settings of a run that judgements and reports read, as typed values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict, TypeVar, cast

from chainproof.clock import PerSecond, Seconds
from chainproof.contract.accepted_violations import Acceptance, AcceptanceData
from chainproof.contract.levels import Level
from chainproof.json_text import JSON

_Row = TypeVar("_Row")


class PhaseSpanData(TypedDict):
    """A phase in a manifest's settings."""

    name: str
    from_s: float
    to_s: float
    judged: bool
    rate_per_s: NotRequired[float]
    final_rate_per_s: NotRequired[float]
    amplitude_per_s: NotRequired[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSpan:
    """A part of a run that is counted separately: warm-up, a step, a spike."""

    name: str
    start: Seconds
    end: Seconds
    """A request belongs to a phase when start ≤ its intended start < end."""
    judged: bool
    """Whether figures and objectives are computed from it."""
    mean_rate: PerSecond | None = None
    """The mean of its planned rate; None if that is not recorded, or a sine."""

    @property
    def seconds(self) -> Seconds:
        """Length of the phase."""
        return self.end - self.start

    def to_json(self) -> PhaseSpanData:
        """The phase as JSON types."""
        return {"name": self.name, "from_s": self.start, "to_s": self.end, "judged": self.judged}

    @classmethod
    def from_json(cls, data: PhaseSpanData) -> PhaseSpan:
        """The phase that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        start, end = float(data["from_s"]), float(data["to_s"])
        if not isinstance(data["name"], str) or not 0 <= start <= end < math.inf:
            raise ValueError(f"expected a name and 0 ≤ from_s ≤ to_s, found {data}")
        rate, final_rate = _number(data.get("rate_per_s")), _number(data.get("final_rate_per_s"))
        if rate is None or final_rate is None or data.get("amplitude_per_s"):
            mean_rate = None
        else:
            mean_rate = (rate + final_rate) / 2
        return cls(
            name=data["name"],
            start=start,
            end=end,
            judged=bool(data["judged"]),
            mean_rate=mean_rate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSettings:
    """Settings with a meaning for judgements and reports. A value of an unexpected type counts as not set."""

    model: str | None = None
    """`open` or `closed`; None for a conformance run."""
    duration: Seconds | None = None
    rate: PerSecond | None = None
    """The planned rate of a run without phases; None for a replay and in the closed model."""
    users: int | None = None
    """Of the closed model."""
    deadline: Seconds | None = None
    max_requests: int | None = None
    cost_per_request: float | None = None
    record_requests: int | None = None
    """How many requests are recorded one by one; None: none."""
    replanned_at: tuple[Seconds, ...] = ()
    """When the plan was replaced while the run went on."""
    phases: tuple[PhaseSpan, ...] = ()
    """In order; empty if the workload has none."""
    acceptances: tuple[Acceptance, ...] = ()
    """Violations accepted with `--accept`."""
    fail_on: Level = Level.ASSUMED
    """The lowest severity that fails a conformance run."""
    path_assumed: bool = False
    """Whether the target's path is another one than the document's."""
    has_inputs: bool = False
    """Whether `--input-schema` or `--payloads` was given."""
    echo: bool = False
    steerable: bool = False
    selection: str = ""
    """The `-k` expression that selected the checks of a conformance run; empty: all of them ran."""
    label: str = ""
    """The user's name for the run; empty if it has none."""

    @classmethod
    def from_json(cls, settings: Mapping[str, JSON]) -> KnownSettings:
        """The known ones among the settings of a manifest."""
        model, max_requests, fail_on = (settings.get(name) for name in ("model", "max_requests", "fail_on"))
        selection, label = settings.get("selection"), settings.get("label")
        record_requests, users = settings.get("record_requests"), settings.get("users")
        return cls(
            model=model if isinstance(model, str) else None,
            duration=_number(settings.get("duration_s")),
            rate=None if settings.get("arrivals") == "replay" else _number(settings.get("rate_per_s")),
            users=users if isinstance(users, int) else None,
            deadline=_number(settings.get("deadline_s")),
            max_requests=max_requests if isinstance(max_requests, int) else None,
            cost_per_request=_number(settings.get("cost_per_request")),
            record_requests=record_requests if isinstance(record_requests, int) else None,
            replanned_at=tuple(_rows(settings.get("replanned_at_s"), _instant)),
            phases=read_phases(settings.get("phases")),
            acceptances=read_acceptances(settings.get("accept")),
            fail_on=Level(fail_on) if fail_on in list(Level) else Level.ASSUMED,
            path_assumed=bool(settings.get("path_assumed")),
            has_inputs=bool(settings.get("input_schema") or settings.get("payloads")),
            echo=bool(settings.get("echo")),
            steerable=bool(settings.get("steerable")),
            selection=selection if isinstance(selection, str) else "",
            label=label if isinstance(label, str) else "",
        )


def read_acceptances(setting: object) -> tuple[Acceptance, ...]:
    """The acceptances in the setting `accept`."""
    return tuple(_rows(setting, lambda row: Acceptance.from_json(cast(AcceptanceData, row))))


def read_phases(setting: object) -> tuple[PhaseSpan, ...]:
    """The phases in the setting `phases`."""
    return tuple(_rows(setting, lambda row: PhaseSpan.from_json(cast(PhaseSpanData, row))))


def _rows(rows: object, read: Callable[[object], _Row]) -> Iterator[_Row]:
    """The rows of a setting, without those that cannot be read: somebody may have edited the manifest."""
    for row in rows if isinstance(rows, list) else ():
        try:
            yield read(row)
        except (KeyError, TypeError, ValueError):
            continue


def _instant(value: object) -> Seconds:
    """A number of seconds. Raises TypeError on anything else."""
    number = _number(value)
    if number is None:
        raise TypeError(f"expected a number, found {value!r}")
    return number


def _number(value: object) -> float | None:
    """The value if it is a number, else None."""
    return value if isinstance(value, int | float) else None
