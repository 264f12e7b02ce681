"""Exit codes, and the worst of several verdicts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.verdict import EXIT_CODE_OF, Verdict, worst_verdict

WORST_FIRST = ["error", "fail", "invalid", "inconclusive", "pass"]


@given(st.lists(st.sampled_from(Verdict)))
def test_the_worst_of_several_verdicts_counts(verdicts: list[Verdict]) -> None:
    """In any order and number; no verdict is a pass."""
    expected = next((name for name in WORST_FIRST if name in verdicts), "pass")

    assert expected == worst_verdict(iter(verdicts)) == worst_verdict(reversed(verdicts))


def test_every_verdict_has_its_exit_code() -> None:
    """The codes are documented and do not change."""
    assert {"pass": 0, "fail": 1, "inconclusive": 3, "invalid": 4, "error": 70} == EXIT_CODE_OF
