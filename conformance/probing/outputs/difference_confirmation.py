"""
Asks the target again, one request at a time, until it is clear why equal inputs had different answers.

A chain may have values that differ from request to request, such as times, ids or random numbers. They are no violation.
It is a violation if a value stays the same whenever the input is sent alone, and was different once: while other requests ran,
in another form of the request, or without a visible reason.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from chainproof.contract import clauses
from chainproof.contract.violations import Violation
from chainproof.json_text import InvalidJson, TooComplex, parse_json

from ...inputs.input_variations import encoded, unique_input, unique_places
from ...inputs.member_names import may_vary
from ...judging.known_answers import KnownAnswer, OutputDifference
from ...judging.output_comparison import (
    Leaves,
    Path,
    agree_at,
    differing_paths,
    format_output_path,
    is_comparable_size,
    leaves,
)
from ...judging.request_texts import text_keys
from ...transport.request import CheckRequest
from ..requester import Requester
from .mixed_up_outputs import report_mixed_up

_MAX_CONFIRMED = 4
"""Differences of one check that are confirmed."""
_CONTROLS = 3
"""How often the input is sent alone if the wrong values belong to another request."""
_MORE_CONTROLS = 8
"""How often it is sent alone otherwise: the values might be random."""
_MAX_RARE = 2
"""So many of these answers, 24 in the worst case, may differ before the value counts as random."""
_MAX_CONTROLS = 70
"""How often it is sent alone at most."""
_CHANCE = 0.005
"""Probability with which a chain that chooses between values by chance may be taken for a faulty one."""
_TIME_SHARE = 20
"""One difference takes at most this part of the time that is left."""
_MAX_USER_PLACES = 5
"""Values of an input each of which may name a user."""


def confirm_differences(requester: Requester) -> None:
    """Report the differences between answers to equal inputs that have no innocent reason."""
    for difference in requester.known_answers.take_differences()[:_MAX_CONFIRMED]:
        _confirm(requester, difference)


def send_alone(requester: Requester, body: bytes | None, label: str = "", *, query: str = "") -> Leaves | None:
    """The output for an input that is sent alone; None without one. It is not compared with earlier outputs."""
    path = requester.target.path + query
    request = requester.build_request(body, label=label, path=path, is_compared=False)
    answer = requester.send(request).answer
    value = parse_json(answer.body) if answer is not None and answer.status == 200 else None
    return leaves(value) if isinstance(value, dict | list | str) and is_comparable_size(value) else None


def _confirm(requester: Requester, difference: OutputDifference) -> None:
    """Report one difference, or ignore its paths from now on."""
    known_answers, known = requester.known_answers, difference.known
    paths = known_answers.changed_paths(known.output, difference.output)
    if not paths:
        return
    owner = known_answers.owner(difference, difference.output, paths)
    choice = known_answers.share_of_choice(difference, paths)
    if choice and not _has_text_of(owner, difference.request, difference.output, paths):
        count = _controls_for_choice(requester, choice)
    else:
        choice, count = 0.0, _CONTROLS if owner is not None else _MORE_CONTROLS
    alone = _usual_output(requester, difference, count, may_be_rare=not choice)
    paths = known_answers.changed_paths(known.output, difference.output)
    if alone is None or not paths:
        return
    if agree_at(paths, alone, known.output) or requester.settings.deterministic:
        # In another form the input may get its own answer, and the usual form another one's.
        owner = owner or known_answers.owner(difference, known.output, paths)
        if owner is not None and owner.request.has_transfer_coding and not _still_has(requester, owner, paths):
            owner = None  # what is wrong with chunks is so for both requests
        _report(requester, difference, owner, paths)
        return
    if agree_at(paths, alone, difference.output):
        lasting = paths - _initial(requester, known) - own_values(known)
        owner = known_answers.owner(difference, known.output, lasting)
        if owner is not None and _still_has(requester, owner, lasting):
            # The first answer was the wrong one.
            _report(requester, difference, owner, lasting, request=known.request)
            return
        if known_answers.forget(known, paths):
            return
    known_answers.ignore(paths)  # the output depends on the time, or on what was sent before


def _has_text_of(owner: KnownAnswer | None, request: CheckRequest, output: Leaves, paths: Collection[Path]) -> bool:
    """True if an output has a text of the other request that its own request does not have: that is no choice of the chain."""
    if owner is None:
        return False
    theirs = text_keys(owner.request.body or b"") - text_keys(request.body or b"")
    return any(
        isinstance(value, str) and value.lower().startswith(key)
        for path in paths
        for value in output.get(path, ())
        for key in theirs
    )


def _controls_for_choice(requester: Requester, share: float) -> int:
    """
    How often an input is sent alone if the chain may choose between few values by chance, and chooses one for a *share* of the
    requests: so often that it would hardly have chosen another one each time.
    """
    needed = math.log(_CHANCE) / math.log1p(-min(share, 0.9))
    in_time = requester.time_budget.left / _TIME_SHARE / max(requester.response_times.accepted, 1e-4)
    return math.ceil(max(min(needed, in_time, _MAX_CONTROLS), _MORE_CONTROLS))


def _initial(requester: Requester, known: KnownAnswer) -> frozenset[Path]:
    """
    Where a first output equals that for an input whose values were never sent: it may be right for a first one, as with an
    allowance of each user.
    """
    value = parse_json(known.request.body or b"")
    if isinstance(value, InvalidJson | TooComplex):
        return frozenset()
    schema, rng = requester.terms.input_schema, requester.rng(f"first {known.request.label}")
    accepts = schema.accepts if schema is not None else lambda _: True
    places = unique_places(value, accepts, rng)
    initial = frozenset[Path]()
    # One value at a time, since the others may decide the rest of the output; and all of them, if two make the user.
    for changed in (*((place,) for place in places[:_MAX_USER_PLACES]), places):
        output = send_alone(requester, encoded(unique_input(value, changed, accepts, rng)), known.request.label)
        if output is not None:
            initial |= frozenset(known.output) - differing_paths(known.output, output)
    return initial


def own_values(known: KnownAnswer) -> frozenset[Path]:
    """Where an output has values of its own request: they belong to no other one, even if later outputs lack them."""
    value = parse_json(known.request.body or b"")
    if isinstance(value, InvalidJson | TooComplex):
        return frozenset()
    sent = {repr(item) for items in leaves(value).values() for item in items}
    return frozenset(path for path, items in known.output.items() if all(repr(item) in sent for item in items))


def _still_has(requester: Requester, owner: KnownAnswer, paths: Collection[Path]) -> bool:
    """True if the values belong to the other input, and do not change with the time for all inputs."""
    output = send_alone(requester, owner.request.body, owner.request.label)
    return output is not None and agree_at(paths, output, owner.output)


def _usual_output(
    requester: Requester, difference: OutputDifference, count: int, *, may_be_rare: bool
) -> Leaves | None:
    """
    The output of the input sent alone several times. Paths at which it varies are ignored from now on.

    If *may_be_rare*, a value that is rarely different is not ignored: it may be the defect, which happens to show again.
    """
    known_answers = requester.known_answers
    outputs = _send_alone_repeatedly(requester, difference.known.request, count)
    if len(outputs) < _CONTROLS:
        return None
    usual = _most_frequent(outputs)
    deviating = [found for output in outputs if (found := known_answers.changed_paths(usual, output))]
    if 1 <= len(deviating) <= _MAX_RARE and count >= _MORE_CONTROLS and may_be_rare:
        more = _send_alone_repeatedly(requester, difference.known.request, 2 * count)
        deviating += [found for output in more if (found := known_answers.changed_paths(usual, output))]
        if len(deviating) <= _MAX_RARE:
            return usual
    if not requester.settings.deterministic:
        known_answers.ignore(frozenset[Path]().union(*deviating))
    return usual


def _most_frequent(outputs: list[Leaves]) -> Leaves:
    """The output that equals most of the others."""
    return max(outputs, key=lambda output: sum(not differing_paths(output, other) for other in outputs))


def _send_alone_repeatedly(requester: Requester, request: CheckRequest, count: int) -> list[Leaves]:
    """The outputs for one input, sent alone several times."""
    outputs = []
    for number in range(count):
        if number == 1:
            # A time in seconds or a short-lived cache should show.
            requester.pause(requester.waits.idle / 4)
        output = send_alone(requester, request.body, label=request.label)
        if output is None:
            break
        outputs.append(output)
    return outputs


def _report(
    requester: Requester,
    difference: OutputDifference,
    owner: KnownAnswer | None,
    paths: Collection[Path],
    *,
    request: CheckRequest | None = None,
) -> None:
    """Enter the violation of a difference."""
    if owner is not None:
        shown = request or difference.request
        report_mixed_up(requester, owner.request, paths, shown, difference.answer, check=difference.check)
        return
    if not requester.settings.deterministic:
        varying = {path for path in paths if may_vary(path)}
        requester.known_answers.ignore(varying)
        paths = set(paths) - varying
    if not paths:
        return
    violation = Violation(
        clause=clauses.ANSWER_REPEATABLE,
        expected="the answer that the same input gets at other times",
        actual=f"another value of `{format_output_path(min(paths))}`",
    )
    requester.record_violation(violation, request or difference.request, difference.answer, check=difference.check)
