"""Evidence of findings and exemplars: stored bodies, cases, and curl lines."""

from __future__ import annotations

import re

from chainproof.contract.clauses import COUNTABLE_CLAUSES
from chainproof.results.finding import Finding
from chainproof.results.stored_body import StoredBody

from .quantities import count
from .safe_text import escape_unprintable


def body_text(body: StoredBody) -> str:
    """A stored body as text, or as base64 if it is not UTF-8."""
    data = body.to_json()
    return data.get("text") or data.get("base64", "")


def body_size(body: StoredBody) -> str:
    """The size of a body, and how much of it is stored if that is less."""
    size = f"{count(body.size)} byte{'s' * (body.size != 1)}"
    coding = "" if body.text is not None else ", in base64"
    return f"{size}, the first {count(len(body.octets))} stored{coding}" if body.truncated else f"{size}{coding}"


def statement(finding: Finding) -> str:
    """The statement of the finding's clause, or of the user's own check; empty for a clause that this version does not know."""
    clause = COUNTABLE_CLAUSES.get(finding.clause)
    return clause.statement if clause is not None else ""


def cases(finding: Finding) -> str:
    """The kinds of requests that showed a finding."""
    return "; ".join(escape_unprintable(case) for case in finding.cases) + "; and more" * finding.more_cases


_WORD = re.compile(r"""#.*|(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+""")


def shell_words(line: str) -> list[str]:
    r"""
    The words of a curl line, a comment as one word.

    >>> shell_words("curl -H 'A: b' \"$X\"  # a comment")
    ['curl', '-H', "'A: b'", '"$X"', '# a comment']
    """
    return _WORD.findall(line)
