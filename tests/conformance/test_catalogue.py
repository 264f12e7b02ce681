"""
The catalogue is whole: clauses, the checks that uphold them, the files that pytest finds them in.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chainproof.conformance import checks, suite
from chainproof.conformance.checks import CHECKS
from chainproof.conformance.checks.extended_generation import GENERATING_CHECKS
from chainproof.conformance.judging.ledger import EVERY_ANSWER_CLAUSES
from chainproof.contract.clauses import CLAUSES, Clause

from .conftest import CHECK_MODULES

_FOLDER = Path(checks.__file__).parent


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.id)
def test_every_clause_is_upheld_by_a_check(clause: Clause) -> None:
    """
    A clause that no check upholds would be held by chance alone; some are held against every answer.
    """
    assert clause in EVERY_ANSWER_CLAUSES or [check.name for check in CHECKS if clause in check.clauses]


def test_every_file_of_checks_is_found_by_pytest() -> None:
    """
    What has no test file of its own would never be asked.
    """
    parts = {path.stem for path in _FOLDER.glob("*.py")} - {"__init__"}

    assert parts == {check.group for check in CHECKS} == {part.__name__.rpartition(".")[2] for part in CHECK_MODULES}
    assert not [part for part in parts if not (_FOLDER.parent / f"test_{part}.py").exists()]


def test_a_project_of_ones_own_gets_every_test() -> None:
    """
    What `suite` hands over is one test for each file of checks.
    """
    files = {path.stem for path in _FOLDER.parent.glob("test_*.py")}

    assert files == {
        getattr(suite, name).__module__.rpartition(".")[2] for name in suite.__all__ if name[:5] == "test_"
    }


def test_no_two_checks_have_one_name() -> None:
    """
    Findings, reports and JUnit call a check by its name.
    """
    names = [check.name for check in CHECKS]

    assert sorted(set(names)) == sorted(names)
    assert set(names) >= GENERATING_CHECKS
