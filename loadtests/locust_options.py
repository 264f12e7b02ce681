"""
What each option of Locust means for our users.

An option works as in Locust, means an option of ours, or is rejected with the reason. None is ignored without a word: a user
who types one would take the run for another than it was. The tests compare this table with Locust's own parser.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Treatment(StrEnum):
    """What happens to an option of Locust."""

    WORKS = "works"
    SAME = "same as"
    REJECTED = "rejected"
    OBSOLETE = "rejected by Locust"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocustOption:
    """An option of Locust and what it means here."""

    name: str
    treatment: Treatment = Treatment.WORKS
    text: str = ""
    """Our option, the reason for the rejection with what to do, or a note."""
    short: str = ""


def _works(names: str, note: str = "") -> tuple[LocustOption, ...]:
    return tuple(LocustOption(name=name, text=note) for name in names.split())


def _obsolete(names: str) -> tuple[LocustOption, ...]:
    note = "its message names the successor"
    return tuple(LocustOption(name=name, treatment=Treatment.OBSOLETE, text=note) for name in names.split())


def _same(name: str, short: str, ours: str) -> LocustOption:
    return LocustOption(name=name, short=short, treatment=Treatment.SAME, text=ours)


def _rejected(name: str, reason: str, short: str = "") -> LocustOption:
    return LocustOption(name=name, short=short, treatment=Treatment.REJECTED, text=reason)


_STATISTICS = "Locust's own statistics; the run folder has those of all requests"

LOCUST_OPTIONS: tuple[LocustOption, ...] = (
    *_works("--help", "with our options at the end"),
    *_works("--locustfile --config --list"),
    _same("--host", "-H", "--target"),
    *_works("--users", "users of the closed model; rejected in the open model, where --rate says how much is sent"),
    _rejected(
        "--spawn-rate",
        "users start when the run starts; for a load that rises use the workload ramp, or a workload file with phases",
        "-r",
    ),
    _same("--run-time", "-t", "--duration"),
    _rejected("--config-users", "set the attributes in your user class"),
    *_works("--web-host", "default 127.0.0.1"),
    *_works("--web-host-display-name --web-port --headless --headful --autostart"),
    *_works("--autoquit", "ends the process that many seconds after the run, with the exit code of the verdict"),
    *_works("--web-login --tls-cert --tls-key --web-base-path --build-path"),
    _rejected("--class-picker", "name the user class at the end of the command line"),
    *_obsolete("--web-auth --legacy-ui --expect-slaves --slave"),
    *_works("--master --master-bind-host --master-bind-port --expect-workers"),
    *_works("--expect-workers-max-wait", "too few workers by then: exit code 2"),
    _rejected("--enable-rebalancing", "the workers share one plan, which is fixed when a run starts"),
    *_works("--worker --processes --master-host --master-port"),
    *_works("--tags --exclude-tags"),
    *_works("--csv --csv-full-history --print-stats --only-summary --reset-stats --html --json-file", _STATISTICS),
    *_works("--json", f"{_STATISTICS}. Our summary goes to stderr then"),
    *_works("--skip-log-setup --loglevel --logfile"),
    *_works("--show-task-ratio --show-task-ratio-json --version"),
    _rejected(
        "--exit-code-on-error",
        "the exit code is that of the verdict; use --objective 'error_rate < 1%' to say which errors fail a run",
    ),
    _same("--stop-timeout", "-s", "--drain"),
    *_works("--equal-weights"),
    *_works("--profile", "a name that plugins of Locust read"),
    _rejected("--otel", "it instruments HTTP clients that these users do not have; listen to Locust's request event"),
)
"""Every option of Locust."""

REJECTED = tuple(option for option in LOCUST_OPTIONS if option.treatment is Treatment.REJECTED)


def locust_names(name: str) -> tuple[str, ...]:
    """The names that one of our options has in Locust; none if Locust has no such option."""
    same = (option for option in LOCUST_OPTIONS if option.treatment is Treatment.SAME and option.text == name)
    return tuple(each for option in same for each in (option.short, option.name))


_ROLES = ("--worker", "--master", "--expect-workers")
"""Options that `chainproof loadtests` sets itself, because of --workers."""


def hints() -> dict[str, str]:
    """What to use in place of an option of Locust in `chainproof loadtests`, by each name of the option."""
    found = {"-u": "use --users"}
    for option in LOCUST_OPTIONS:
        hint = {
            Treatment.SAME: f"use {option.text}",
            Treatment.REJECTED: option.text,
            Treatment.WORKS: "" if option.name in _ROLES else "it is an option of Locust: give it after a bare --",
            Treatment.OBSOLETE: "",
        }[option.treatment]
        found |= {name: hint for name in (option.short, option.name) if name and hint}
    return found
