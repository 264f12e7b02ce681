"""Tests of the clauses and their sources."""

from __future__ import annotations

import re

import pytest

from chainproof.contract import clauses, http_clauses
from chainproof.contract.clauses import ASSUMED, CLAUSES, SINGLE_ANSWER_CLAUSES, USER_CHECK, Clause
from chainproof.contract.levels import Level
from chainproof.contract.openapi import Node, lookup


def node_text(node: Node) -> str:
    """A node of the document as quotations have it: the items of a list and the keys of a table joined by commas."""
    if isinstance(node, bool):
        return str(node).lower()
    if isinstance(node, dict):
        return ", ".join(node)
    if isinstance(node, list):
        return ", ".join(node_text(item) for item in node)  # type: ignore[arg-type]  # the items of a node are nodes
    return " ".join(str(node).split())


@pytest.mark.parametrize("clause", [c for c in CLAUSES if c.source.startswith("#")], ids=lambda clause: clause.id)
def test_quotation_is_found_at_its_pointer(clause: Clause) -> None:
    """The pointer exists in the document, and the quoted words are there."""
    assert " ".join(clause.quotation.split()) in node_text(lookup(clause.source))


def test_source_is_the_document_an_rfc_or_an_assumption() -> None:
    """Every clause has a source, and a clause without a document is never a must."""
    other = [c for c in CLAUSES if not c.source.startswith("#")]

    assert all(c.source == ASSUMED or re.match(r"RFC \d{4} §\d", c.source) for c in other)
    assert {Level.MUST} & {c.level for c in other if c.source == ASSUMED} == set()


def test_clause_ids_are_unique() -> None:
    """Ids are unique, in lower case, and can be used on a command line."""
    ids = [clause.id for clause in CLAUSES]

    assert len(ids) == len(set(ids)) == len(clauses.CLAUSE_BY_ID)
    assert all(re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name) for name in ids)


def test_every_clause_is_registered() -> None:
    """CLAUSES has every clause that the two modules define, in the same order, except the user's own check."""
    defined = [
        clause for module in (clauses, http_clauses) for clause in vars(module).values() if isinstance(clause, Clause)
    ]

    assert [clause for clause in defined if clause is not USER_CHECK] == list(CLAUSES)


def test_clause_has_a_quotation_and_a_statement() -> None:
    """Each clause has the words of its source and a sentence of ours; no two statements are the same."""
    assert all(clause.quotation and clause.statement.endswith(".") for clause in CLAUSES)
    assert len({clause.statement for clause in CLAUSES}) == len(CLAUSES)


def test_single_answer_clauses_are_registered_clauses() -> None:
    """The list that `violations` uses has only registered clauses, each once."""
    assert set(SINGLE_ANSWER_CLAUSES) <= set(CLAUSES)
    assert len(set(SINGLE_ANSWER_CLAUSES)) == len(SINGLE_ANSWER_CLAUSES)
