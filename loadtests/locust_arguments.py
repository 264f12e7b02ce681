"""The options of a load run on Locust's command line: how they are added there, read, and passed on by the command."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from chainproof.errors import UsageError
from chainproof.options import (
    TARGET_OPTIONS,
    TARGET_VARIABLE,
    Option,
    Surface,
    add_options,
    duration,
    duration_or_seconds,
)
from chainproof.target_options import TargetOptions, parse_target_options

from .locust_options import REJECTED, locust_names
from .options import OPTIONS, PASSED_ON


def add_locust_options(parser: argparse.ArgumentParser, **_: object) -> None:
    """Add the options to Locust's command line, and replace or reject those of Locust that are not as they were."""
    # Not reachable from other machines unless --web-host or --master-bind-host says so.
    parser.set_defaults(web_host="127.0.0.1", master_bind_host="127.0.0.1")
    parser.set_defaults(host=None, run_time=None, stop_timeout=0)  # Locust reads them, and they have no options now
    parser.conflict_handler = "resolve"  # a later option takes the names of an earlier one
    before = dict(parser._option_string_actions)  # noqa: SLF001  # argparse has no public way to list options
    group = parser.add_argument_group("chainproof", "Options of a load run; see also chainproof loadtests --help.")
    for option in REJECTED:
        if option.name in before:
            _reject(group, before[option.name], option.text)

    def further(option: Option) -> tuple[tuple[str, ...], dict[str, Any]]:
        names = locust_names(option.name)
        words = {"action": StoreOnce} | _variable(before.get(names[-1])) if names else {}
        return names, words | as_in_locust(option)

    add_options(parser, OPTIONS, Surface.LOCUST, group, further)


def as_in_locust(option: Option) -> dict[str, Any]:
    """Keyword arguments for Locust's command line and page, where a bare number is a duration in seconds."""
    return {"type": duration_or_seconds} if option.parse is duration else {}


_LOCUST_HOST = "LOCUST_HOST"
_TARGET_NAMES = frozenset(option.name for option in TARGET_OPTIONS)


def _variable(action: argparse.Action | None) -> dict[str, Any]:
    """The environment variable of one of Locust's options, as its parser takes it."""
    variable = getattr(action, "env_var", None)
    return {"env_var": variable} if variable else {}


def _reject(group: argparse._ArgumentGroup, action: argparse.Action, reason: str) -> None:
    """Let an option of Locust fail with the reason, also in a variable or a configuration file."""
    group.add_argument(
        *list(action.option_strings),
        action=RejectedOption,
        dest=action.dest,
        default=action.default,
        nargs="*" if action.nargs == "*" else "?",
        reason=reason,
        is_switch=action.nargs == 0,
        help=argparse.SUPPRESS,
        **_variable(action),
    )


class StoreOnce(argparse.Action):
    """Store a value. A second value under another name of the option is an error."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> None:
        """Store the value."""
        del option_string
        found = getattr(namespace, self.dest)
        if found not in (None, values):
            parser.error(f"expected one value of {'/'.join(self.option_strings)}, found {found} and {values}")
        setattr(namespace, self.dest, values)


class RejectedOption(argparse.Action):
    """An option of Locust that has no meaning here."""

    def __init__(self, option_strings: list[str], dest: str, *, reason: str, is_switch: bool, **words: Any) -> None:
        super().__init__(option_strings, dest, **words)
        self._reason = reason
        self._is_switch = is_switch

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> None:
        """Fail, unless the value switches the option off."""
        del namespace, option_string
        if self._is_switch and str(values).lower() in _OFF:
            return
        variable = getattr(self, "env_var", None)
        name = self.option_strings[-1] + (f" (or {variable})" if variable else "")
        parser.error(f"expected no {name} with chainproof's users: {self._reason}")


_OFF = ("false", "no", "off", "0")


def given_options(options: argparse.Namespace) -> list[str]:
    """The names of our options on Locust's command line, in a variable or a configuration file, as far as they are not the defaults."""
    ours = {option.name: option for option in OPTIONS if Surface.LOCUST in option.valid_in}
    return [name for name, each in ours.items() if getattr(options, each.dest) != each.keyword_arguments()["default"]]


def requested_target(options: argparse.Namespace) -> TargetOptions:
    """The target that Locust's options describe. Raises UsageError."""
    host = os.environ.get(_LOCUST_HOST)
    if host and host == options.target and os.environ.get(TARGET_VARIABLE) not in (None, host):
        raise UsageError(f"expected {_LOCUST_HOST} or {TARGET_VARIABLE}, found both with different values; unset one")
    if options.target_json is not None:
        also = [name for name in given_options(options) if name in _TARGET_NAMES]
        if also:
            raise UsageError(f"expected {also[0]} as an option of chainproof loadtests, found it among those of Locust")
        return TargetOptions.from_json(json.loads(options.target_json))
    return parse_target_options(vars(options))


def locust_arguments(options: argparse.Namespace, target: TargetOptions, folder: Path) -> list[str]:
    """The arguments of the Locust process for a run with the command's options."""
    values = {option.name: getattr(options, option.dest) for option in PASSED_ON}
    values |= {"--workload": options.workload, "--users": options.num_users, "--out": str(folder)}
    values |= {"--target-json": json.dumps(target.to_json())}
    return [word for name, value in values.items() for word in _words(name, value)]


def _words(name: str, value: object) -> list[str]:
    """An option with its value, or values, as arguments."""
    match value:
        case None | False:
            return []
        case True:
            return [name]
        case list():
            return [f"{name}={item}" for item in value]
        case float():
            return [f"{name}={value:.9f}"]
        case _:
            return [f"{name}={value}"]
