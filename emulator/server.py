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

from .chain.chain import UserChain
from .decision import EmulatorConfig
from .faults.faulty_server import FaultyProtocol, FaultyServer
from .faults.hooks import FaultHook
from .transport.access_log import AccessLog
from .transport.connection import Listener, TcpConnection
from .transport.protocol import HttpProtocol
from .transport.server_state import ServerState


def new_request_id_prefix() -> str:
    """
    The beginning of the request ids of one run. Not seeded: two servers with the same seed must not share ids.
    """
    return secrets.token_hex(11)[:21]


Stop = Callable[[], None]
"""Ends the server; may be called in its loop, any number of times."""

StartedCallback = Callable[[asyncio.AbstractEventLoop, Stop], None]
"""Told once that the server serves: the place to print its URL, and to see to its end."""


def serve(
    config: EmulatorConfig,
    sock: socket.socket,
    access_log: AccessLog,
    begun: StartedCallback,
    *,
    chain: UserChain | None = None,
    hook: FaultHook | None = None,
) -> None:
    """
    Serve on a listening socket until told to stop; a *chain* stands in for the echo chain of a model that is chained, a
    *bend* makes the endpoint another than the honest one.

    An error of our own cuts the connection where it happened, and is raised when the server has stopped.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, sock, access_log, begun, chain=chain, hook=hook))


async def _serve(
    config: EmulatorConfig,
    sock: socket.socket,
    access_log: AccessLog,
    begun: StartedCallback,
    *,
    chain: UserChain | None,
    hook: FaultHook | None,
) -> None:
    """
    The same, in the loop.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    site, exchanging = _site(loop, config, access_log, chain, hook)
    numbers = count(1)
    broken: list[BaseException] = []

    def accept(connection: TcpConnection) -> None:
        exchange = exchanging(connection, next(numbers))
        site.add_connection(exchange)
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


ProtocolFactory = Callable[[TcpConnection, int], HttpProtocol]
"""From a connection and its number to the server's side of it."""


def _site(
    loop: asyncio.AbstractEventLoop,
    config: EmulatorConfig,
    access_log: AccessLog,
    chain: UserChain | None,
    hook: FaultHook | None,
) -> tuple[ServerState, ProtocolFactory]:
    """
    The honest endpoint, or one with a bend in it: told apart here, once, and nowhere else.
    """
    if hook is None:
        site = ServerState(loop, config, access_log, chain)
        return site, lambda connection, number: HttpProtocol(connection, site, number)
    bent = FaultyServer(loop, config, access_log, hook)
    return bent, lambda connection, number: FaultyProtocol(connection, bent, number)


def _remember(context: dict[str, object], broken: list[BaseException]) -> None:
    """
    Keep an error that reached the loop, and say so at once.
    """
    error = context.get("exception")
    broken.append(error if isinstance(error, BaseException) else RuntimeError(context.get("message")))
    # Its kind alone: its words might repeat a request.
    kind = type(broken[-1]).__name__
    print(f"chainproof emulator: our own error, a connection was cut: {kind}", file=sys.stderr, flush=True)
