"""
Every verdict has its exit code, and of several the gravest counts.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.verdict import EXIT_CODE_OF, Verdict, worst_verdict

GRAVEST_FIRST = ["error", "fail", "invalid", "inconclusive", "pass"]


@given(st.lists(st.sampled_from(Verdict)))
def test_the_gravest_of_several_counts(verdicts: list[Verdict]) -> None:
    """
    In any order and however often; nothing asked is a pass.
    """
    expected = next((name for name in GRAVEST_FIRST if name in verdicts), "pass")

    assert expected == worst_verdict(iter(verdicts)) == worst_verdict(reversed(verdicts))


def test_every_verdict_has_its_exit_code() -> None:
    """
    The codes are documented and do not change.
    """
    assert {"pass": 0, "fail": 1, "inconclusive": 3, "invalid": 4, "error": 70} == EXIT_CODE_OF
