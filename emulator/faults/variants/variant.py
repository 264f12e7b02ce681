"""
Variants: unusual but correct behaviour, each with the text that allows it.

A variant breaks no clause: a finding against one is a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chainproof.contract.answer import Answer

from ..hooks import FaultHook, OutgoingAnswer, RequestContext, Step, head_from_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One unusual but correct behaviour."""

    name: str
    description: str
    allowed_by: str
    """The specification, or the gap in it, that allows the behaviour."""
    hook: FaultHook


VARIANTS: dict[str, Variant] = {}
"""Every variant by name, in registration order."""


def add_variant(name: str, description: str, allowed_by: str, hook: FaultHook) -> None:
    """Register a variant."""
    VARIANTS[name] = Variant(name=name, description=description, allowed_by=allowed_by, hook=hook)


def changed_answer(change: Callable[[RequestContext, Answer], Answer]) -> FaultHook:
    """A hook that changes answers."""
    return FaultHook(decide=lambda context: change(context, context.correct_answer()))


def changed_errors(change: Callable[[Answer], Answer]) -> FaultHook:
    """A hook that changes errors."""
    return changed_answer(lambda _, answer: answer if answer.status == 200 else change(answer))


def changed_head(change: Callable[[list[bytes]], list[bytes]]) -> FaultHook:
    """A hook that changes the head lines of answers."""

    def send(outgoing: OutgoingAnswer) -> Iterator[Step]:
        yield outgoing.wire if outgoing.answer is None else head_from_lines(change(outgoing.lines())) + outgoing.body

    return FaultHook(send=send)
