"""
Faults: named ways to break one clause, each at one stage of request processing.

Fault and check meet only at the clause: neither imports the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from chainproof.contract.clauses import ECHO_EXACT, Clause

from .hooks import DecideHook, FaultHook, ReadHook, SendHook, WaitHook


class FaultStage(StrEnum):
    """The stage of request processing at which the endpoint misbehaves."""

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
    """One realistic defect of an endpoint."""

    name: str
    stage: FaultStage
    violates: Clause
    also_violates: tuple[Clause, ...]
    """Clauses that the fault also breaks, or that may be reported instead of `violates`."""
    description: str
    """What the faulty endpoint does, in one sentence."""
    hook: FaultHook
    needs_options: tuple[str, ...] = ()
    """Options of `chainproof conformance` without which the fault cannot be detected."""
    needs_echo: bool = False
    """Whether only a chain that accepts any object and returns it shows the fault, not one with required arguments."""


FAULTS: dict[str, Fault] = {}
"""Every registered fault by name, in registration order."""

HookFunction = TypeVar("HookFunction", DecideHook, WaitHook, SendHook, ReadHook)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRegistrar:
    """
    Registers the faults of one stage. A decorated function gives the fault its name and its description (the
    docstring).
    """

    stage: FaultStage

    def on_decide(
        self, violates: Clause, *also_violates: Clause, needs_echo: bool = False
    ) -> Callable[[DecideHook], DecideHook]:
        """Register a fault that changes the answer."""
        return self._decorator(
            lambda function: FaultHook(decide=function), violates, also_violates, (), needs_echo=needs_echo
        )

    def on_wait(self, violates: Clause, *also_violates: Clause) -> Callable[[WaitHook], WaitHook]:
        """Register a fault that delays the answer."""
        return self._decorator(lambda function: FaultHook(wait=function), violates, also_violates, ())

    def on_send(
        self, violates: Clause, *also_violates: Clause, needs_options: tuple[str, ...] = ()
    ) -> Callable[[SendHook], SendHook]:
        """Register a fault that changes how the answer is sent."""
        return self._decorator(lambda function: FaultHook(send=function), violates, also_violates, needs_options)

    def on_read(self, violates: Clause, *also_violates: Clause) -> Callable[[ReadHook], ReadHook]:
        """Register a fault that changes the bytes of the request before they are parsed."""
        return self._decorator(lambda function: FaultHook(read=function), violates, also_violates, ())

    def add_table(
        self,
        violates: Clause,
        *also_violates: Clause,
        rows: dict[str, tuple[str, DecideHook]],
    ) -> None:
        """Register faults that change the answer and break the same clauses: description and hook by name."""
        for name, (description, decide) in rows.items():
            self.add(name, description, FaultHook(decide=decide), violates, *also_violates)

    def add_send(self, name: str, description: str, send: SendHook, violates: Clause, *also_violates: Clause) -> None:
        """Register one fault that changes how the answer is sent."""
        self.add(name, description, FaultHook(send=send), violates, *also_violates)

    def add(
        self,
        name: str,
        description: str,
        hook: FaultHook,
        violates: Clause,
        *also_violates: Clause,
        needs_options: tuple[str, ...] = (),
        needs_echo: bool = False,
    ) -> None:
        """Register one fault. Those of the clause `echo-exact` always need an echo."""
        assert name not in FAULTS, name
        FAULTS[name] = Fault(
            name=name,
            stage=self.stage,
            violates=violates,
            also_violates=also_violates,
            description=description,
            hook=hook,
            needs_options=needs_options,
            needs_echo=needs_echo or violates is ECHO_EXACT,
        )

    def _decorator(
        self,
        hook: Callable[[HookFunction], FaultHook],
        violates: Clause,
        also_violates: tuple[Clause, ...],
        needs_options: tuple[str, ...],
        *,
        needs_echo: bool = False,
    ) -> Callable[[HookFunction], HookFunction]:
        """A decorator that registers a function as a fault under the function's name."""

        def add(function: HookFunction) -> HookFunction:
            description = " ".join((function.__doc__ or "").split())
            self.add(
                function.__name__.replace("_", "-"),
                description,
                hook(function),
                violates,
                *also_violates,
                needs_options=needs_options,
                needs_echo=needs_echo,
            )
            return function

        return add
