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

from ..probing.requester import Examination

Ask = Callable[[Examination], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    A function that upholds a clause, or a few.
    """

    name: str
    part: str
    """The file it stands in."""
    clauses: tuple[Clause, ...]
    ask: Ask

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")


CHECKS: list[Check] = []
"""Every check of the files imported so far, in their order."""


def upholds(*clauses: Clause) -> Callable[[Ask], Ask]:
    """
    Enter a function among the checks.
    """

    def enter(ask: Ask) -> Ask:
        part = ask.__module__.rpartition(".")[2]
        CHECKS.append(Check(name=ask.__name__, part=part, clauses=clauses, ask=ask))
        return ask

    return enter


def checks_in(module: ModuleType) -> tuple[Check, ...]:
    """
    The checks of one file.
    """
    part = module.__name__.rpartition(".")[2]
    return tuple(check for check in CHECKS if check.part == part)
