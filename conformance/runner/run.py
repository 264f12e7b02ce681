"""
One session's examination, carried through and judged as a whole.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date

import pytest

from chainproof.contract.accepted_violations import Acceptance, accepted
from chainproof.contract.answer import Answer
from chainproof.json_text import parse_json
from chainproof.judgement.verdict import Exit
from chainproof.results.finding import Finding
from chainproof.results.folder import RunWriter
from chainproof.results.manifest import End, Ending

from ..checks import Check
from ..judging.ledger import binding_levels, level_of
from ..options import Settings
from ..probing.requester import Examination
from .finding_text import finding_text


@dataclass(slots=True, kw_only=True)
class Conduct:
    """
    One session's examination, and how it is going.
    """

    examination: Examination
    folder: RunWriter
    settings: Settings
    acceptances: tuple[Acceptance, ...] = ()
    day: date
    """On which the run began."""
    began: float = field(default_factory=time.monotonic)
    in_vain: str | None = None
    """Why next to nothing can be exercised; empty where it can, None before the first request."""
    broken: str = ""
    """Our own error, if there was one, in one line."""

    @property
    def binding(self) -> tuple[Finding, ...]:
        """The findings that fail the run."""
        return tuple(found for found in self.examination.ledger.findings if self.binds(found))

    def binds(self, found: Finding) -> bool:
        """Whether a finding fails the run: grave enough, and not accepted."""
        return self.grave(found) and not self.accepts(found)

    def grave(self, found: Finding) -> bool:
        """Whether its level fails the run."""
        return level_of(found) in binding_levels(self.settings.fail_on)

    def accepts(self, found: Finding) -> bool:
        """Whether a finding was known of beforehand."""
        return accepted(found.clause, self.acceptances, self.day)

    def exit_code(self) -> Exit:
        """What the session comes to, interruption aside."""
        if self.broken:
            return Exit.SOFTWARE
        if self.binding:
            return Exit.FAIL
        return Exit.INCONCLUSIVE if self.in_vain else Exit.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """
    What one check has seen.
    """

    check: Check
    findings: tuple[Finding, ...]
    conduct: Conduct

    def stands(self) -> None:
        """
        Fail the test where a binding clause was departed from; where that was accepted, it fails as expected.
        """
        __tracebackhide__ = True
        binding = [found for found in self.findings if self.conduct.binds(found)]
        if binding:
            pytest.fail("\n\n".join(finding_text(found) for found in binding), pytrace=False)
        known = {found.clause: found for found in self.findings if self.conduct.grave(found)}
        if known:
            pytest.xfail("accepted: " + "; ".join(f"{clause}, found {found.actual}" for clause, found in known.items()))


CONDUCT = pytest.StashKey[Conduct]()
"""Of a test: the examination that it belongs to."""


def in_vain(conduct: Conduct) -> str:
    """
    Why nothing could be learnt from going on: the key is refused, or the target is busy whenever it is asked.
    """
    examination = conduct.examination
    examination.check = "the first request"
    answers = [
        examination.ask_plainly(body) for body in dict.fromkeys((examination.plain, b"{}", b'{"names":["Ada"]}'))
    ]
    statuses = {answer.status for answer in answers if answer is not None}
    if statuses and statuses <= {401, 403}:
        return (
            f"the key in {conduct.settings.api_key_env} is refused by {examination.target.origin}: it answered "
            f"{_words(answers[-1])} to a request with that key; nothing else can be exercised"
        )
    if statuses and statuses <= {429, 502, 503, 504}:
        return (
            f"{examination.target.origin} was never ready: it answered {_words(answers[-1])} again and again; "
            "nothing else can be exercised"
        )
    return ""


def _words(answer: Answer | None) -> str:
    """
    An answer in a few words: its status, and what it says went wrong.
    """
    assert answer is not None
    value = parse_json(answer.body)
    said = value.get("error") if isinstance(value, dict) else answer.body.decode("utf-8", "replace")
    return f"{answer.status} ({str(said)[:80]!r})"


def finish(conduct: Conduct, ending: Ending) -> None:
    """
    The final counts, and how the run ended.
    """
    conduct.examination.ledger.write_counts(final=True)
    seconds = time.monotonic() - conduct.began
    conduct.folder.finish(End(ending=ending, seconds=seconds, note=conduct.broken or conduct.in_vain or ""))
