"""Strings by format, by length, and in several scripts."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable
from random import Random

LETTERS = string.ascii_letters + string.digits + " -_'éß漢🙂"
_SCRIPTS = ("Zoë", "漢字", "мир", "🙂🎉", "سلام", "हिन्दी", "ไทย", "𝒳𝒴", "Straße", "ñandú", "日本語", "ελληνικά")
"""Words in several scripts, two of them beyond the basic multilingual plane."""


def plain_text(low: int, high: int, source: Random) -> str:
    """A string of *low* to *high* characters."""
    return "".join(source.choices(LETTERS, k=source.randint(low, high)))


def text_in_several_scripts(low: int, high: int | None, source: Random) -> str:
    """A string of at least one and at most 24 characters, unless the bounds require otherwise."""
    words = source.sample(_SCRIPTS, 3)
    most = max(low, 24) if high is None else min(high, max(low, 24))
    length = sum(map(len, words)) + len(words) - 1
    while length < low:
        words.append(source.choice(_SCRIPTS))
        length += 1 + len(words[-1])
    return " ".join(words)[:most]


def _date(source: Random) -> str:
    return f"{source.randint(1970, 2037)}-{source.randint(1, 12):02}-{source.randint(1, 28):02}"


def _time(source: Random) -> str:
    return f"{source.randint(0, 23):02}:{source.randint(0, 59):02}:{source.randint(0, 59):02}Z"


def _host(source: Random) -> str:
    return f"{''.join(source.choices(string.ascii_lowercase, k=8))}.example"


def _email(source: Random) -> str:
    return f"{source.choice(string.ascii_lowercase)}@{_host(source)}"


def _uri(source: Random) -> str:
    return f"https://{_host(source)}/"


def _ipv4(source: Random) -> str:
    return f"192.0.2.{source.randint(0, 255)}"


def _ipv6(source: Random) -> str:
    return f"2001:db8::{source.randint(1, 0xFFFF):x}"


def _uuid(version: int) -> Callable[[Random], str]:
    """UUIDs of a version (RFC 9562)."""

    def generate(source: Random) -> str:
        digits = f"{source.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], f"{version}{digits[13:16]}", f"8{digits[17:20]}", digits[20:]))

    return generate


def _word(source: Random) -> str:
    return "".join(source.choices(string.ascii_lowercase, k=source.randint(1, 8)))


def _base64(source: Random) -> str:
    return base64.b64encode(source.randbytes(source.randint(1, 8))).decode()


def _base64url(source: Random) -> str:
    """Base64 for URLs of whole groups, which have no padding: some readers require it, others reject it."""
    return base64.urlsafe_b64encode(source.randbytes(3 * source.randint(1, 3))).decode()


def _card(source: Random) -> str:
    """A card number for tests, with a valid check digit (ISO/IEC 7812-1)."""
    digits = [4, *(source.randint(0, 9) for _ in range(14))]
    doubled = [digit * 2 if index % 2 == 0 else digit for index, digit in enumerate(digits)]
    total = sum(digit - 9 if digit > 9 else digit for digit in doubled)
    return "".join(map(str, digits)) + str(-total % 10)


FORMATS: dict[str, Callable[[Random], str]] = {
    "date": _date,
    "time": _time,
    "date-time": lambda source: f"{_date(source)}T{_time(source)}",
    "date-time-local": lambda source: f"{_date(source)}T{_time(source)}".removesuffix("Z"),
    "time-local": lambda source: _time(source).removesuffix("Z"),
    "duration": lambda source: f"PT{source.randint(0, 10_000)}S",
    "uuid": _uuid(4),
    **{f"uuid{version}": _uuid(version) for version in range(1, 9)},
    "hostname": _host,
    "idn-hostname": _host,
    "host-name": _host,
    "email": _email,
    "idn-email": _email,
    "name-email": lambda source: f"{_word(source)} <{_email(source)}>",
    **dict.fromkeys(("uri", "uri-reference", "iri", "iri-reference", "url", "multi-host-uri"), _uri),
    "uri-template": lambda source: f"{_uri(source)}{{{_word(source)}}}",
    "ipv4": _ipv4,
    "ip-address": _ipv4,
    "ipv6": _ipv6,
    "ipvanyaddress": _ipv4,
    "ipv4network": lambda source: f"192.0.{source.randint(0, 255)}.0/24",
    "ipvanynetwork": lambda source: f"192.0.{source.randint(0, 255)}.0/24",
    "ipv6network": lambda source: f"2001:db8:{source.randint(1, 0xFFFF):x}::/64",
    "ipv4interface": lambda source: f"{_ipv4(source)}/24",
    "ipvanyinterface": lambda source: f"{_ipv4(source)}/24",
    "ipv6interface": lambda source: f"{_ipv6(source)}/64",
    "json-pointer": lambda source: f"/{_word(source)}/{source.randint(0, 9)}",
    "relative-json-pointer": lambda source: f"{source.randint(0, 9)}/{_word(source)}",
    "regex": lambda source: f"^{_word(source)}$",
    "path": lambda source: f"{_word(source)}/{_word(source)}.txt",
    "file-path": lambda _: "/etc/hostname",
    "directory-path": lambda _: "/",
    "color": lambda source: f"#{source.getrandbits(24):06x}",
    "json-string": lambda source: f'{{"{_word(source)}":{source.randint(0, 9)}}}',
    "byte": _base64,
    "base64": _base64,
    "base64url": _base64url,
    "decimal": lambda source: f"{source.randint(0, 999)}.{source.randint(0, 99):02}",
    "payment-card-number": _card,
}
"""Generators of strings by format. Addresses are from the ranges for documentation."""

TEXT_FORMATS = frozenset({"binary", "password", "text", "string", "markdown", "html", "multiline", "textarea"})
"""Formats that any string has."""
