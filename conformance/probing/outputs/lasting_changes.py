"""
Finds a chain whose answers change for ever after a certain input, such as an option that stays set.

Such a change happens once, mostly by the first inputs of a run, and cannot be shown again. So the output for the first input is
asked for before any other input is sent, after the first others, and late in the run.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainproof.contract import clauses
from chainproof.json_text import InvalidJson, TooComplex, parse_json

from ...inputs.input_variations import leaf_places
from ...inputs.member_names import is_identifier, may_vary, tells_of_cache
from ...judging.output_comparison import Leaves, Path, differing_paths, format_output_path
from ..concurrency import run_in_threads
from ..requester import Requester
from .difference_confirmation import send_alone

_BEFORE = 3
"""Outputs that must be equal before other inputs are sent: a first answer may differ, as with a flag for a first call."""
_AFTER = 2
_LATE = 8
"""Outputs late in the run, if one of them shows a change."""


def outputs_before(requester: Requester, body: bytes) -> list[Leaves]:
    """The outputs for an input before any other is sent."""
    return _outputs(requester, body, _BEFORE)


def outputs_after(requester: Requester, body: bytes) -> list[Leaves]:
    """The outputs for the same input after others."""
    return _outputs(requester, body, _AFTER)


def _outputs(requester: Requester, body: bytes, count: int) -> list[Leaves]:
    """At most so many outputs for an input, until there is none."""
    outputs: list[Leaves] = []
    for _ in range(count):
        output = send_alone(requester, body, "the first input")
        if output is None:
            break
        outputs.append(output)
    return outputs


def judge_lasting_change(requester: Requester) -> None:
    """
    Record whether the output for the first input of a run has changed since the first others, and has stayed so until now. A
    later change is a note, since the time may be the reason.
    """
    first = requester.first_outputs
    if first is None or len(first.before) < _BEFORE or len(first.after) < _AFTER or _has_identifier(first.body):
        return
    late = _outputs(requester, first.body, 1)
    if late and _changed(first.before, late):
        # On several connections, since each may lead to another replica.
        run_in_threads(lambda _: late.extend(_outputs(requester, first.body, 1)), range(_LATE), threads=_LATE)
    lasting = _changed(first.before, late) if late else frozenset()
    early = lasting & _changed(first.before, [*first.after, *late])
    request = requester.build_request(first.body, label="the first input, before and after others")
    actual = None
    if early:
        actual = f"another value of `{format_output_path(min(early))}` ever since"
    elif lasting:
        requester.note(
            f"the answer to the first input of the run has another value of `{format_output_path(min(lasting))}` now. If "
            "neither the time nor a request is supposed to change it, an option of some input stays set"
        )
    requester.record_clause(
        clauses.REQUEST_ISOLATION, request, expected="the same answer as before other inputs", actual=actual
    )


def _changed(before: Sequence[Leaves], after: Sequence[Leaves]) -> frozenset[Path]:
    """Where all earlier outputs are equal, all later ones too, and these differ from those."""
    unstable = frozenset[Path]()
    for outputs in (before, after):
        for output in outputs[1:]:
            unstable |= differing_paths(outputs[0], output)
    changed = differing_paths(before[0], after[0]) - unstable
    return frozenset(path for path in changed if not may_vary(path) and not tells_of_cache(path))


def _has_identifier(body: bytes) -> bool:
    """True if an input has an argument by which a chain may remember what it got."""
    value = parse_json(body)
    return isinstance(value, InvalidJson | TooComplex) or any(map(is_identifier, leaf_places(value)))
