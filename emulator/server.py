"""The server: serves on a listening socket until it is stopped."""

from __future__ import annotations

import asyncio
import gc
import secrets
import socket
import sys
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

import uvloop

from chainproof.machine_faults import machine_fault

from .decision import EmulatorConfig
from .faults.faulty_server import FaultyProtocol, FaultyServer
from .faults.hooks import FaultHook
from .transport.access_log import AccessLog
from .transport.connection import Listener, TcpConnection
from .transport.protocol import HttpProtocol
from .transport.server_state import ServerState

if TYPE_CHECKING:  # pydantic, for a user's chain alone, takes as long to import as the rest of the emulator
    from .chain.chain import UserChain


def new_request_id_prefix() -> str:
    """The prefix of all request ids of one run. It is not seeded: servers with the same seed must not share ids."""
    return secrets.token_hex(11)[:21]


Stop = Callable[[], None]
"""Stops the server. Call it in the event loop, any number of times."""

StartedCallback = Callable[[asyncio.AbstractEventLoop, Stop], None]
"""Called once the server accepts connections."""


def serve(
    config: EmulatorConfig,
    sock: socket.socket,
    access_log: AccessLog,
    on_started: StartedCallback,
    *,
    chain: UserChain | None = None,
    hook: FaultHook | None = None,
) -> None:
    """
    Serve on a listening socket until stopped. *chain* replaces the echo chain; *hook* makes the server faulty.

    An internal error aborts the connection on which it occurred, and is raised after the server has stopped.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, sock, access_log, on_started, chain=chain, hook=hook))


async def _serve(
    config: EmulatorConfig,
    sock: socket.socket,
    access_log: AccessLog,
    on_started: StartedCallback,
    *,
    chain: UserChain | None,
    hook: FaultHook | None,
) -> None:
    """Do the same in a running event loop."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    state, create_protocol = _server_state(loop, config, access_log, chain, hook)
    numbers = count(1)
    errors: list[BaseException] = []

    def accept(connection: TcpConnection) -> None:
        protocol = create_protocol(connection, next(numbers))
        state.add_connection(protocol)
        connection.start(protocol)

    loop.set_exception_handler(lambda _, context: _record_error(context, errors))
    listener = Listener(loop, sock, accept)
    # Exclude everything created so far from garbage collection, which would delay requests.
    gc.collect()
    gc.freeze()
    try:
        on_started(loop, stopped.set)
        await stopped.wait()
    finally:
        listener.close()
        state.close()
    if errors:
        raise errors[0]


ProtocolFactory = Callable[[TcpConnection, int], HttpProtocol]
"""From a connection and its number to the protocol that serves it."""


def _server_state(
    loop: asyncio.AbstractEventLoop,
    config: EmulatorConfig,
    access_log: AccessLog,
    chain: UserChain | None,
    hook: FaultHook | None,
) -> tuple[ServerState, ProtocolFactory]:
    """
    The state and the protocol of the correct server or, with a hook, of the faulty one. Nothing else distinguishes
    them.
    """
    if hook is None:
        state = ServerState(loop, config, access_log, chain)
        return state, lambda connection, number: HttpProtocol(connection, state, number)
    faulty_state = FaultyServer(loop, config, access_log, hook, chain=chain)
    return faulty_state, lambda connection, number: FaultyProtocol(connection, faulty_state, number)


def _record_error(context: dict[str, object], errors: list[BaseException]) -> None:
    """Record and report an error that reached the event loop."""
    error = context.get("exception")
    errors.append(error if isinstance(error, BaseException) else RuntimeError(context.get("message")))
    # Only the type: the message might quote a request.
    what = f"internal error, a connection was aborted: {type(errors[-1]).__name__}"
    print(f"chainproof emulator: {machine_fault(errors[-1]) or what}", file=sys.stderr, flush=True)
