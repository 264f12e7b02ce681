"""Commands that run a part of a conformance run again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from chainproof.contract.target import Target
from chainproof.options import Option, duration, positive_duration

from ..options import CALL_OPTIONS, OPTIONS, Settings

_LEFT_OUT = frozenset(
    {
        *("target", "chain_id", "model_id", "environment", "regional"),  # the URL says it all
        *("seed", "selection", "list", "plan", "duration"),
        *("out", "keep_bodies", "accept", "fail_on", "max_requests", "rate_limit", "time_budget"),
    }
)
"""Options of a run that a rerun of one check names itself, or that say nothing about what it sends and finds."""


def rerun_command(check_id: str, settings: Settings, target: Target, *, embedded: bool) -> str:
    """The command that runs one check again with the same seed and options; *embedded*: against an emulator of its own."""
    url = [] if embedded else ["--target", target.url]
    # An emulator of its own says by itself what it can do.
    implied = {"echo", "steerable", "overload"} if embedded else set()
    words = ["chainproof", "conformance", "-k", check_id, "--seed", str(settings.seed), *url]
    for option in OPTIONS:
        if option.dest not in _LEFT_OUT | implied:
            words += _words(option, settings)
    if "extended_generation" in check_id and settings.duration is not None:
        words += ["--duration", f"{settings.duration:g}s"]
    return shlex.join(words)


def call_options(settings: Settings) -> tuple[str, ...]:
    """The options with which `chainproof call` judges a request as this run does."""
    own = {option.dest for option in CALL_OPTIONS} - _LEFT_OUT - {"connect_to", "ca_file", "header", "deadline"}
    return tuple(word for option in OPTIONS if option.dest in own for word in _words(option, settings))


def _words(option: Option, settings: Settings) -> Iterator[str]:
    """An option with its value, as typed; nothing for the default."""
    value = getattr(settings, option.dest)
    if value == getattr(Settings(), option.dest):
        return
    if option.is_switch:
        yield option.name
        return
    for each in value if option.repeatable else (value,):
        text = f"{each:g}s" if option.parse in (duration, positive_duration) else str(each)
        yield from (option.name, text)
