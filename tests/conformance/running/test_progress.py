"""The line of a check says whether its own clauses are violated."""

from __future__ import annotations

import pytest

from chainproof.conformance.runner.progress import violated_clauses

Key = tuple[str, str, str]


def key(clause: str) -> Key:
    """The key of a finding on a clause."""
    return clause, "one", "another"


@pytest.mark.parametrize(
    ("own", "failing", "printed", "is_other", "words"),
    [
        ("key-verified", "", "", False, ""),
        ("key-verified", "key-verified", "", False, ": key-verified"),
        ("key-verified", "error-media-type", "", True, ": error-media-type"),
        ("key-verified", "error-media-type", "error-media-type", True, ": again error-media-type"),
        ("error-media-type", "error-media-type", "error-media-type", False, ": again error-media-type"),
        (
            "key-verified",
            "key-verified error-json",
            "error-json",
            False,
            ": key-verified; again error-json",
        ),
        # The first wrong status may be what the check is for; afterwards it is known.
        ("request-framing", "status", "", False, ": status"),
        ("key-verified", "status", "status", True, ": again status"),
        ("key-verified", "no-credential-leak", "", False, ": no-credential-leak"),
    ],
)
def test_a_check_fails_for_its_own_clauses_or_says_that_it_does_not(
    own: str, failing: str, printed: str, is_other: bool, words: str
) -> None:
    """FAILED beside the title of a check is read as the failure of what the title says."""
    found = {key(clause): clause for clause in failing.split()}

    assert (is_other, words) == violated_clauses(set(own.split()), found, {key(clause) for clause in printed.split()})


def test_many_clauses_from_above_are_counted() -> None:
    """A target whose errors are all wrong does not fill the screen."""
    names = ("error-media-type", "error-json", "error-object", "error-code")
    found = {key(name): name for name in names}

    assert (True, ": again 4 clauses") == violated_clauses(set(), found, found.keys())
