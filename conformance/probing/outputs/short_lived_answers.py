"""
Finds a store that gives the output for one input to whatever comes next, but only for a short time.

All values of the output then seem to depend on the time, so that comparing answers to equal inputs shows nothing.
"""

from __future__ import annotations

from ...inputs.input_variations import encoded
from ...judging.output_comparison import Leaves, Path, differing_paths
from ..input_source import InputSource
from ..requester import Requester
from .difference_confirmation import send_alone
from .mixed_up_outputs import report_mixed_up

_ORDERS = ((0, 1), (1, 0), (1, 0), (0, 1))
"""Which of two inputs is sent first, by round. A value that depends on the time would not come back in the last round."""
_LABEL = "an input right after another one"


def judge_short_lived_answers(requester: Requester, source: InputSource) -> bool:
    """
    Send two inputs without a common value one right after the other, and record if both get the output of the first one.

    A chain may have equal outputs for both. So this is tried with either input first, after pauses, if the outputs are equal.
    Returns whether there was a violation.
    """
    bodies = [encoded(source.unique()) for _ in range(2)]
    outputs = [send_alone(requester, body, _LABEL) for body in bodies]
    if None in outputs or outputs[0] != outputs[1]:
        return False
    paths: frozenset[Path] | None = None
    earlier: list[tuple[int, Leaves]] = []
    for first, second in _ORDERS:
        requester.pause(requester.waits.idle)
        # A query that was not sent before: a store may keep outputs for longer, and know requests by their address.
        query = f"?chainproof={requester.rng(f'round {len(earlier)}').getrandbits(32):08x}"
        pair = [send_alone(requester, bodies[number], _LABEL, query=query) for number in (first, second)]
        if pair[0] is None or pair[1] is None or pair[0] != pair[1]:
            return False
        for number, output in earlier:
            differing = differing_paths(output, pair[0])
            paths = frozenset(pair[0]) if paths is None else paths
            paths = paths - differing if number == first else paths & differing
        if paths is not None and not paths:
            return False
        earlier.append((first, pair[0]))
    assert paths
    owner, request = (requester.build_request(body, label=_LABEL) for body in bodies)
    report_mixed_up(requester, owner, paths, request)
    return True
