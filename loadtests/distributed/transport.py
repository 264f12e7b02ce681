"""
The sockets between a master and its workers: Locust's, encrypted, and closed to processes without the shared token.

They use CurveZMQ (https://rfc.zeromq.org/spec/26/). The master's key pair is derived from the token. A client needs its
public key to begin a handshake, and that key never leaves the processes that know the token. So knowing it proves
knowing the token: no message of another process is ever read. Messages are encrypted, and a recorded connection cannot
be read or replayed with a token that leaks later.

A message that is not one of Locust's is ignored and counted. Locust would stop listening after the first one.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import gevent
import zmq
from gevent.event import Event
from locust import runners
from locust.exception import RPCError
from locust.rpc import Message, zmqrpc
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from chainproof import command
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode

from .locust_messages import Ignored, is_valid
from .messages import REPORT
from .worker_token import TOKEN_VARIABLE, find_token, new_token, required_token, secret_key

MAX_MESSAGE_BYTES = 16 << 20
"""The longest message that a master reads: a report with all bodies of exemplars has less than 10 MiB."""
_MAX_OTHER_BYTES = 1 << 20
"""The longest one that is no report. Decoded, a message can take fifty times its memory; the content of a report is bytes."""
_REPORT_START = bytes([0x93, 0xA0 + len(REPORT)]) + REPORT.encode() + b"\xc6"
"""In MessagePack: a list of three values, the first the kind of a report, the second bytes with a length of four bytes."""
_MAX_ID_BYTES = 1024
_MAX_WAITING = 10
"""Messages of a peer that wait for the master, before no more are read from its connection."""
_HANDSHAKE_MS = 10_000
"""How long a connection may take to show that it knows the token."""
_RECONNECT_MS = (250, 2000)
"""A worker tries again after this time; the time doubles up to the second value."""
_HANDSHAKE_FAILURES = (
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL | zmq.Event.HANDSHAKE_FAILED_AUTH | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
)
_WATCHED = _HANDSHAKE_FAILURES | zmq.Event.MONITOR_STOPPED

_MAIN_PROCESS = os.getpid()
_FAMILY_TOKEN = new_token()
"""The token of a master and the workers that it forks (`--processes`). It must exist before the first fork."""


IGNORED = Counter[str]()
"""What this master ignored since its last run. Locust creates the sockets, so they share this counter."""
LISTENING = Event()
"""Set once this worker listens to messages of our kinds. Locust connects before that, and would lose the ones that arrive."""


class Server(zmqrpc.Server):
    """The master's socket."""

    def __init__(self, host: str, port: int) -> None:
        _open(self, zmq.ROUTER, host, port)
        self._warned = False
        secret = z85.encode(secret_key(_own_token(is_worker=False)))
        self.socket.curve_secretkey, self.socket.curve_publickey = secret, zmq.curve_public(secret)
        self.socket.curve_server = True
        self.socket.maxmsgsize = MAX_MESSAGE_BYTES
        self.socket.rcvhwm = _MAX_WAITING
        self.socket.handshake_ivl = _HANDSHAKE_MS
        gevent.spawn(_watch_handshakes, self.socket.get_monitor_socket(_WATCHED), self._on_rejection)
        try:
            self.socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            why = os.strerror(error.errno or 0).lower()
            print_message(
                f"cannot listen on {host} port {port}: {why}; choose others with --master-bind-host and --master-bind-port"
            )
            sys.exit(ExitCode.USAGE)
        endpoint: Any = self.socket.last_endpoint
        self.port = int(endpoint.rpartition(b":")[2].rstrip(b"\0"))

    def recv_from_client(self) -> tuple[str, Message]:
        """The next valid message, with the id of its sender. Raises RPCError if the socket does not work."""
        while True:
            try:
                frames = self.socket.recv_multipart()
            except zmq.ZMQError as error:
                raise RPCError("ZMQ network broken") from error
            message = parse_message(frames)
            if message is not None:
                return message.node_id, message
            IGNORED[Ignored.MALFORMED] += 1

    def _on_rejection(self) -> None:
        IGNORED[Ignored.CONNECTION] += 1
        if not self._warned:
            self._warned = True
            print_message(
                f"rejected a connection without the shared token: if it was a worker, give it the {TOKEN_VARIABLE} of "
                "this master; further ones are only counted"
            )


class Client(zmqrpc.Client):
    """A worker's socket."""

    def __init__(self, host: str, port: int, identity: str) -> None:
        _open(self, zmq.DEALER, host, port)
        self._master = f"{host}:{port}"
        self._warned = False
        self.socket.curve_publickey, self.socket.curve_secretkey = zmq.curve_keypair()
        self.socket.curve_serverkey = zmq.curve_public(z85.encode(secret_key(_own_token(is_worker=True))))
        self.socket.identity = identity.encode()
        self.socket.reconnect_ivl, self.socket.reconnect_ivl_max = _RECONNECT_MS
        if os.getpid() == _MAIN_PROCESS:  # of a forked worker, the master ends it
            gevent.signal_handler(signal.SIGINT, self._on_interrupt)
        gevent.spawn(_watch_handshakes, self.socket.get_monitor_socket(_WATCHED), self._on_rejection)
        self.socket.connect(f"tcp://{host}:{port}")

    def recv(self) -> Message:
        """The next message. Only the master's acknowledgement is returned before this worker listens."""
        message: Message = super().recv()  # type: ignore[no-untyped-call]  # Locust has no type hints here
        if message.type != "ack":
            LISTENING.wait()
        return message

    def _on_rejection(self) -> None:
        if not self._warned:
            self._warned = True
            print_message(
                f"the master at {self._master} rejects this worker, which tries again: expected the {TOKEN_VARIABLE} and "
                "the version of chainproof of the master"
            )

    def _on_interrupt(self) -> None:
        """End a worker that still waits for its master. Locust would print a bare KeyboardInterrupt; later the session decides."""
        if not LISTENING.is_set():
            print_message(f"interrupted while this worker waited for the master at {self._master}")
            sys.exit(ExitCode.INTERRUPTED)


def parse_message(frames: Sequence[bytes]) -> Message | None:
    """A valid message of Locust's protocol from the frames of a ROUTER socket; None if it is not valid."""
    if len(frames) != 2 or not (len(frames[1]) <= _MAX_OTHER_BYTES or _is_report(frames[1])):
        return None
    try:
        message: Message = Message.unserialize(frames[1])  # type: ignore[no-untyped-call]  # Locust has no type hints here
        sender = frames[0].decode()
    except Exception:  # noqa: BLE001  # responsible: the sender, whatever its bytes do to the decoder
        return None
    return message if message.node_id == sender and is_valid(message.type, message.data) else None


def _is_report(octets: bytes) -> bool:
    """Whether a message consists of the kind of a report, bytes, and a short rest. Decodes nothing."""
    start = len(_REPORT_START)
    content = int.from_bytes(octets[start : start + 4], "big")
    return octets.startswith(_REPORT_START) and 0 <= len(octets) - start - 4 - content <= _MAX_ID_BYTES


def _open(owner: zmqrpc.BaseSocket, kind: int, host: str, port: int) -> None:
    """Create the ZeroMQ socket of a Locust socket, with Locust's options and without its bind or connect."""
    any_owner: Any = zmqrpc.BaseSocket
    any_owner.__init__(owner, kind, owner.ipv4_only(host, port))


def use_encrypted_sockets() -> None:
    """Let Locust use these sockets. It has no hook for them, and creates them right after importing the locustfile."""
    module: Any = runners
    module.rpc.Server, module.rpc.Client = Server, Client


def _own_token(*, is_worker: bool) -> str:
    """The token of this process. A usage error ends it with one line."""
    try:
        # A master without one is rejected by its session, unless it forks its workers.
        if is_worker and os.getpid() == _MAIN_PROCESS:
            return required_token(os.environ)
        return find_token(os.environ) or _FAMILY_TOKEN
    except UsageError as error:
        print_message(str(error))
        sys.exit(ExitCode.USAGE)


def _watch_handshakes(monitor: Any, on_failure: Any) -> None:
    """Call a function for every failed handshake, until the socket is closed."""
    try:
        while recv_monitor_message(monitor)["event"] != zmq.Event.MONITOR_STOPPED:
            on_failure()
    except zmq.ZMQError:
        return  # the process ends


def print_message(message: str) -> None:
    """Print a line for the user."""
    command.print_message("chainproof loadtests", message)
