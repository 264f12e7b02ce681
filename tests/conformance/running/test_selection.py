"""`-k` selects checks as pytest does, and `--list` prints them."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.command import main
from chainproof.conformance.inputs.chain_schema import UNKNOWN_CHAIN
from chainproof.conformance.options import Permission, Settings
from chainproof.conformance.runner.check_list import check_list, skip_reason
from chainproof.conformance.session import _selected_checks
from chainproof.errors import UsageError
from chainproof.judgement.conformance_summary import ClauseState, summarise_conformance
from chainproof.judgement.verdict import Verdict
from chainproof.results.folder import read_run


def test_an_expression_selects_as_in_pytest() -> None:
    """Names combine with `and`, `or` and `not`; a check's id selects it."""
    modules = {check.module for check in _selected_checks("credentials- or routing-")}
    names = [check.name for check in _selected_checks("credentials-wrong_keys_are_rejected")]
    without = _selected_checks("credentials- and not credentials-wrong_keys_are_rejected")

    assert modules == {"credentials", "routing"}
    assert names == ["wrong_keys_are_rejected"]
    assert {check.module for check in without} == {"credentials"}
    assert "wrong_keys_are_rejected" not in {check.name for check in without}


def test_an_expression_selects_by_clause() -> None:
    """The id of a clause, or a part of it, selects the checks that test the clause."""
    selected = _selected_checks("request-id-unique and not status")
    ids = [{clause.id for clause in check.clauses} for check in selected]

    assert all("request-id-unique" in each and not any("status" in clause for clause in each) for each in ids)
    assert {check.id for check in ALL_CHECKS if any(clause.id == "status" for clause in check.clauses)} <= {
        check.id for check in _selected_checks("status")
    }


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("a or or", "expected an expression"),
        ("qqq_zzz", "no check or clause matches 'qqq_zzz'; --list"),
        ("statsu", "similar names: status, "),
        ("request-id-unqiue", "similar names: request-id-unique;"),
        ("crdentials", "similar names: credentials, "),
    ],
)
def test_an_expression_without_checks_is_a_usage_error(expression: str, message: str) -> None:
    """An invalid expression and one that matches nothing are not a passing run."""
    with pytest.raises(UsageError, match=message):
        _selected_checks(expression)


def test_a_verdict_on_selected_checks_covers_only_these(tmp_path: Path) -> None:
    """The verdict names the selection, a caveat says so, and clauses of other checks are not exercised."""
    code = main(["-k", "credentials-wrong_keys", "--seed", "1", "--depth", "quick", "--out", str(tmp_path / "run")])
    summary = summarise_conformance(read_run(tmp_path / "run"))
    rows = {row.clause.id: row for row in summary.clauses}

    assert (code, summary.verdict) == (0, Verdict.PASS)
    assert "by the checks that -k 'credentials-wrong_keys' selects" in summary.reason
    assert "SELECTED_CHECKS" in {caveat.code for caveat in summary.caveats}
    assert rows["key-verified"].state is ClauseState.INCONCLUSIVE  # a dozen answers
    assert (rows["object-accepted"].state, rows["object-accepted"].why) == (ClauseState.NOT_EXERCISED, "not selected")


def test_the_list_names_every_check_and_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a target no emulator is started, and every check is listed with its clauses."""
    code = main(["--list"])
    printed = capsys.readouterr().out

    assert code == 0
    assert [check.name for check in ALL_CHECKS] == [
        line.strip() for line in printed.splitlines() if line.startswith("  ") and not line.startswith("   ")
    ]
    assert "needs    --duration" in printed


def test_the_list_says_what_is_missing() -> None:
    """An option that is given is no longer needed."""
    checks = {check.name: check for check in ALL_CHECKS}
    echoing, smuggling = checks["concurrent_requests_get_their_own_answers"], checks["bodies_cannot_smuggle_requests"]
    allowed = Settings(echo=True, allow=(Permission.SMUGGLING,))

    assert "--echo" in skip_reason(echoing, Settings(), UNKNOWN_CHAIN)
    assert "--allow smuggling" in skip_reason(smuggling, Settings(), UNKNOWN_CHAIN)
    assert [skip_reason(check, allowed, UNKNOWN_CHAIN) for check in (echoing, smuggling)] == ["", ""]
    assert "needs" not in check_list(allowed, UNKNOWN_CHAIN, [echoing, smuggling])
