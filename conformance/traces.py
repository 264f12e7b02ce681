"""
What a stack trace looks like in an error's text.
"""

from __future__ import annotations

import re

_TRACES: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("a Python traceback", re.compile(rb"Traceback \(most recent call last\)")),
    ("a Python stack frame", re.compile(rb'File \\?"[^"]+", line \d+')),
    ("the chain's stack trace", re.compile(rb'"user_stack_trace"\s*:\s*\[\s*\{')),
    ("a Java stack frame", re.compile(rb"\bat [\w.$]+\([\w$]+\.java:\d+\)")),
    ("a JavaScript stack frame", re.compile(rb"\bat [\w.<> ]+ \(?[^\s()]+\.[jt]s:\d+:\d+\)?")),
    ("a Go stack trace", re.compile(rb"goroutine \d+ \[")),
    ("a source path", re.compile(rb"(?:/[\w.-]+){2,}\.(?:py|go|rs|java|js|ts)\b")),
)


def trace(text: bytes) -> str | None:
    """
    The first trace of the inside of a server in a text, in words; None where there is none.
    """
    return next((words for words, pattern in _TRACES if pattern.search(text)), None)
