"""
A violation with its evidence, stored; and how often each clause was put to the test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NotRequired, TypedDict

from chainproof.contract.clauses import COUNTABLE_CLAUSES, REQUEST_ANSWERED, RESPONSE_FRAMING
from chainproof.contract.violations import Violation
from chainproof.results.stored_body import StoredBody, StoredBodyData


class FindingData(TypedDict):
    """
    One line of `findings.jsonl`. A later line that is `alike` replaces an earlier one.
    """

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
    answer_body: NotRequired[StoredBodyData]
    """Only where bodies were to be kept."""


_TEXTS = ("clause", "level", "source", "quotation", "expected", "actual", "reproduce")


_COUNTING = frozenset({RESPONSE_FRAMING.id, REQUEST_ANSWERED.id})
"""Clauses whose violations are told in numbers of bytes."""

_NUMBER = re.compile(r"[0-9]+")


def finding_key(clause: str, expected: str, actual: str) -> tuple[str, str, str]:
    """
    What violations have in common that are one finding: not the excerpt behind a colon, nor how many bytes of it.

    >>> finding_key("framing", "one message", "13 bytes behind the end: 'HTTP/1.1 200'")
    ('framing', 'one message', '# bytes behind the end')
    """
    actual = actual.partition(": ")[0]
    return clause, expected, _NUMBER.sub("#", actual) if clause in _COUNTING else actual


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One way in which the target departed from one clause, however often it did.
    """

    clause: str
    """The clause's id."""
    level: str
    source: str
    quotation: str
    expected: str
    actual: str
    count: int
    reproduce: str
    """A curl line that shows it again, with `$BASETEN_API_KEY` in the key's place; empty where one line cannot."""
    request_id: str | None = None
    """Of the answer that the curl line reproduces."""
    seed: int | None = None
    """What `--seed` generates the same requests again."""
    check: str = ""
    """Which check saw it first."""
    cases: tuple[str, ...] = ()
    """What was special about the requests that showed it, in words, the first few of them."""
    more_cases: bool = False
    """Whether other requests showed it too."""
    answer_body: StoredBody | None = None
    """What the reproduced request was answered with; None where bodies were not to be kept, or no answer came."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two violations the same finding."""
        return finding_key(self.clause, self.expected, self.actual)

    def with_added_count(self, times: int = 1) -> Finding:
        """The same finding, seen *times* more often."""
        return replace(self, count=self.count + times)

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
        if self.answer_body is not None:
            data["answer_body"] = self.answer_body.to_json()
        return data

    @classmethod
    def from_json(cls, data: FindingData) -> Finding:
        """The finding that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        told = {name: value for name, value in data.items() if name not in ("answer_body", "cases")}
        cases = tuple(str(case) for case in data.get("cases", ()))
        body = StoredBody.from_json(data["answer_body"]) if "answer_body" in data else None
        found = cls(**told, cases=cases, answer_body=body)  # type: ignore[arg-type]  # looked through in the next line
        if not isinstance(found.count, int) or not all(isinstance(getattr(found, name), str) for name in _TEXTS):
            raise TypeError("expected a count and texts")
        return found


def finding(
    violation: Violation,
    *,
    reproduce: str = "",
    request_id: str | None = None,
    seed: int | None = None,
    check: str = "",
    cases: tuple[str, ...] = (),
    answer_body: StoredBody | None = None,
) -> Finding:
    """
    A violation, seen once, with its evidence.
    """
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
        answer_body=answer_body,
    )


class ClauseData(TypedDict):
    """
    One line of `clauses.jsonl`: a later line for the same clause replaces an earlier one.
    """

    clause: str
    exercised: int
    violations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseCount:
    """
    How often a clause was put to the test in a run, and how often it was departed from.
    """

    clause: str
    exercised: int
    violations: int

    def to_json(self) -> ClauseData:
        """The count as JSON types."""
        return {"clause": self.clause, "exercised": self.exercised, "violations": self.violations}

    @classmethod
    def from_json(cls, data: ClauseData) -> ClauseCount:
        """The count that `to_json` wrote. Raises KeyError for a clause nobody knows."""
        return cls(
            clause=COUNTABLE_CLAUSES[data["clause"]].id, exercised=data["exercised"], violations=data["violations"]
        )
