"""
Judges the values of standard header fields by the grammar of their specifications.

Each field is one row of a table: its specification, its grammar as a regular expression, and whether a value that does
not match is a violation or, because recipients tolerate it, a warning. Fields that are not in the table are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.violations import Violation
from chainproof.stored_text import shortened

_MAX_QUOTED = 60
"""Characters of a value that a violation quotes."""

_MAX_JUDGED = 2**13
"""Characters of a value above which it is not judged."""

# ------------------------------------------------------------------ grammars

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_BLANKS = r"[ \t]*"
_WORD = rf"(?:{_TOKEN}|{_QUOTED})"
_PARAMETERS = rf"(?:{_BLANKS};(?:{_BLANKS}{_TOKEN}={_WORD})?)*"
_TAG = r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*"
_URI = r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
_COMMENT = r"\((?:[^()\\\x00-\x08]|\\.|\((?:[^()\\]|\\.)*\))*\)"
_PRODUCT = rf"{_TOKEN}(?:/{_TOKEN})?"


def _list(element: str, *, may_be_empty: bool = True) -> str:
    """
    A list of elements, separated by commas (RFC 9110 §5.6.1). Empty elements are tolerated, as recipients must.

    No two neighbouring parts can match the same blanks, so that matching takes linear time.
    """
    rest = rf"(?:{_BLANKS},(?:{_BLANKS}(?:{element}))?)*"
    empty = rf"|{_BLANKS}(?:,{_BLANKS})*" if may_be_empty else ""
    return rf"(?:{_BLANKS},)*{_BLANKS}(?:{element}){rest}{_BLANKS}{empty}"


_SF_BARE = (
    r"(?:-?[0-9]{1,12}\.[0-9]{1,3}|-?[0-9]{1,15}|\"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\"\\])*\""
    r"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*|:[A-Za-z0-9+/=]*:|\?[01]|@-?[0-9]{1,15})"
)
_SF_PARAMETERS = rf"(?:;[ ]*[a-z*][a-z0-9_.*-]*(?:={_SF_BARE})?)*"
_SF_ITEM = _SF_BARE + _SF_PARAMETERS
_SF_MEMBER = rf"(?:{_SF_ITEM}|\([ ]*(?:{_SF_ITEM}(?:[ ]+{_SF_ITEM})*[ ]*)?\){_SF_PARAMETERS})"
_SF_KEYED = rf"[a-z*][a-z0-9_.*-]*(?:={_SF_MEMBER}|{_SF_PARAMETERS})"

_CHALLENGE_PART = rf"(?:{_TOKEN}(?:[ ]+(?:{_TOKEN}{_BLANKS}={_BLANKS}{_WORD}|[A-Za-z0-9._~+/-]+=*))?|{_TOKEN}{_BLANKS}={_BLANKS}{_WORD})"
_ATTRIBUTE = rf"{_BLANKS}{_TOKEN}(?:{_BLANKS}={_BLANKS}{_WORD})?"
_LINK = rf"<{_URI}>(?:{_BLANKS};(?:{_ATTRIBUTE})?)*"
_TIMING = rf"{_TOKEN}(?:{_BLANKS};(?:{_ATTRIBUTE})?)*"
_HSTS = rf"(?:{_ATTRIBUTE})?{_BLANKS}(?:;(?:{_ATTRIBUTE})?{_BLANKS})*"
_COOKIE_VALUE = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"

# ------------------------------------------------------------------ values with a meaning

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(
    rf"({'|'.join(_DAYS)}), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) ([0-9]{{2}}):([0-9]{{2}}):([0-9]{{2}}) GMT"
)
_SECONDS_DIRECTIVES = re.compile(
    r"(?:^|[,\s])(max-age|s-maxage|min-fresh|stale-while-revalidate|stale-if-error)(?![^,=\s])(?:=([^,]*))?",
    re.IGNORECASE,
)
_HSTS_MAX_AGE = re.compile(r'(?:^|;)\s*max-age\s*=\s*(?:[0-9]+|"[0-9]+")\s*(?:;|$)', re.IGNORECASE)


def is_http_date(value: str) -> bool:
    """
    True for a date as senders must write it (RFC 9110 §5.6.7), on an existing day with the right weekday.

    >>> is_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), is_http_date("Mon, 06 Nov 1994 08:49:37 GMT")
    (True, False)
    """
    parts = _DATE.fullmatch(value)
    if parts is None:
        return False
    weekday, day, month, year, hour, minute, second = parts.groups()
    try:
        found = datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), min(int(second), 59))  # noqa: DTZ001  # GMT by the grammar
    except ValueError:
        return False
    return int(second) <= 60 and _DAYS[found.weekday()] == weekday


def _is_other_date(value: str) -> bool:
    """
    True for a date in a form that recipients understand but senders must not write. What is no date at all violates
    another clause.
    """
    try:
        parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return False
    return not is_http_date(value)


def _is_cache_control(value: str) -> bool:
    """True if every directive that takes seconds has them, as digits without quotation marks (RFC 9111 §5.2.2)."""
    return all((seconds or "").strip().isdecimal() for _, seconds in _SECONDS_DIRECTIVES.findall(value))


# ------------------------------------------------------------------ the table

_Test = Callable[[str], object]


def _like(grammar: str) -> _Test:
    """The test of a whole value by a regular expression."""
    return re.compile(grammar).fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """The grammar of one field."""

    source: str
    """Where the specification defines it."""
    expected: str
    """A correct value, or words for one."""
    tests: tuple[_Test, ...]
    clause: Clause = clauses.FIELD_SYNTAX
    by_line: bool = False
    """Whether each line of the field is a value of its own. Otherwise several lines are one list."""


def _date(source: str) -> _Rule:
    """The rule of a field that is a date."""
    return _Rule(
        source=source, expected="a date such as `Sun, 06 Nov 1994 08:49:37 GMT`", tests=(is_http_date,), by_line=True
    )


def _grammar(source: str, expected: str, grammar: str, *tests: _Test, **options: object) -> _Rule:
    """The rule of a field with a regular grammar."""
    return _Rule(source=source, expected=expected, tests=(_like(grammar), *tests), **options)  # type: ignore[arg-type]  # the rule's other fields


def _tokens(source: str, expected: str) -> _Rule:
    """The rule of a field that is a list of tokens."""
    return _grammar(source, expected, _list(_TOKEN))


_CHALLENGES: tuple[str, _Test] = (
    _list(_CHALLENGE_PART, may_be_empty=False),
    _like(rf"[\s,]*(?!{_TOKEN}{_BLANKS}=)[^\s,].*"),  # a scheme comes first
)
_WARNING = clauses.FIELD_CONVENTIONS

FIELD_RULES: dict[str, _Rule] = {
    "accept-ranges": _tokens("RFC 9110 §14.3", "`bytes` or `none`"),
    "access-control-allow-credentials": _grammar("Fetch, CORS", "`true`", "true", by_line=True, clause=_WARNING),
    "access-control-allow-headers": _tokens("Fetch, CORS", "header names, separated by commas"),
    "access-control-allow-methods": _tokens("Fetch, CORS", "methods, separated by commas"),
    "access-control-allow-origin": _grammar("Fetch, CORS", "`*`, `null` or one origin", r"\*|null|[a-z][a-z0-9+.-]*://[^\s/,*]+"),
    "access-control-expose-headers": _tokens("Fetch, CORS", "header names, separated by commas"),
    "access-control-max-age": _grammar("Fetch, CORS", "a number of seconds", "[0-9]+", by_line=True, clause=_WARNING),
    "age": _grammar("RFC 9111 §5.1", "a number of seconds", "[0-9]+"),
    "allow": _tokens("RFC 9110 §10.2.1", "methods, separated by commas"),
    "alt-svc": _grammar("RFC 7838 §3", '`clear` or services such as `h3=":443"; ma=60`', _list(rf"clear|{_TOKEN}={_QUOTED}{_PARAMETERS}", may_be_empty=False)),
    "authentication-info": _grammar("RFC 9110 §11.6.3", "parameters, separated by commas", _list(rf"{_TOKEN}{_BLANKS}={_BLANKS}{_WORD}")),
    "cache-control": _grammar("RFC 9111 §5.2", "directives such as `no-store` or `max-age=60`", _list(rf"{_TOKEN}(?:={_WORD})?"), _is_cache_control),
    "cache-status": _grammar("RFC 9211 §2", "a structured list such as `cache; hit`", _list(_SF_MEMBER)),
    "connection": _tokens("RFC 9110 §7.6.1", "options such as `close`, separated by commas"),
    "content-digest": _grammar("RFC 9530 §2", "a structured dictionary such as `sha-256=:…=:`", _list(_SF_KEYED)),
    "content-disposition": _grammar("RFC 6266 §4.1", "a token with parameters", rf"{_TOKEN}{_PARAMETERS}", clause=_WARNING),
    "content-encoding": _tokens("RFC 9110 §8.4", "content codings, separated by commas"),
    "content-language": _grammar("RFC 9110 §8.5", "language tags such as `en` or `de-CH`", _list(_TAG)),
    "content-location": _grammar("RFC 9110 §8.7", "a URL without spaces and characters outside ASCII", _URI, by_line=True),
    "content-range": _grammar("RFC 9110 §14.4", "a range such as `bytes 0-9/100`", rf"{_TOKEN} (?:[0-9]+-[0-9]+/(?:[0-9]+|\*)|\*/[0-9]+)", by_line=True),
    "content-type": _grammar("RFC 9110 §8.3.1", "a media type such as `application/json; charset=utf-8`", rf"{_TOKEN}/{_TOKEN}{_PARAMETERS}", by_line=True),
    "date": _date("RFC 9110 §6.6.1"),
    "etag": _grammar("RFC 9110 §8.8.3", 'a tag in quotation marks such as `"abc"` or `W/"abc"`', r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"', by_line=True),
    "expires": _date("RFC 9111 §5.3"),
    "keep-alive": _grammar("RFC 2068 §19.7.1.1", "parameters such as `timeout=5, max=100`", _list(rf"{_TOKEN}(?:{_BLANKS}={_BLANKS}{_WORD})?"), clause=_WARNING),
    "last-modified": _date("RFC 9110 §8.8.2"),
    "link": _grammar("RFC 8288 §3", "links such as `</x>; rel=next`", _list(_LINK)),
    "location": _grammar("RFC 9110 §10.2.2", "a URL without spaces and characters outside ASCII", _URI, by_line=True),
    "priority": _grammar("RFC 9218 §4", "a structured dictionary such as `u=1, i`", _list(_SF_KEYED)),
    "proxy-authenticate": _grammar("RFC 9110 §11.7.1", 'challenges such as `Basic realm="x"`', *_CHALLENGES),
    "proxy-status": _grammar("RFC 9209 §2", "a structured list such as `proxy; error=timeout`", _list(_SF_MEMBER)),
    "repr-digest": _grammar("RFC 9530 §3", "a structured dictionary such as `sha-256=:…=:`", _list(_SF_KEYED)),
    "retry-after": _Rule(source="RFC 9110 §10.2.3", expected="a date such as `Sun, 06 Nov 1994 08:49:37 GMT`", tests=(lambda value: not _is_other_date(value),), by_line=True),
    "server": _grammar("RFC 9110 §10.2.4", "products such as `name/1.0 (comment)`", rf"{_PRODUCT}(?:[ \t]+(?:{_PRODUCT}|{_COMMENT}))*", by_line=True, clause=_WARNING),
    "server-timing": _grammar("W3C Server Timing §4", "metrics such as `db;dur=53`", _list(_TIMING)),
    "set-cookie": _grammar("RFC 6265 §4.1.1", "`name=value` with attributes", rf'{_TOKEN}=(?:{_COOKIE_VALUE}|"{_COOKIE_VALUE}")(?:;[\x20-\x3a\x3c-\x7e]*)*', by_line=True, clause=_WARNING),
    "strict-transport-security": _grammar("RFC 6797 §6.1", "directives with a max-age, such as `max-age=60`", _HSTS, _HSTS_MAX_AGE.search, by_line=True),
    "trailer": _tokens("RFC 9110 §6.6.2", "names of trailer fields, separated by commas"),
    "upgrade": _grammar("RFC 9110 §7.8", "protocols such as `h2c`, separated by commas", _list(_PRODUCT)),
    "vary": _tokens("RFC 9110 §12.5.5", "`*` or header names, separated by commas"),
    "via": _grammar("RFC 9110 §7.6.3", "proxies such as `1.1 name`", _list(rf"(?:{_TOKEN}/)?{_TOKEN}[ \t]+[^\s,()]+(?:[ \t]+{_COMMENT})?", may_be_empty=False), clause=_WARNING),
    "www-authenticate": _grammar("RFC 9110 §11.6.1", 'challenges such as `Basic realm="x"`', *_CHALLENGES),
}  # fmt: skip  # one line each
"""The grammar of each field that is judged, by its name in lower case."""

_TOLERATED = {"expires": frozenset({"0", "-1"})}
"""Values that are not valid and that recipients understand (RFC 9111 §5.3): a warning."""


def field_violations(answer: Answer) -> Iterable[Violation]:
    """The violation or warning of each header field whose value does not follow its grammar."""
    for name, value in _values(answer):
        rule = FIELD_RULES[name]
        if len(value) > _MAX_JUDGED or all(test(value) for test in rule.tests):
            continue
        clause = clauses.FIELD_CONVENTIONS if value in _TOLERATED.get(name, ()) else rule.clause
        title = "-".join(_WORDS.get(part, part.capitalize()) for part in name.split("-"))
        yield Violation(
            clause=clause,
            expected=f"{title} by {rule.source}: {rule.expected}",
            actual=f"{title}: {shortened(value, _MAX_QUOTED)}",
        )
    charset = _CHARSET.search(answer.field("content-type") or "") if answer.media_type == "application/json" else None
    if charset is not None and charset[1].lower() not in _UTF_8:
        # RFC 8259 §11 has no such parameter, but some clients decode by it.
        yield Violation(
            clause=clauses.FIELD_CONVENTIONS,
            expected="no charset by RFC 8259 §8.1, §11, or `charset=utf-8`: JSON is in UTF-8",
            actual=f"Content-Type: {shortened(answer.field('content-type') or '', _MAX_QUOTED)}",
        )


_CHARSET = re.compile(r""";[ \t]*charset=["']?([^"'; \t]*)""", re.IGNORECASE)
_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii"})
"""Names of the charset of JSON texts, and of a part of it."""


_WORDS = {"etag": "ETag", "www": "WWW"}
"""Parts of field names that are not simply capitalized."""


def has_judged_field(answer: Answer) -> bool:
    """True if the answer has a header field with a known grammar."""
    return any(name.lower() in FIELD_RULES for name, _ in answer.headers)


def _values(answer: Answer) -> Iterable[tuple[str, str]]:
    """The names, in lower case, and values of the fields with a known grammar. The lines of a list are joined."""
    lists: dict[str, list[str]] = {}
    for name, line in answer.headers:
        lower_name, value = name.lower(), line.strip(" \t")
        rule = FIELD_RULES.get(lower_name)
        if rule is not None and rule.by_line:
            yield lower_name, value
        elif rule is not None:
            lists.setdefault(lower_name, []).append(value)
    for name, values in lists.items():
        yield name, ", ".join(values)
