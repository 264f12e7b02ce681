"""
The start form of Locust's web page: the fields of our options, and the options that a posted form asks for.

The form is parsed like the command line, so usage errors have the same messages. Locust's own fields mean what its options
of the same name mean: Host is the target, Run time the duration, and Ramp up is rejected.
"""

from __future__ import annotations

import argparse
from collections.abc import Container, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from locust.argument_parser import default_args_dict

from chainproof.command import did_you_mean
from chainproof.errors import UsageError
from chainproof.options import Option, Surface, add_options

from ..locust_arguments import as_in_locust
from ..locust_options import REJECTED
from ..options import FORM_OPTIONS, LOCUST_NAMES, OPTIONS
from .web_paths import check_paths

_UNSET = "as the workload says"
_LOCUSTS = frozenset(default_args_dict())
_OTHER_FIELDS = ("host", "user_count", "spawn_rate", "run_time", "profile")
"""Fields of Locust's form."""
_NOT_IN_FORM = LOCUST_NAMES - {option.dest for option in FORM_OPTIONS} - set(_OTHER_FIELDS)
"""Options that a web page must not set."""
MAX_FIELDS = 200
MAX_NAME_LENGTH = 100
MAX_VALUE_LENGTH = 4000
"""Limits of a form, so that parsing it does not delay the requests of a run. Python converts at most 4300 digits."""


class FormError(UsageError):
    """A form with an invalid value; the message is argparse's."""


class _FormParser(argparse.ArgumentParser):
    """A parser of the form's values that raises FormError."""

    def error(self, message: str) -> NoReturn:
        raise FormError(message)


def form_fields(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The fields of Locust's form for our options, with their current values."""
    # The field Host shows the target, whichever option named it.
    values = {**options, "target": None}
    return {option.dest: _form_field(option, values[option.dest]) for option in FORM_OPTIONS}


def form_style(*, closed: bool) -> str:
    """
    The style of Locust's form: it shows our fields, and hides those that do not count, Ramp up and in the open model Number of users.

    *closed* says whether the page begins with the closed model. Otherwise the field Model decides: a native list, whose choice a
    style can see.
    """
    hidden = [".MuiFormControl-root:has(input[name=spawnRate])"]
    if not closed:
        hidden.append(
            "form:not(:has(select[name=model] option[value=closed]:checked)) .MuiFormControl-root:has(input[name=userCount])"
        )
    # Our own fields, such as the rate, are what a start depends on: they are shown without a click.
    shown = ".MuiAccordion-root:has([name=rate]) .MuiCollapse-root { height: auto !important; visibility: visible !important }"
    return f"{', '.join(hidden)} {{ display: none }} {shown}"


def _form_field(option: Option, value: object) -> dict[str, Any]:
    """One field, as Locust's form describes it. An option without a default may be left to the workload."""
    choices = [str(choice) for choice in option.choices] or None
    return {
        "default_value": _UNSET if choices and value is None else _as_text(value),
        "is_secret": False,
        "is_required": False,
        "is_multiple": False,
        "help_text": option.help_text.replace("repeatable", "several are separated by ;"),
        "choices": [_UNSET, *choices] if choices and option.default is None else choices,
    }


def _as_text(value: object) -> str | bool:
    """The value of an option as text of a form field."""
    match value:
        case None:
            return ""
        case bool():
            return value
        case list():
            return "; ".join(map(str, value))
        case float():
            return f"{value:g}"
        case _:
            return str(getattr(value, "value", value))


def read_form(
    form: Mapping[str, str],
    before: Mapping[str, Any],
    host: str | None = None,
    *,
    started_with: Mapping[str, Any] = MappingProxyType({}),
    folder: Path = Path(),
) -> dict[str, Any]:
    """
    The options with the values of a form. Options that it does not contain keep their values. Raises FormError.

    *host* is the target that the page shows as Host. Unknown fields are an error, and paths outside *folder* that are not
    among the options *started_with*.
    """
    _check_fields(form, before)
    reader = _FormParser(add_help=False, allow_abbrev=False)
    add_options(reader, OPTIONS, Surface.WEB_FORM, further=lambda option: ((), as_in_locust(option)))
    read = vars(reader.parse_args([word for option in FORM_OPTIONS for word in _words(option, form)]))
    values = {name: read[name] if name in form else before.get(name) for name in read}
    values |= _target(form, before, host) | _duration(reader, form, before)
    _check_spawn_rate(form, before)
    check_paths({name: value for name, value in values.items() if name in form}, started_with, folder)
    others = (name for name in form if name in before and name not in LOCUST_NAMES and name not in _LOCUSTS)
    return values | {name: _same_type(name, before[name], form[name]) for name in others}


def _check_fields(form: Mapping[str, str], before: Mapping[str, Any]) -> None:
    """Raise FormError for a form that is too large, and for a field that is unknown or not allowed in it."""
    if len(form) > MAX_FIELDS:
        raise FormError(f"expected at most {MAX_FIELDS} fields, found {len(form)}")
    for name, text in form.items():
        if len(name) > MAX_NAME_LENGTH or len(text) > MAX_VALUE_LENGTH:
            raise FormError(
                f"expected at most {MAX_VALUE_LENGTH} characters in field {name[:MAX_NAME_LENGTH]!r}, found more"
            )
        if name in _NOT_IN_FORM:
            raise FormError(f"field {name} cannot be set on this page; give the option when you start Locust")
        if name not in before and name not in _OTHER_FIELDS:
            raise FormError(f"unknown field {name}{did_you_mean(name, [*before, *_OTHER_FIELDS])}")


def _words(option: Option, form: Mapping[str, str]) -> list[str]:
    """The command-line arguments for a field."""
    text = form.get(option.dest, "").strip()
    if text in ("", _UNSET):
        return []
    if option.is_switch:
        return [option.name] if text == "true" else []
    texts = text.split(";") if option.repeatable else [text]
    return [f"{option.name}={each.strip()}" for each in texts if each.strip()]


def _target(form: Mapping[str, str], before: Mapping[str, Any], host: str | None) -> dict[str, Any]:
    """The target: a changed Host, or the field target, or an id; by default the one before. Raises FormError."""
    fields = {name: form.get(name, "").strip() for name in ("host", "target", "chain_id", "model_id")}
    if fields["host"] == host:
        fields["host"] = ""
    ids = {name for name in ("chain_id", "model_id") if fields[name] and fields[name] == before[name]}
    named = [name for name, text in fields.items() if text and name not in ids]
    if len(named) > 1:
        raise FormError(f"expected one target, found the fields {' and '.join(named)}; fill in one of them")
    if not named:
        return {"target": before["target"]}
    if named[0] in ("host", "target"):
        return {"target": fields[named[0]], "chain_id": None, "model_id": None}
    return {"target": None, "chain_id": None, "model_id": None, named[0]: fields[named[0]]}


def _duration(reader: argparse.ArgumentParser, form: Mapping[str, str], before: Mapping[str, Any]) -> dict[str, Any]:
    """The duration, if Locust's field Run time has one. Raises FormError if the field duration has another."""
    text = form.get("run_time", "").strip()
    if not text:
        return {}
    seconds = reader.parse_args([f"--duration={text}"]).duration
    own = form.get("duration", "").strip()
    if own not in ("", _as_text(before["duration"])) and reader.parse_args([f"--duration={own}"]).duration != seconds:
        raise FormError(f"expected one duration, found {text} as Run time and {own} as duration; leave one empty")
    return {"duration": seconds}


def _check_spawn_rate(form: Mapping[str, str], before: Mapping[str, Any]) -> None:
    """Raise FormError if Locust's field Ramp up was changed."""
    text = form.get("spawn_rate", "").strip()
    if text not in ("", f"{before.get('spawn_rate') or 1:g}"):
        reason = next(option.text for option in REJECTED if option.name == "--spawn-rate")
        raise FormError(f"expected 1 as Ramp up, found {text}: {reason}")


def check_open_model_fields(form: Mapping[str, str], shown: Container[int]) -> None:
    """Raise FormError if the number of users was changed, which the open model does not have."""
    text = form.get("user_count", "").strip()
    if text and parse_users(text) not in shown:
        raise FormError(
            f"expected 1 as Number of users, found {text}: in the open model requests start by a schedule; set the rate, or "
            "choose the closed model"
        )


def _same_type(name: str, before: object, text: str) -> object:
    """The text of a field of the locustfile's own option, converted to the type that it had before. Raises FormError."""
    match before:
        case bool():
            return text == "true"
        case list():
            return text.split(",") if text else []
        case int() | float():
            try:
                return type(before)(text)
            except ValueError:
                raise FormError(f"{name}: expected a number such as {before}, found {text!r}") from None
        case _:
            return text


def parse_users(text: str) -> int:
    """The number of users. Raises FormError."""
    if not text.isascii() or not text.isdigit():
        raise FormError(f"users: expected a whole number, found {text!r}")
    return int(text)
