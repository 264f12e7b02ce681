"""
One file per part of the contract, one function per clause or so.

A check asks; the examination judges every answer, whichever check provoked it. So a check is a list of requests worth
making, and a name for what is special about each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from chainproof.contract.clauses import Clause

from ..probing.requester import Requester

CheckCallable = Callable[[Requester], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    A function that upholds a clause, or a few.
    """

    name: str
    group: str
    """The file it stands in."""
    clauses: tuple[Clause, ...]
    run: CheckCallable

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")


CHECKS: list[Check] = []
"""Every check of the files imported so far, in their order."""


def check_for(*clauses: Clause) -> Callable[[CheckCallable], CheckCallable]:
    """
    Enter a function among the checks.
    """

    def enter(run: CheckCallable) -> CheckCallable:
        group = run.__module__.rpartition(".")[2]
        CHECKS.append(Check(name=run.__name__, group=group, clauses=clauses, run=run))
        return run

    return enter


def checks_in(module: ModuleType) -> tuple[Check, ...]:
    """
    The checks of one file.
    """
    group = module.__name__.rpartition(".")[2]
    return tuple(check for check in CHECKS if check.group == group)
