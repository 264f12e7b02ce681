"""
Which requests test each clause? One module for each part of the contract, one function for each check.

A check only sends requests. The requester judges every answer, whichever check sent the request. So a check is a list of
requests, each with a label that names what is special about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from types import ModuleType

from chainproof.contract.clauses import Clause

from ..probing.leak_confirmation import confirm_leaks
from ..probing.outputs.difference_confirmation import confirm_differences
from ..probing.requester import Requester

CheckCallable = Callable[[Requester], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A function that sends requests, and the clauses that it tests."""

    name: str
    module: str
    """Name of the module that defines it, such as `auth_bypass`."""
    clauses: tuple[Clause, ...]
    run: CheckCallable
    title: str
    """What must hold, in words."""
    exclusive: bool = False
    """Whether no other check may run at the same time."""

    @property
    def id(self) -> str:
        """Its name after that of its module: the part of the pytest id that `-k` matches."""
        return f"{self.module}-{self.name}"


CHECKS: list[Check] = []
"""The checks of all modules imported so far; `catalogue.ALL_CHECKS` has all of them in a fixed order."""


def check_for(*clauses: Clause, title: str = "", exclusive: bool = False) -> Callable[[CheckCallable], CheckCallable]:
    """
    Decorator that registers a function as the check of some clauses.

    The title is the function's name with spaces for underscores; give one if it needs capitals or punctuation. Checks of a
    slow target run at the same time, except those that are *exclusive*, because other requests would change what they see.
    """

    def register(run: CheckCallable) -> CheckCallable:
        name, module = run.__name__, _short_name(run.__module__)
        words = title or name.replace("_", " ")

        @wraps(run)
        def run_and_confirm(requester: Requester) -> None:
            with requester.confirming_rejections():
                run(requester)
            confirm_differences(requester)
            confirm_leaks(requester)

        CHECKS.append(
            Check(name=name, module=module, clauses=clauses, run=run_and_confirm, title=words, exclusive=exclusive)
        )
        return run

    return register


def checks_in(module: ModuleType) -> tuple[Check, ...]:
    """The checks that a module defines."""
    return tuple(check for check in CHECKS if check.module == _short_name(module.__name__))


def _short_name(module: str) -> str:
    """The last part of a dotted module name."""
    return module.rpartition(".")[2]
