"""Merges findings that have one cause: equal failures, mixed-up answers, or a status that valid inputs get by chance."""

from __future__ import annotations

import random
import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.violations import Violation
from chainproof.results.finding import Finding

from ..judging.auth_bypass_cause import AUTHENTICATION_CLAUSES
from ..judging.finding_recorder import Evidence
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.request import CheckRequest
from .reproduction import shows_violation

_SEVERAL_ANSWERS = frozenset({clauses.ANSWER_MATCHES_REQUEST, clauses.ANSWER_REPEATABLE, clauses.REQUEST_ISOLATION})
"""Clauses whose violations are mixed-up answers themselves."""
_ONE_ANSWER = frozenset(
    {
        clauses.ECHO_EXACT,
        clauses.OBJECT_ACCEPTED,
        clauses.NON_OBJECT_REJECTED,
        clauses.INVALID_JSON_REJECTED,
        clauses.BODY_REQUIRED,
        clauses.MEDIA_TYPE_REQUIRED,
        clauses.MEDIA_TYPE_MISSING,
    }
)
"""
Clauses that an answer violates by itself if it is the one to another request. No clause of authentication is among them, and
`echo-exact` only where the chain is known to be an echo.
"""
_PAUSES = (0.0, 0.3, 0.6)
"""Pauses before each attempt, as parts of the time after which a server may have closed a connection or forgotten an answer."""
_MAX_OTHERS = 8
"""Findings with another cause after which no more are tried: each costs these pauses."""
_MAX_WHITESPACE = 64
_WHITESPACE = b" \t\r\n"
_PER_ITEM = "a result for each item"
"""How the expectation begins of a violation that concerns the items within one answer."""
_OUTPUTS = ("another", "status 2", "`")
"""How a violation begins that is about an output, and not an error or a lasting change."""
_LEAK = re.compile(r"status [45]\d\d with data of another request")
_CHANGED_OUTPUT = frozenset({clauses.REQUEST_ISOLATION, clauses.ANSWER_REPEATABLE})
_ANOTHER_VALUE = "another "
"""How a violation begins that is about a value of an output."""
_MUST_BE_ACCEPTED = "status 200"
"""What is expected of the answer to an input that the chain may not reject."""
_SPOILT = frozenset({clauses.ERROR_JSON, clauses.ERROR_OBJECT})
"""Clauses that an error violates if data of other requests follow it."""
_STATUS = re.compile(r"status \d{3}")


def merge_shared_causes(requester: Requester) -> None:
    """Count findings with the one that has their cause. As far as that has to be tried again, a few requests are sent."""
    _merge_equal_failures(requester)
    with suppress(CheckSkipped):  # nothing more may be sent
        _merge_leaks(requester)
        _merge_lasting_changes(requester)
        _merge_mixed_up_answers(requester)
        _merge_statuses_by_chance(requester)


def _merge_equal_failures(requester: Requester) -> None:
    """Count inputs that the chain may also reject with those that it must accept, if both failed in the same way."""
    found = [
        (each, violation)
        for each, violation, _ in requester.finding_recorder.evidence()
        if violation.clause is clauses.OBJECT_ACCEPTED
    ]
    for root, violation in found:
        if violation.expected == _MUST_BE_ACCEPTED:
            others = [each for each, other in found if each.key != root.key and other.actual == violation.actual]
            _merge(requester, root, others, "", "")


def _merge_leaks(requester: Requester) -> None:
    """
    Count errors with data of other requests as one finding, whatever their statuses are, and errors that are no JSON objects
    because of these data.
    """
    found = requester.finding_recorder.evidence()
    leaks = [
        each
        for each, violation, _ in found
        if violation.clause is clauses.ANSWER_MATCHES_REQUEST and _LEAK.match(violation.actual)
    ]
    if not leaks:
        return
    root = max(leaks, key=lambda finding: finding.count)
    spoilt = [
        each
        for each, violation, evidence in found
        if violation.clause in _SPOILT and _is_by_chance(requester, violation, evidence)
    ]
    why = "so they had data of other requests"
    _merge(requester, root, [each for each in leaks if each.key != root.key], "", "")
    _merge(requester, root, spoilt, "errors had data of other requests", why)


def _merge_lasting_changes(requester: Requester) -> None:
    """Count outputs that an earlier input has changed as one finding, whether it was recognised as the cause or not."""
    found = [
        (each, violation.clause)
        for each, violation, _ in requester.finding_recorder.evidence()
        if violation.clause in _CHANGED_OUTPUT and violation.actual.startswith(_ANOTHER_VALUE)
    ]
    root = next((each for each, clause in found if clause is clauses.REQUEST_ISOLATION), None)
    if root is not None:
        others = [each for each, _ in found if each.key != root.key]
        _merge(requester, root, others, "outputs were changed by earlier inputs", "")


def _merge_mixed_up_answers(requester: Requester) -> None:
    """
    Count findings with the one of mixed-up answers if that is their cause.

    A request that a cache answers for another one may be anything: it then looks as if invalid JSON was accepted, or as if an
    echo was not exact. Such a request is answered correctly if it is sent alone, with another query and other whitespace.
    """
    one_answer = _ONE_ANSWER if requester.terms.echo else _ONE_ANSWER - {clauses.ECHO_EXACT}
    found = [
        each
        for each in requester.finding_recorder.evidence()
        if each[1].clause in _SEVERAL_ANSWERS | one_answer and not _has_other_cause(each[1])
    ]
    roots = [each for each, violation, _ in found if violation.clause is clauses.ANSWER_MATCHES_REQUEST]
    # A store that ignores a header field gives the own answer, but to a request that should be rejected.
    if not roots:
        found = [each for each in found if each[1].clause is not clauses.ANSWER_REPEATABLE]
        roots = [each for each, violation, _ in found if violation.clause is clauses.REQUEST_ISOLATION]
    if not roots:
        return
    root = max(roots, key=lambda finding: finding.count)
    merged: list[Finding] = []
    others = 0
    for each, violation, evidence in found:
        if each.key == root.key or others >= _MAX_OTHERS:
            continue
        if _is_consequence(requester, violation, evidence):
            merged.append(each)
        else:
            others += 1
    why = "with another query and other whitespace, so they got the answers to other requests"
    _merge(requester, root, merged, "answers may have belonged to other requests", why)


def _merge_statuses_by_chance(requester: Requester) -> None:
    """
    Count findings with the one of valid inputs that are rejected now and then, such as by one of several replicas, if other
    requests got the same status by the same chance.
    """
    found = requester.finding_recorder.evidence()
    for root, violation, evidence in found:
        status = _STATUS.match(violation.actual)
        if violation.clause is not clauses.OBJECT_ACCEPTED or status is None:
            continue
        others = [
            each
            for each in found
            if each[0].key != root.key
            and each[1].actual.startswith(status[0])
            and each[1].clause not in AUTHENTICATION_CLAUSES
        ]
        if others and _is_by_chance(requester, violation, evidence):
            merged = [each[0] for each in others[:_MAX_OTHERS] if _is_by_chance(requester, each[1], each[2])]
            why = f"so they got the {status[0]} that valid inputs get now and then"
            _merge(requester, root, merged, f"other requests were answered with {status[0]} by chance", why)
            return


def _is_by_chance(requester: Requester, violation: Violation, evidence: Evidence) -> bool:
    """True if a request does not show its violation whenever it is sent."""
    return not all(shows_violation(requester, violation, evidence.request, evidence.sign) for _ in _PAUSES)


def _merge(requester: Requester, root: Finding, merged: list[Finding], reason: str, why: str) -> None:
    """Count findings with their cause, and enter a note. *reason* is the one for clauses without another finding."""
    if not merged:
        return
    requester.finding_recorder.merge(root, merged, f"{reason}, see `{root.clause}`")
    if not why:
        return
    counts = Counter[str]()
    for each in merged:
        counts[each.clause] += each.count
    names = ", ".join(f"{name} × {count:,}" for name, count in counts.items())
    requester.finding_recorder.note(
        f"{names}: counted with `{root.clause}`. These requests are answered correctly if they are sent alone, {why}"
    )


def _has_other_cause(violation: Violation) -> bool:
    return violation.clause in _SEVERAL_ANSWERS and (
        violation.expected.startswith(_PER_ITEM) or not violation.actual.startswith(_OUTPUTS)
    )


def _is_consequence(requester: Requester, violation: Violation, evidence: Evidence) -> bool:
    """True if a request does not show its violation whenever it is sent in a form that was not sent before."""
    if violation.clause in _SEVERAL_ANSWERS:
        return True
    rng = requester.rng(f"alone {evidence.request.label}")
    for part in _PAUSES:
        requester.pause(part * requester.waits.idle)  # a stored answer may have to expire
        fresh = _fresh(evidence.request, rng)
        if not shows_violation(requester, violation, fresh, evidence.sign):
            return True
    return False


def _fresh(request: CheckRequest, rng: random.Random) -> CheckRequest:
    """The request with another query and with whitespace around its body, so that a server has no stored answer to it."""
    if request.raw is not None:
        return request
    body = request.body
    if body and not request.values("content-encoding"):
        before, after = (bytes(rng.choices(_WHITESPACE, k=rng.randint(8, _MAX_WHITESPACE))) for _ in range(2))
        body = before + body + after
    mark = "&" if "?" in request.path else "?"
    return replace(request, path=f"{request.path}{mark}chainproof={rng.getrandbits(32):08x}", body=body)
