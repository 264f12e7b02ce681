"""Findings, and how often each clause was exercised."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NotRequired, TypedDict

from chainproof.contract.clauses import COUNTABLE_CLAUSES, REQUEST_ANSWERED, RESPONSE_FRAMING, USER_CHECK
from chainproof.contract.violations import Violation
from chainproof.results.stored_body import StoredBody, StoredBodyData


class FindingData(TypedDict):
    """One line of `findings.jsonl`. A later line with the same key replaces an earlier one, and removes it if its count is 0."""

    clause: str
    level: str
    source: str
    quotation: str
    expected: str
    actual: str
    count: int
    reproduce: str
    request_id: str | None
    seed: int | None
    check: NotRequired[str]
    cases: NotRequired[list[str]]
    more_cases: NotRequired[bool]
    checks: NotRequired[int]
    server: NotRequired[str]
    answer_body: NotRequired[StoredBodyData]
    """Only with --keep-bodies."""


_CLAUSES_WITH_BYTE_COUNTS = frozenset({RESPONSE_FRAMING.id, REQUEST_ANSWERED.id})
"""Clauses whose violations contain numbers of bytes."""

_NUMBER = re.compile(r"[0-9]+")
_VALUE = re.compile(r"""'[^']*'|"[^"]*"|-?[0-9][0-9.,]*(?<![.,])""")
"""A quoted text or a number in a message of the user's own check."""


def finding_key(clause: str, expected: str, actual: str) -> tuple[str, str, str]:
    """
    The key that violations of the same finding share. It leaves out excerpts behind a colon and numbers of bytes.

    Messages of the user's own check that differ in numbers or quoted texts only are one finding.

    >>> finding_key("response-framing", "one message", "13 bytes behind the end: 'HTTP/1.1 200'")
    ('response-framing', 'one message', '# bytes behind the end')
    >>> finding_key("response-framing", "one message", "1 byte behind the end: '}'")
    ('response-framing', 'one message', '# bytes behind the end')
    >>> finding_key("user-check", "check.py:check passes", "negative total -79.5 for 'Ada'")
    ('user-check', 'check.py:check passes', 'negative total # for #')
    """
    actual = actual.partition(": ")[0]
    if clause == USER_CHECK.id:
        return clause, expected, _VALUE.sub("#", actual)
    if clause in _CLAUSES_WITH_BYTE_COUNTS:
        actual = _NUMBER.sub("#", actual).replace("# byte ", "# bytes ")
    return clause, expected, actual


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One way in which the target violated one clause, with the number of violations."""

    clause: str
    """The clause's id."""
    level: str
    source: str
    quotation: str
    expected: str
    actual: str
    count: int
    reproduce: str
    """A curl command that reproduces it, with `$BASETEN_API_KEY` for the key; empty if one command cannot."""
    request_id: str | None = None
    """Request id of the answer to the reproduced request."""
    seed: int | None = None
    """The `--seed` that generates the same requests."""
    check: str = ""
    """The check that saw it first."""
    cases: tuple[str, ...] = ()
    """Labels of the first few requests that showed it."""
    more_cases: bool = False
    """Whether other requests showed it too."""
    checks: int = 1
    """How many checks saw it."""
    server: str = ""
    """The names of servers in the answer to the reproduced request (Server, Via, X-Powered-By); empty if it has none."""
    answer_body: StoredBody | None = None
    """Body of the answer to the reproduced request; None without --keep-bodies or without an answer."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for violations of the same finding."""
        return finding_key(self.clause, self.expected, self.actual)

    def with_added_count(self) -> Finding:
        """The finding with one more violation."""
        return replace(self, count=self.count + 1)

    def to_json(self) -> FindingData:
        """The finding as JSON types."""
        data: FindingData = {
            "clause": self.clause,
            "level": self.level,
            "source": self.source,
            "quotation": self.quotation,
            "expected": self.expected,
            "actual": self.actual,
            "count": self.count,
            "reproduce": self.reproduce,
            "request_id": self.request_id,
            "seed": self.seed,
            "check": self.check,
        }
        if self.cases:
            data["cases"] = list(self.cases)
        if self.more_cases:
            data["more_cases"] = True
        if self.checks > 1:
            data["checks"] = self.checks
        if self.server:
            data["server"] = self.server
        if self.answer_body is not None:
            data["answer_body"] = self.answer_body.to_json()
        return data

    @classmethod
    def from_json(cls, data: FindingData) -> Finding:
        """The finding that `to_json` wrote. Raises KeyError or ValueError on anything else."""
        plain = FindingData.__annotations__.keys() - {"answer_body", "cases"}
        fields = {name: value for name, value in data.items() if name in plain}
        body = StoredBody.from_json(data["answer_body"]) if "answer_body" in data else None
        return cls(**fields, cases=tuple(data.get("cases", ())), answer_body=body)  # type: ignore[arg-type]  # by name


def finding(
    violation: Violation,
    *,
    reproduce: str = "",
    request_id: str | None = None,
    seed: int | None = None,
    check: str = "",
    cases: tuple[str, ...] = (),
    server: str = "",
    answer_body: StoredBody | None = None,
) -> Finding:
    """The finding of one violation."""
    return Finding(
        clause=violation.clause.id,
        level=violation.clause.level.value,
        source=violation.clause.source,
        quotation=violation.clause.quotation,
        expected=violation.expected,
        actual=violation.actual,
        count=1,
        reproduce=reproduce,
        request_id=request_id,
        seed=seed,
        check=check,
        cases=cases,
        server=server,
        answer_body=answer_body,
    )


class ClauseData(TypedDict):
    """One line of `clauses.jsonl`: a later line for the same clause replaces an earlier one."""

    clause: str
    exercised: int
    violations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseCount:
    """How often a clause was exercised in a run, and how often it was violated."""

    clause: str
    exercised: int
    violations: int

    def to_json(self) -> ClauseData:
        """The count as JSON types."""
        return {"clause": self.clause, "exercised": self.exercised, "violations": self.violations}

    @classmethod
    def from_json(cls, data: ClauseData) -> ClauseCount:
        """The count that `to_json` wrote. Raises KeyError for an unknown clause."""
        return cls(
            clause=COUNTABLE_CLAUSES[data["clause"]].id, exercised=data["exercised"], violations=data["violations"]
        )
