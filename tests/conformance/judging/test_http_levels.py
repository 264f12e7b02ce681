"""The levels of the HTTP clauses follow from what common servers keep."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from chainproof.contract.http_clauses import HTTP_CLAUSE_BY_ID, RFC_MUSTS
from chainproof.contract.levels import Level

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "server_records.py"
SPECIFICATION = importlib.util.spec_from_file_location("server_records", BENCHMARK)
assert SPECIFICATION is not None
assert SPECIFICATION.loader is not None
RECORDS = importlib.util.module_from_spec(SPECIFICATION)
sys.modules[SPECIFICATION.name] = RECORDS
SPECIFICATION.loader.exec_module(RECORDS)


@pytest.mark.parametrize("clause_id", sorted(RFC_MUSTS))
def test_the_level_of_a_must_follows_from_the_measurement(clause_id):
    """A MUST fails a run only if nearly all servers, and all of the most used ones, keep it."""
    clause = HTTP_CLAUSE_BY_ID[clause_id]

    assert RECORDS.measured_level(clause, RECORDS.read_records()) is clause.level


def test_a_recommendation_is_always_a_warning():
    """What is not a MUST in the RFC never fails a run by itself."""
    others = [clause for clause in HTTP_CLAUSE_BY_ID.values() if clause.id not in RFC_MUSTS]

    assert [] == [clause.id for clause in others if clause.level is not Level.SHOULD]


def test_the_records_name_known_servers_and_clauses():
    """The most used servers were measured, and no record has a clause that does not exist."""
    records = RECORDS.read_records()

    assert set() == set(RECORDS.MOST_USED) - {record.name for record in records}
    assert set() == {each for record in records for each in (*record.kept, *record.violated)} - set(HTTP_CLAUSE_BY_ID)
