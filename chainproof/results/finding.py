"""
A departure with its evidence, stored; and how often each clause was put to the test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NotRequired, TypedDict

from chainproof.contract.clauses import ANSWERS, COUNTED, FRAMING
from chainproof.contract.violations import Departure
from chainproof.results.stored_body import Body, BodyData


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
    answer_body: NotRequired[BodyData]
    """Only where bodies were to be kept."""


_TEXTS = ("clause", "level", "source", "quotation", "expected", "actual", "reproduce")


_COUNTING = frozenset({FRAMING.id, ANSWERS.id})
"""Clauses whose departures are told in numbers of bytes."""

_NUMBER = re.compile(r"[0-9]+")


def alike(clause: str, expected: str, actual: str) -> tuple[str, str, str]:
    """
    What departures have in common that are one finding: not the excerpt behind a colon, nor how many bytes of it.

    >>> alike("framing", "one message", "13 bytes behind the end: 'HTTP/1.1 200'")
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
    answer_body: Body | None = None
    """What the reproduced request was answered with; None where bodies were not to be kept, or no answer came."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two departures the same finding."""
        return alike(self.clause, self.expected, self.actual)

    def seen_again(self, times: int = 1) -> Finding:
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
        body = Body.from_json(data["answer_body"]) if "answer_body" in data else None
        found = cls(**told, cases=cases, answer_body=body)  # type: ignore[arg-type]  # looked through in the next line
        if not isinstance(found.count, int) or not all(isinstance(getattr(found, name), str) for name in _TEXTS):
            raise TypeError("expected a count and texts")
        return found


def finding(
    departure: Departure,
    *,
    reproduce: str = "",
    request_id: str | None = None,
    seed: int | None = None,
    check: str = "",
    cases: tuple[str, ...] = (),
    answer_body: Body | None = None,
) -> Finding:
    """
    A departure, seen once, with its evidence.
    """
    return Finding(
        clause=departure.clause.id,
        level=departure.clause.level.value,
        source=departure.clause.source,
        quotation=departure.clause.quotation,
        expected=departure.expected,
        actual=departure.actual,
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
    departed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseCount:
    """
    How often a clause was put to the test in a run, and how often it was departed from.
    """

    clause: str
    exercised: int
    departed: int

    def to_json(self) -> ClauseData:
        """The count as JSON types."""
        return {"clause": self.clause, "exercised": self.exercised, "departed": self.departed}

    @classmethod
    def from_json(cls, data: ClauseData) -> ClauseCount:
        """The count that `to_json` wrote. Raises KeyError for a clause nobody knows."""
        return cls(clause=COUNTED[data["clause"]].id, exercised=data["exercised"], departed=data["departed"])
