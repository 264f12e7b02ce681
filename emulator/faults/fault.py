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

from .hooks import Bend, Decide, Read, Send, Wait


class Stage(StrEnum):
    """
    Where in the course of a request the endpoint goes wrong.
    """

    AUTHENTICATION = "authentication"
    ROUTING = "routing"
    PARSING = "parsing"
    MODEL = "model"
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
    stage: Stage
    breaks: Clause
    also: tuple[Clause, ...]
    """Clauses that it cannot but break as well, or that are named in its place where an answer shows both."""
    words: str
    """What it does."""
    bend: Bend
    needs: tuple[str, ...] = ()
    """Options of `chainproof conformance` without which it is not looked for."""


FAULTS: dict[str, Fault] = {}
"""Every fault of the files imported so far, by name, in their order."""

Function = TypeVar("Function", Decide, Wait, Send, Read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    How the faults of one stage are entered: the name is the function's, the words are its docstring.
    """

    stage: Stage

    def decides(self, breaks: Clause, *also: Clause, needs: tuple[str, ...] = ()) -> Callable[[Decide], Decide]:
        """A fault in what is said."""
        return self._decorator(lambda function: Bend(decide=function), breaks, also, needs)

    def waits(self, breaks: Clause, *also: Clause) -> Callable[[Wait], Wait]:
        """A fault in how long that takes."""
        return self._decorator(lambda function: Bend(wait=function), breaks, also, ())

    def sends(self, breaks: Clause, *also: Clause, needs: tuple[str, ...] = ()) -> Callable[[Send], Send]:
        """A fault in how it goes over the wire."""
        return self._decorator(lambda function: Bend(send=function), breaks, also, needs)

    def reads(self, breaks: Clause, *also: Clause) -> Callable[[Read], Read]:
        """A fault in how bytes become a request."""
        return self._decorator(lambda function: Bend(read=function), breaks, also, ())

    def table(self, breaks: Clause, *also: Clause, rows: dict[str, tuple[str, Decide]]) -> None:
        """Faults in what is said, of one kind: by name the words and the function."""
        for name, (words, decide) in rows.items():
            self.enter(name, words, Bend(decide=decide), breaks, *also)

    def enter_send(self, name: str, words: str, send: Send, breaks: Clause, *also: Clause) -> None:
        """One fault in how an answer goes over the wire."""
        self.enter(name, words, Bend(send=send), breaks, *also)

    def enter(
        self, name: str, words: str, bend: Bend, breaks: Clause, *also: Clause, needs: tuple[str, ...] = ()
    ) -> None:
        """One fault."""
        assert name not in FAULTS, name
        FAULTS[name] = Fault(name=name, stage=self.stage, breaks=breaks, also=also, words=words, bend=bend, needs=needs)

    def _decorator(
        self, bend: Callable[[Function], Bend], breaks: Clause, also: tuple[Clause, ...], needs: tuple[str, ...]
    ) -> Callable[[Function], Function]:
        """
        Enter a function under its own name.
        """

        def enter(function: Function) -> Function:
            words = " ".join((function.__doc__ or "").split())
            self.enter(function.__name__.replace("_", "-"), words, bend(function), breaks, *also, needs=needs)
            return function

        return enter
