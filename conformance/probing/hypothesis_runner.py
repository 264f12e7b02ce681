"""
Runs generating checks with Hypothesis: draws examples, sends them, and shrinks those that violate the contract.

Hypothesis stops at the first failure that it has shrunk. Here it is started again, and known findings are no failures any
more, so that one violation never hides the next.

The seed alone decides what is drawn, and not which modules are loaded. Violating examples are also stored in Hypothesis's example database, `.hypothesis` in the
working folder or `$HYPOTHESIS_STORAGE_DIRECTORY`, and sent first the next time, to the same target.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.errors import Flaky, Unsatisfiable
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from hypothesis.strategies import SearchStrategy

from ..transport.check_skipped import CheckSkipped
from .answer_recorder import JudgedExchange
from .requester import Requester

Drawn = TypeVar("Drawn")

_MAX_ROUNDS = 6
"""How often generation is started again after a violation."""


class ViolationFound(Exception):
    """Tells Hypothesis that an example violates the contract, so that it looks for a smaller one."""


def examples_folder() -> Path:
    """The folder of Hypothesis's example database."""
    return Path(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY", ".hypothesis")) / "examples"


class ScopedExampleDatabase(ExampleDatabase):
    """Hypothesis's example database, with separate keys for each generating check and target."""

    def __init__(self, name: str, requester: Requester) -> None:
        super().__init__()
        self._files = DirectoryBasedExampleDatabase(examples_folder())
        self._prefix = f"chainproof {name} {requester.target.url}\0".encode()

    def save(self, key: bytes, value: bytes) -> None:
        """Store a violating example."""
        self._files.save(self._prefix + key, value)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """The violating examples of this run and earlier ones."""
        return self._files.fetch(self._prefix + key)

    def delete(self, key: bytes, value: bytes) -> None:
        """Delete an example that violates nothing any more."""
        self._files.delete(self._prefix + key, value)


def hypothesis_settings(examples: int, database: ExampleDatabase | None = None, *, replayed: bool = False) -> settings:
    """Settings of Hypothesis: no deadline, no output, and no files except the database."""
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
    """Tells Hypothesis to stop at once. Not an Exception, so that Hypothesis does not treat it as a failure."""


class ExampleBudget:
    """How many requests one generating check may still send, and which violations are new to it."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self._known = requester.finding_recorder.finding_counts()
        self._shrinks_left: int | None = None
        self.remaining = requester.max_examples
        """Examples that may still be drawn."""

    def observe(self, send: Callable[[], JudgedExchange]) -> None:
        """Send one example. Raises ViolationFound, a subclass for each clause, for a new violation, and BudgetSpent at the end."""
        if self._shrinks_left is None:
            self.remaining -= 1
        else:
            self._shrinks_left -= 1
            if self._shrinks_left < 0:
                raise BudgetSpent
        for violation in send().violations:
            if self._requester.finding_recorder.finding_key(violation) not in self._known:
                if self._shrinks_left is None:
                    self._shrinks_left = self._requester.waits.shrink_requests
                raise _violation_found(violation.clause.id)

    def mark_known(self) -> bool:
        """Mark all findings so far as known. Returns whether there were new ones."""
        before, self._known = self._known, self._requester.finding_recorder.finding_counts()
        self._shrinks_left = None
        return len(self._known) > len(before)


_CLASSES: dict[str, type[ViolationFound]] = {}


def _violation_found(clause: str) -> ViolationFound:
    """An exception of a class for each clause: Hypothesis treats all failures of one class as the same failure."""
    return _CLASSES.setdefault(clause, type(f"ViolationFound_{clause}", (ViolationFound,), {}))(clause)


def run_property(
    name: str, strategy: SearchStrategy[Drawn], requester: Requester, send: Callable[[Drawn], JudgedExchange]
) -> None:
    """Send as many examples as the depth says, and shrink those that violate the contract. The seed decides what is drawn."""
    budget = ExampleBudget(requester)
    database = ScopedExampleDatabase(name, requester) if requester.finding_recorder.is_stored else None
    # Only once: Hypothesis deletes stored examples that do not fail again, and known violations are no failures.
    replayed = database is not None

    def observe(drawn: Drawn) -> None:
        budget.observe(lambda: send(drawn))

    for examples, number in generation_rounds(name, requester, budget):
        with_settings = hypothesis_settings(examples, database, replayed=replayed)
        # In this order: a seed removes the database from settings that were applied before it.
        run_hypothesis_test(with_settings(seed(number)(given(drawn=strategy)(observe))))
        replayed = False


def generation_rounds(name: str, requester: Requester, budget: ExampleBudget) -> Iterator[tuple[int, int]]:
    """The number of examples and the seed of each round, until all are drawn or a round finds nothing new."""
    numbers = random.Random(f"{name} {requester.seed}")
    for _ in range(_MAX_ROUNDS):
        if budget.remaining <= 0:
            return
        yield budget.remaining, numbers.getrandbits(32)
        if not budget.mark_known():
            return


_local_constants = providers._get_local_constants  # noqa: SLF001  # there is no setting for this
_by_seed_alone = ContextVar("_by_seed_alone", default=False)


def _constants() -> Constants:
    """The constants that Hypothesis draws besides its own: none in our checks."""
    return Constants() if _by_seed_alone.get() else _local_constants()


providers._get_local_constants = _constants  # noqa: SLF001  # see above


@contextmanager
def _drawing_by_seed_alone() -> Iterator[None]:
    """
    Draw no constants from the source of the modules that are loaded outside of site-packages.

    Otherwise a seed would draw something else with `-k`, under pytest, or when a module is loaded some moments later.
    """
    token = _by_seed_alone.set(True)
    providers.CONSTANTS_CACHE.cache.clear()  # of this thread
    try:
        yield
    finally:
        _by_seed_alone.reset(token)
        providers.CONSTANTS_CACHE.cache.clear()


def run_hypothesis_test(test: Callable[[], None]) -> None:
    """
    Run a Hypothesis test whose violations are recorded already. Anything else that it raises is our own error.

    Raises CheckSkipped as the test did, or if nothing could be drawn.
    """
    skipped: BaseException | None = None
    try:
        with _drawing_by_seed_alone():
            test()
    except* (ViolationFound, Flaky, BudgetSpent):
        # Flaky: a violation that did not occur again, because the target is not deterministic.
        pass
    except* CheckSkipped as group:
        skipped = group
    except* Unsatisfiable:
        skipped = CheckSkipped("no inputs were found: the schema needs large or rare ones; add `examples` to it")
    while isinstance(skipped, BaseExceptionGroup):
        skipped = skipped.exceptions[0]
    if skipped is not None:
        raise skipped
