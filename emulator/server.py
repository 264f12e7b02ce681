"""
The server: a listening socket, the loop, and the end.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import socket
import sys
from collections.abc import Callable
from itertools import count

import uvloop

from .chain.chain import Chain
from .decision import Model
from .faults.faulty_server import BentExchange, BentSite
from .faults.hooks import Bend
from .transport.access_log import Truth
from .transport.connection import Connection, Listener
from .transport.protocol import Exchange
from .transport.server_state import Site


def new_run() -> str:
    """
    The beginning of the request ids of one run. Not seeded: two servers with the same seed must not share ids.
    """
    return secrets.token_hex(11)[:21]


Stop = Callable[[], None]
"""Ends the server; may be called in its loop, any number of times."""

Begun = Callable[[asyncio.AbstractEventLoop, Stop], None]
"""Told once that the server serves: the place to print its URL, and to see to its end."""


def serve(
    model: Model,
    sock: socket.socket,
    truth: Truth,
    begun: Begun,
    *,
    chain: Chain | None = None,
    bend: Bend | None = None,
) -> None:
    """
    Serve on a listening socket until told to stop; a *chain* stands in for the echo chain of a model that is chained, a
    *bend* makes the endpoint another than the honest one.

    An error of our own cuts the connection where it happened, and is raised when the server has stopped.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(model, sock, truth, begun, chain=chain, bend=bend))


async def _serve(
    model: Model, sock: socket.socket, truth: Truth, begun: Begun, *, chain: Chain | None, bend: Bend | None
) -> None:
    """
    The same, in the loop.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    site, exchanging = _site(loop, model, truth, chain, bend)
    numbers = count(1)
    broken: list[BaseException] = []

    def accept(connection: Connection) -> None:
        exchange = exchanging(connection, next(numbers))
        site.remember(exchange)
        connection.start(exchange)

    loop.set_exception_handler(lambda _, context: _remember(context, broken))
    listener = Listener(loop, sock, accept)
    # What exists now stays: the collector need not look at it again while requests wait.
    gc.collect()
    gc.freeze()
    try:
        begun(loop, stopped.set)
        await stopped.wait()
    finally:
        listener.close()
        site.close()
    if broken:
        raise broken[0]


Exchanging = Callable[[Connection, int], Exchange]
"""From a connection and its number to the server's side of it."""


def _site(
    loop: asyncio.AbstractEventLoop, model: Model, truth: Truth, chain: Chain | None, bend: Bend | None
) -> tuple[Site, Exchanging]:
    """
    The honest endpoint, or one with a bend in it: told apart here, once, and nowhere else.
    """
    if bend is None:
        site = Site(loop, model, truth, chain)
        return site, lambda connection, number: Exchange(connection, site, number)
    bent = BentSite(loop, model, truth, bend)
    return bent, lambda connection, number: BentExchange(connection, bent, number)


def _remember(context: dict[str, object], broken: list[BaseException]) -> None:
    """
    Keep an error that reached the loop, and say so at once.
    """
    error = context.get("exception")
    broken.append(error if isinstance(error, BaseException) else RuntimeError(context.get("message")))
    # Its kind alone: its words might repeat a request.
    kind = type(broken[-1]).__name__
    print(f"chainproof emulator: our own error, a connection was cut: {kind}", file=sys.stderr, flush=True)
