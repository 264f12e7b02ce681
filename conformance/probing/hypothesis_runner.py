"""
Hypothesis asks, the examination judges.

A run of Hypothesis ends at the first failure it has made small. Ours goes on from there: what has been found once is no
failure any more, so that one violation never hides the next.

The seed decides what is drawn. What departed is kept in Hypothesis's example database as well, `.hypothesis` in the working
folder or `$HYPOTHESIS_STORAGE_DIRECTORY`, and is asked first the next time, of the same target.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from ..transport.not_asked import NotAsked
from .requester import JudgedAnswer, Requester

Drawn = TypeVar("Drawn")

_ROUNDS = 6
"""How often generation goes on behind a violation."""


class ViolationFound(Exception):
    """
    Says to Hypothesis that an example departed from the contract, so that it looks for a smaller one.
    """


def examples_folder() -> Path:
    """
    Where Hypothesis keeps what it has found.
    """
    return Path(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY", ".hypothesis")) / "examples"


class ScopedExampleDatabase(ExampleDatabase):
    """
    Hypothesis's own database, with what one generating check of one target has found kept apart from the rest.
    """

    def __init__(self, name: str, requester: Requester) -> None:
        super().__init__()
        self._files = DirectoryBasedExampleDatabase(examples_folder())
        self._apart = f"chainproof {name} {requester.target.url}\0".encode()

    def save(self, key: bytes, value: bytes) -> None:
        """Keep what departed."""
        self._files.save(self._apart + key, value)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """What departed, in this run or an earlier one."""
        return self._files.fetch(self._apart + key)

    def delete(self, key: bytes, value: bytes) -> None:
        """Forget what departs no more."""
        self._files.delete(self._apart + key, value)


def hypothesis_settings(examples: int, database: ExampleDatabase | None = None, *, replayed: bool = False) -> settings:
    """
    Hypothesis as we want it: no clocks, no output of its own, and no files but the database.
    """
    reuse = (Phase.reuse,) if replayed else ()
    return settings(
        max_examples=examples,
        database=database,
        deadline=None,
        derandomize=False,
        phases=(Phase.explicit, *reuse, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
        report_multiple_bugs=True,
    )


class BudgetSpent(BaseException):
    """
    Says to Hypothesis to stop at once. No Exception, so that it is taken for no failure.
    """


class ExampleBudget:
    """
    What one generating check may still ask, and which violations are news to it.
    """

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self._known = requester.ledger.finding_counts()
        self._shrinking: int | None = None
        self.remaining = requester.max_examples
        """Examples still to be made."""

    def observe(self, ask: Callable[[], JudgedAnswer]) -> None:
        """
        Ask. Raises a Departed, of a class for each clause, for what is news, and Spent when enough has been asked.
        """
        if self._shrinking is None:
            self.remaining -= 1
        else:
            self._shrinking -= 1
            if self._shrinking < 0:
                raise BudgetSpent
        for violation in ask().violations:
            if self._requester.ledger.finding_key(violation) not in self._known:
                self._shrinking = (
                    self._requester.patience.shrink_requests if self._shrinking is None else self._shrinking
                )
                raise _departed(violation.clause.id)

    def mark_known(self) -> bool:
        """
        Make what has been found no news any more; whether there was any.
        """
        before, self._known = self._known, self._requester.ledger.finding_counts()
        self._shrinking = None
        return len(self._known) > len(before)


_CLASSES: dict[str, type[ViolationFound]] = {}


def _departed(clause: str) -> ViolationFound:
    """
    An exception of the clause's own class: Hypothesis takes failures of one class for one.
    """
    return _CLASSES.setdefault(clause, type(f"Departed_{clause}", (ViolationFound,), {}))(clause)


def run_property(
    name: str, strategy: SearchStrategy[Drawn], requester: Requester, ask: Callable[[Drawn], JudgedAnswer]
) -> None:
    """
    Ask for as many examples as the depth says, and make what departs small. The seed decides which.
    """
    budget = ExampleBudget(requester)
    database = ScopedExampleDatabase(name, requester) if requester.ledger.is_stored else None
    # Once only: what was found a round ago is no violation any more, and Hypothesis forgets what does not fail again.
    replayed = database is not None

    def observe(drawn: Drawn) -> None:
        budget.observe(lambda: ask(drawn))

    for examples, number in generation_rounds(name, requester, budget):
        asked_for = hypothesis_settings(examples, database, replayed=replayed)
        # In this order: a seed takes the database away from settings that are there before it.
        run_hypothesis_test(asked_for(seed(number)(given(drawn=strategy)(observe))))
        replayed = False


def generation_rounds(name: str, requester: Requester, budget: ExampleBudget) -> Iterator[tuple[int, int]]:
    """
    How many examples to ask for next, and by which seed, until all are asked or nothing new turns up.
    """
    numbers = random.Random(f"{name} {requester.seed}")
    for _ in range(_ROUNDS):
        if budget.remaining <= 0:
            return
        yield budget.remaining, numbers.getrandbits(32)
        if not budget.mark_known():
            return


def run_hypothesis_test(test: Callable[[], None]) -> None:
    """
    Run a Hypothesis test whose violations are in the ledger already. Anything else that it raises is our own error.

    Raises NotAsked if the target could not be asked.
    """
    not_asked: BaseException | None = None
    try:
        test()
    except* (ViolationFound, Flaky, BudgetSpent):
        # Flaky: a violation that did not show again, because the target is unsteady.
        pass
    except* NotAsked as group:
        not_asked = group
    while isinstance(not_asked, BaseExceptionGroup):
        not_asked = not_asked.exceptions[0]
    if not_asked is not None:
        raise not_asked
