"""How a scripted target answers a request. Each takes a `ServedRequest`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

BUSY = b'{"error": "slow down", "error_code": "rate_limited"}'


async def fine(request: Any) -> None:
    """Answer 200."""
    await request.answer()


def answer_after(seconds: float) -> Callable[[Any], Coroutine[None, None, None]]:
    """Answer 200, but not at once."""

    async def slow(request: Any) -> None:
        await asyncio.sleep(seconds)
        await request.answer()

    return slow


async def stall(request: Any) -> None:
    """Never answer."""
    await asyncio.sleep(600)


async def throttle(request: Any) -> None:
    """Answer 429."""
    await request.answer(429, BUSY)


async def reject_key(request: Any) -> None:
    """Answer 401."""
    await request.answer(401, b'{"error": "who?", "error_code": "unauthorized"}')


async def hang_up(request: Any) -> None:
    """Reset the connection."""
    request.reset()
    raise ConnectionError
