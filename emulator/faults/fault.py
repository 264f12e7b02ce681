"""
A fault: one named way to break one clause, at one stage of what an endpoint does with a request.

Fault and check meet at the clause, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from chainproof.contract.clauses import Clause

from .hooks import DecideHook, FaultHook, ReadHook, SendHook, WaitHook


class FaultStage(StrEnum):
    """
    Where in the course of a request the endpoint goes wrong.
    """

    AUTHENTICATION = "authentication"
    ROUTING = "routing"
    PARSING = "parsing"
    CHAIN = "chain"
    ANSWER = "answer"
    FRAMING = "framing"
    TIMING = "timing"
    STATE = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    One realistic mistake.
    """

    name: str
    stage: FaultStage
    violates: Clause
    also_violates: tuple[Clause, ...]
    """Clauses that it cannot but break as well, or that are named in its place where an answer shows both."""
    description: str
    """What it does."""
    hook: FaultHook
    needs_options: tuple[str, ...] = ()
    """Options of `chainproof conformance` without which it is not looked for."""


FAULTS: dict[str, Fault] = {}
"""Every fault of the files imported so far, by name, in their order."""

HookFunction = TypeVar("HookFunction", DecideHook, WaitHook, SendHook, ReadHook)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRegistrar:
    """
    How the faults of one stage are entered: the name is the function's, the words are its docstring.
    """

    stage: FaultStage

    def on_decide(
        self, violates: Clause, *also_violates: Clause, needs_options: tuple[str, ...] = ()
    ) -> Callable[[DecideHook], DecideHook]:
        """A fault in what is said."""
        return self._decorator(lambda function: FaultHook(decide=function), violates, also_violates, needs_options)

    def on_wait(self, violates: Clause, *also_violates: Clause) -> Callable[[WaitHook], WaitHook]:
        """A fault in how long that takes."""
        return self._decorator(lambda function: FaultHook(wait=function), violates, also_violates, ())

    def on_send(
        self, violates: Clause, *also_violates: Clause, needs_options: tuple[str, ...] = ()
    ) -> Callable[[SendHook], SendHook]:
        """A fault in how it goes over the wire."""
        return self._decorator(lambda function: FaultHook(send=function), violates, also_violates, needs_options)

    def on_read(self, violates: Clause, *also_violates: Clause) -> Callable[[ReadHook], ReadHook]:
        """A fault in how bytes become a request."""
        return self._decorator(lambda function: FaultHook(read=function), violates, also_violates, ())

    def add_table(self, violates: Clause, *also_violates: Clause, rows: dict[str, tuple[str, DecideHook]]) -> None:
        """Faults in what is said, of one kind: by name the words and the function."""
        for name, (description, decide) in rows.items():
            self.add(name, description, FaultHook(decide=decide), violates, *also_violates)

    def add_send(self, name: str, description: str, send: SendHook, violates: Clause, *also_violates: Clause) -> None:
        """One fault in how an answer goes over the wire."""
        self.add(name, description, FaultHook(send=send), violates, *also_violates)

    def add(
        self,
        name: str,
        description: str,
        hook: FaultHook,
        violates: Clause,
        *also_violates: Clause,
        needs_options: tuple[str, ...] = (),
    ) -> None:
        """One fault."""
        assert name not in FAULTS, name
        FAULTS[name] = Fault(
            name=name,
            stage=self.stage,
            violates=violates,
            also_violates=also_violates,
            description=description,
            hook=hook,
            needs_options=needs_options,
        )

    def _decorator(
        self,
        hook: Callable[[HookFunction], FaultHook],
        violates: Clause,
        also_violates: tuple[Clause, ...],
        needs_options: tuple[str, ...],
    ) -> Callable[[HookFunction], HookFunction]:
        """
        Enter a function under its own name.
        """

        def add(function: HookFunction) -> HookFunction:
            description = " ".join((function.__doc__ or "").split())
            self.add(
                function.__name__.replace("_", "-"),
                description,
                hook(function),
                violates,
                *also_violates,
                needs_options=needs_options,
            )
            return function

        return add
