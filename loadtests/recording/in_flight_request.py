"""A request from its intended start until it is settled, as the engine and the recorder share it."""

from __future__ import annotations

from dataclasses import dataclass, field

import gevent

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.results.exchange import Outcome

from ..client.reply import Reply
from ..client.request import EncodedRequest


@dataclass(slots=True, eq=False)
class InFlightRequest:
    """A request that was started. Times are seconds since the start of the run."""

    number: int
    intended_start: Seconds
    encoded_request: EncodedRequest | None
    """None until the task of a custom user class provides the payload."""
    start: Seconds | None = None
    """None until it is sent."""
    slot_wait: Seconds = 0.0
    """How long it waited because the maximum number of requests was in flight."""
    greenlet: gevent.Greenlet | None = field(default=None, repr=False)
    """The greenlet that waits for the answer."""
    end: Seconds = 0.0
    reply: Reply | None = field(default=None, repr=False)
    outcome: Outcome | None = None
    """None until it is settled."""

    @property
    def answer(self) -> Answer | None:
        """The answer; None without one."""
        return self.reply.answer if self.reply is not None else None
