"""Which texts have a format that the draft of a schema does not define, such as base64. Validators accept any text for those."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any

import jsonschema_rs

from .subschemas import map_subschemas

_BASE64 = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
_DATE = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,6})?"
_ENCODINGS = frozenset({"base64", "base64url"})


def _matches(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a text matches a pattern."""
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _is_read_by(reader: Callable[[str], object]) -> Callable[[str], bool]:
    """A function that says whether a reader accepts a text."""

    def is_read(text: str) -> bool:
        try:
            reader(text)
        except (ValueError, RecursionError):
            return False
        return True

    return is_read


def _has_check_digit(text: str) -> bool:
    """True for 12 to 19 digits, the last of which is the check digit (ISO/IEC 7812-1)."""
    if re.fullmatch("[0-9]{12,19}", text) is None:
        return False
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(text))]
    return sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0


def _is_valid(name: str) -> Callable[[str], bool]:
    """A function that says whether a text has a format as the newest draft defines it: older ones accept any text for some."""
    return jsonschema_rs.validator_for({"type": "string", "format": name}, validate_formats=True).is_valid


def _is_usual_time(name: str) -> Callable[[str], bool]:
    """The same for a time as most readers expect it: in upper case, and with few decimal places of seconds."""
    is_valid = _is_valid(name)
    return lambda text: _USUAL_TIME.fullmatch(text) is not None and is_valid(text)


_USUAL_TIME = re.compile("[0-9T:-]+(?:[.][0-9]{1,9})?(?:Z|[+-][0-9:]+)")

TEXTS_OF_FORMATS: dict[str, Callable[[str], bool]] = {
    **{
        f"uuid{version}": _matches(f"(?i)[0-9a-f]{{8}}-[0-9a-f]{{4}}-{version}[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}")
        for version in range(1, 9)
    },
    **{name: _is_valid(name) for name in (
        "uuid", "duration", "idn-hostname", "uri-reference", "uri-template", "iri", "iri-reference", "json-pointer", "relative-json-pointer",
    )},
    **{name: _is_usual_time(name) for name in ("date-time", "time")},
    "date-time-local": _matches(f"{_DATE}T{_TIME}"),
    "time-local": _matches(_TIME),
    "host-name": _matches(_HOST),
    "name-email": _matches(r"[A-Za-z ]+ <[A-Za-z0-9._-]+@" + _HOST + ">"),
    **dict.fromkeys(("url", "multi-host-uri"), _matches(r"https?://" + _HOST + r"(?::[0-9]{1,4})?(?:/[A-Za-z0-9._~/-]*)?")),
    "ip-address": _is_read_by(ipaddress.IPv4Address),
    "ipvanyaddress": _is_read_by(ipaddress.ip_address),
    "ipv4network": _is_read_by(ipaddress.IPv4Network),
    "ipv6network": _is_read_by(ipaddress.IPv6Network),
    "ipvanynetwork": _is_read_by(ipaddress.ip_network),
    "ipv4interface": _is_read_by(ipaddress.IPv4Interface),
    "ipv6interface": _is_read_by(ipaddress.IPv6Interface),
    "ipvanyinterface": _is_read_by(ipaddress.ip_interface),
    "path": _matches("[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*"),
    "file-path": _matches("/etc/hostname"),
    "directory-path": _matches("/"),
    "color": _matches("#[0-9A-Fa-f]{6}"),
    "json-string": _is_read_by(json.loads),
    **dict.fromkeys(("byte", "base64"), _matches(_BASE64)),
    "base64url": _matches("(?:[A-Za-z0-9_-]{4})*"),
    "decimal": _matches("-?[0-9]{1,15}(?:[.][0-9]{1,9})?"),
    "payment-card-number": _has_check_digit,
}  # fmt: skip  # one line for each format
"""
Functions that accept a text only if every reader of the format accepts it. So base64url has no padding and none is lacking, and a
file is one that exists.
"""


def with_content_formats(schema: Any) -> Any:
    """
    A schema in which a text whose `contentEncoding` is base64 has that as its format. By JSON Schema it may be any text, but
    hardly any chain accepts others.

    >>> with_content_formats({"properties": {"image": {"type": "string", "contentEncoding": "base64"}}})
    {'properties': {'image': {'type': 'string', 'contentEncoding': 'base64', 'format': 'base64'}}}
    """
    changed = map_subschemas(schema, with_content_formats)
    if isinstance(changed, dict) and changed.get("contentEncoding") in _ENCODINGS and "format" not in changed:
        changed = {**changed, "format": changed["contentEncoding"]}
    return changed
