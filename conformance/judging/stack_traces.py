"""
Finds stack traces and other internals of a server in an answer.

Each row of the table is a form of diagnostics of a runtime, framework, database or cluster. Text that the request itself
contains does not count, and neither do the server's name and version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from chainproof.contract.answer import Answer
from chainproof.json_text import InvalidJson, TooComplex, parse_json
from chainproof.stored_text import beginning

_IGNORED_FIELDS = frozenset(
    {
        *("server", "via", "x-powered-by", "date", "etag", "set-cookie", "alt-svc", "nel", "report-to"),
        *("link", "location", "content-location", "x-baseten-request-id", "x-request-id", "traceparent"),
    }
)
"""Fields whose purpose is to name a server, to link elsewhere or to identify an answer."""

_MAX_LENGTH = 50_000
"""Characters of a text that are searched."""

_MAX_REMEMBERED = 500
"""Characters of a text whose matches are remembered: most errors of a target have the same few texts."""

_MAX_PARSED = 2**20
"""Bytes of a body above which its strings are not searched one by one."""

_POD = "[bcdfghjklmnpqrstvwxz2456789]"
"""The characters of names that Kubernetes generates: no vowels, and no digits that resemble one."""

_PYTHON_PACKAGES = (
    "sqlalchemy|psycopg2?|pymysql|asyncpg|botocore|django|flask|starlette|fastapi|pydantic|pydantic_core|torch|requests|"
    "urllib3|httpx|aiohttp|redis|grpc"
)
"""Packages whose exception classes reveal the implementation."""

_ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # Stack traces of runtimes.
    ("a Python traceback", (r"Traceback \(most recent call last\)", r'File \\?"[^"\n]+", line \d+')),
    ("the chain's stack trace", (r'"user_stack_trace"\s*:\s*\[\s*\{',)),
    (
        "a Java stack frame",
        (r"\bat [\w.$/<>]+\([\w$]+\.(?:java|kt|scala):\d+\)", r"\bat [\w.$]+\((?:Native Method|Unknown Source)\)"),
    ),
    (
        "a JavaScript stack frame",
        (
            r"\bat [^\n]{1,200}?\.[cm]?[jt]sx?:\d+:\d+\)?",
            r"\bat [\w.]+ \(<anonymous>\)",
            r"\bnode:internal/",
        ),
    ),
    (
        "a Go stack trace",
        (r"\bgoroutine \d+ \[", r"\bruntime error: (?:invalid memory|index out of|slice bounds)", r"\w\.go:\d+\b"),
    ),
    ("a Ruby stack frame", (r"\.rb:\d+:in [`']",)),
    (
        "a PHP stack frame",
        (r"\bPHP (?:Fatal|Parse|Warning|Notice)", r"#\d+ \S+\.php\(\d+\)", r"\.php(?:</b>)? on line (?:<b>)?\d+"),
    ),
    (
        "a .NET stack frame",
        (
            r"\bat [\w.`<>+\[\]]{1,200}\([^)\n]{0,300}\) in \S{1,300}:line \d+",
            r"\bat (?:System|Microsoft)\.[\w.`<>+\[\]]+\(",
        ),
    ),
    (
        "a Rust panic",
        (r"\bthread '[^'\n]*' (?:\(\d+\) )?panicked at", r"\bRUST_BACKTRACE\b", r"(?<![\w/.-])[\w/.-]+\.rs:\d+:\d+"),
    ),
    ("a native crash", (r"\bSegmentation fault\b", r"\bcore dumped\b", r"\bterminate called after throwing")),
    (
        "an exception's class",
        (
            r"(?<![\w.])(?:java|javax|jakarta|org|com|io|net|kotlin)(?:\.\w+)+(?:Exception|Error)\b",
            r"(?<![\w.])System(?:\.\w+)*\.\w+Exception\b",
            rf"(?<![\w.])(?:{_PYTHON_PACKAGES})(?:\.\w+)*\.\w+(?:Error|Exception|Timeout)\b",
        ),
    ),
    ("an object's address", (r"<[\w.]+(?: object)? at 0x[0-9a-fA-F]{6,}>",)),
    # Debug pages.
    (
        "a debugger's page",
        (
            r"Werkzeug Debugger|__debugger__",
            r"You're seeing this error because you have|\bDEBUG = True\b",
            r"Whoops, looks like|<title>Action Controller: Exception|\bRails\.root:|\bLaravel\\|\bSymfony\\Component",
        ),
    ),
    # File paths.
    ("a source path", (r"(?<![\w.:/])(?:/[\w.@+-]+){2,}\.(?:py|go|rs|java|kt|js|ts|mjs|rb|php|cs|cpp|cc|so|jar)\b",)),
    (
        "a path of the server",
        (
            r"(?<![\w.:/-])/(?:home|usr|opt|srv|var|etc|proc|mnt)/[\w.@+-]+(?:/[\w.@+-]+)+",
            r"(?<![\w.:/-])/(?:home|etc|usr/lib|usr/local)/[\w.@+-]+",
            r"\b[A-Za-z]:\\{1,2}(?:Users|Windows|Program Files|inetpub|app|src|code|build|projects?|work)\b",
        ),
    ),
    # Databases, networks, clusters.
    (
        "a database's error",
        (
            r"\bSQLSTATE\b|\bORA-\d{5}\b|\bE11000 duplicate key|\bWRONGTYPE Operation",
            r"You have an error in your SQL syntax|\bsyntax error at or near\b|\bnear \\?\"[^\"\n]*\\?\": syntax error",
            r"\bUNIQUE constraint failed\b|\bno such table\b|\brelation \\?\"[^\"\n]+\\?\" does not exist",
        ),
    ),
    (
        "a query",
        (
            r"(?i)\bSELECT\b.{1,200}?\bFROM\b.{1,200}?\bWHERE\b",
            r"(?i)\bINSERT INTO \w+ ?\(",
            r"(?i)\bUPDATE \w+ SET \w+ ?=",
        ),
    ),
    (
        "a connection string",
        (r"\b(?:postgres(?:ql)?|mysql|rediss?|mongodb(?:\+srv)?|amqps?|kafka|jdbc:\w+)://[^\s\"']+",),
    ),
    (
        "a name inside the cluster",
        (
            r"(?<![\w.-])(?:[\w-]+\.)+(?:svc\.)?cluster\.local\b",
            r"(?<![\w.-])(?:[\w-]+\.){2,}(?:svc|internal|corp|intranet)\b(?!\.\w)",
            r"(?<![\w.-])[\w-]+\.(?:svc|internal|corp|intranet):\d+",
        ),
    ),
    (
        "a private address",
        (r"(?<![\w.])(?:10\.\d{1,3}|172\.(?:1[6-9]|2\d|3[01])|192\.168)\.\d{1,3}\.\d{1,3}\b(?!\.?\w)",),
    ),
    ("a pod's name", (rf"(?<![\w-])[a-z][a-z0-9-]*-{_POD}{{8,10}}-{_POD}{{5}}(?![\w-])",)),
    # Configuration.
    (
        "an environment variable",
        (
            r"(?<![A-Z0-9_])(?:[A-Z][A-Z0-9]*_)+(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS|URL)=[A-Za-z0-9/+]{4}",
            r"'(?:[A-Z][A-Z0-9]*_)+[A-Z0-9]+': '[^']",
            r"\benviron\(\{|\bKUBERNETES_SERVICE_\w+|\bPYTHONPATH\b|\bLD_LIBRARY_PATH\b|\bAWS_SECRET\w*",
        ),
    ),
    ("a resource's name", (r"\barn:aws[\w-]*:[\w-]+:",)),
)

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (words, re.compile(pattern)) for words, patterns in _ROWS for pattern in patterns
)


def exposed_internals(answer: Answer, sent: str = "") -> str | None:
    """The first internals that an answer exposes, in words, or None. Texts in *sent*, the request, do not count."""
    for place, text in _texts(answer):
        words = stack_trace_in(text, sent)
        if words is not None:
            return words + place
    return None


def stack_trace_in(text: str, sent: str = "") -> str | None:
    """The first internals that a text exposes, in words, or None. Texts in *sent*, the request, do not count."""
    searched = text[:_MAX_LENGTH]
    found = _found_in(searched) if len(searched) <= _MAX_REMEMBERED else _matches(searched)
    return next((words for words, match in found if match not in sent), None)


@lru_cache(maxsize=1024)
def _found_in(text: str) -> tuple[tuple[str, str], ...]:
    """All matches in a short text, which many answers have."""
    return tuple(_matches(text))


def _matches(text: str) -> Iterator[tuple[str, str]]:
    """What looks like internals in a text: the words for it, and the matching part."""
    return ((words, match[0]) for words, pattern in _PATTERNS for match in pattern.finditer(text))


def _texts(answer: Answer) -> Iterator[tuple[str, str]]:
    """The texts of an answer with their places: header values, the raw body and, if it is JSON, its strings without escapes."""
    yield "", beginning(answer.body, _MAX_LENGTH)
    value = parse_json(answer.body) if len(answer.body) <= _MAX_PARSED else InvalidJson.NOT_JSON
    if not isinstance(value, InvalidJson | TooComplex):
        yield "", "\n".join(_strings(value))
    for name, text in answer.headers:
        if name.lower() not in _IGNORED_FIELDS:
            yield f" in {name}", text


def _strings(value: object) -> Iterator[str]:
    """Every string in a JSON value, names included."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
