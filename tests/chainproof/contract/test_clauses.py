"""
Every clause says where it comes from, and says it truly.
"""

from __future__ import annotations

import re

import pytest

from chainproof.contract import clauses
from chainproof.contract.clauses import ASSUMED, CLAUSES, SINGLE_ANSWER_CLAUSES, WAIVERS, Clause
from chainproof.contract.levels import Contract, Level
from chainproof.contract.openapi import Node, lookup


def written(node: Node) -> str:
    """
    A place in the document as a quotation has it: lists and the names of a table joined by commas.
    """
    if isinstance(node, bool):
        return str(node).lower()
    if isinstance(node, dict):
        return ", ".join(node)
    if isinstance(node, list):
        return ", ".join(written(item) for item in node)  # type: ignore[arg-type]  # what stands in a list is a node
    return " ".join(str(node).split())


@pytest.mark.parametrize("clause", [c for c in CLAUSES if c.source.startswith("#")], ids=lambda clause: clause.id)
def test_a_quotation_stands_at_its_pointer(clause: Clause) -> None:
    """
    The pointer leads somewhere, and the quoted words stand there.
    """
    assert " ".join(clause.quotation.split()) in written(lookup(clause.source))


def test_a_source_is_the_document_an_rfc_or_an_assumption() -> None:
    """
    Nothing is demanded without saying who says so, and what nobody says is never called a must.
    """
    other = [c for c in CLAUSES if not c.source.startswith("#")]

    assert all(c.source == ASSUMED or re.match(r"RFC \d{4} §\d", c.source) for c in other)
    assert {Level.MUST} & {c.level for c in other if c.source == ASSUMED} == set()


def test_a_clause_is_known_by_one_name() -> None:
    """
    Ids are unique, lower case, and fit for a command line.
    """
    ids = [clause.id for clause in CLAUSES]

    assert len(ids) == len(set(ids)) == len(clauses.CLAUSE_BY_ID)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in ids)


def test_a_clause_is_whole() -> None:
    """
    Each has words of its source and a sentence of ours; no two say the same.
    """
    assert all(clause.quotation and clause.statement.endswith(".") for clause in CLAUSES)
    assert len({clause.statement for clause in CLAUSES}) == len(CLAUSES)


def test_the_clauses_of_one_answer_are_clauses() -> None:
    """
    The list that `violations` goes by names each once.
    """
    assert set(SINGLE_ANSWER_CLAUSES) <= set(CLAUSES)
    assert len(set(SINGLE_ANSWER_CLAUSES)) == len(SINGLE_ANSWER_CLAUSES)


def test_a_waiver_has_a_citation_and_holds_from_its_contract_on() -> None:
    """
    The strict contract waives nothing; what a contract waives, a wider one does not take back.
    """
    assert [] == [clause.id for clause in CLAUSES if clauses.is_waived(clause, Contract.STRICT)]
    for waiver in WAIVERS:
        assert waiver.citation
        assert [contract.includes(waiver.contract) for contract in Contract] == [
            clauses.is_waived(waiver.clause, contract) for contract in Contract
        ]
