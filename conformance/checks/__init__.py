"""
The checks: one module per part of the contract, one function per check.

A check only sends requests. The requester judges every answer, whichever check sent the request. So a check is a list of
requests, each with a label that names what is special about it.
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
    A function that sends requests, and the clauses that it tests.
    """

    name: str
    module: str
    """Name of the module that defines it, such as `auth_bypass`."""
    clauses: tuple[Clause, ...]
    run: CheckCallable

    @property
    def title(self) -> str:
        """The name with spaces for underscores."""
        return self.name.replace("_", " ")


CHECKS: list[Check] = []
"""The checks of all modules imported so far; `catalogue.ALL_CHECKS` has all of them in a fixed order."""


def check_for(*clauses: Clause) -> Callable[[CheckCallable], CheckCallable]:
    """
    Decorator that registers a function as the check of some clauses.
    """

    def register(run: CheckCallable) -> CheckCallable:
        CHECKS.append(Check(name=run.__name__, module=_short_name(run.__module__), clauses=clauses, run=run))
        return run

    return register


def checks_in(module: ModuleType) -> tuple[Check, ...]:
    """
    The checks that a module defines.
    """
    return tuple(check for check in CHECKS if check.module == _short_name(module.__name__))


def _short_name(module: str) -> str:
    """
    The last part of a dotted module name.
    """
    return module.rpartition(".")[2]
