"""
An ASGI app on a loopback socket, so that it is asked by the same bytes as any other target.

Just enough of a server to add nothing and to hide nothing: h11 reads and writes, what the app says goes out as it says it,
in its letter case and order, and no field is added but the framing where the app named none.
"""

from __future__ import annotations

import asyncio
import re
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote_to_bytes

import h11

from chainproof.errors import UsageError

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Event]], Callable[[Event], Awaitable[None]]], Awaitable[None]]
"""An application of ASGI 3.0, https://asgi.readthedocs.io/en/stable/specs/main.html."""

_READ = 65536
_BACKLOG = 128
_PATIENCE = 10.0
"""Seconds to wait for the app to start, and to end."""


_ORIGIN = re.compile(rb"^https?://[^/?]*", re.IGNORECASE)
"""What stands before the path in a request target of the absolute form (RFC 9112 §3.2.2)."""
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%-]*(?::[0-9]*)?|\[[0-9A-Fa-fv:.]+\](?::[0-9]*)?")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def _malformed(request: h11.Request) -> bool:
    """
    Whether a head is none, though h11 lets it pass: by its version, its Host, a coding in HTTP/1.0, a control character.
    """
    fields = [(bytes(name), bytes(value)) for name, value in request.headers]
    hosts = [value for name, value in fields if name == b"host"]
    return (
        request.http_version not in (b"1.0", b"1.1")
        or not all(map(_HOST.fullmatch, hosts))
        or (request.http_version == b"1.0" and any(name == b"transfer-encoding" for name, _ in fields))
        or any(_CONTROL.search(value) for _, value in fields)
    )


class AppStartError(UsageError):
    """
    An app that does not start; the message is one line.
    """


@contextmanager
def serve_app(app: App) -> Iterator[str]:
    """
    The origin of an app on a free port of loopback, served by a thread for as long as the context lasts. Raises BadApp.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="chainproof-asgi", daemon=True)
    thread.start()

    def done(work: Awaitable[Any]) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(_awaited(work), loop).result(_PATIENCE)
        except TimeoutError:
            raise AppStartError(f"the ASGI app neither started nor ended within {_PATIENCE:g} s") from None

    lifespan = _Lifespan(app)
    try:
        done(lifespan.start())
        server: asyncio.Server = done(
            asyncio.start_server(_Serving(app, lifespan.state).connection, "127.0.0.1", 0, backlog=_BACKLOG)
        )
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(server.close)
            done(lifespan.end())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_PATIENCE)


async def _awaited(work: Awaitable[Any]) -> Any:
    """
    Whatever can be awaited, as a coroutine.
    """
    return await work


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """
    The thread: a loop until it is stopped, and no task left behind.
    """
    asyncio.set_event_loop(loop)
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


class _Lifespan:
    """
    The app's own beginning and end, where it has them: one that does not know of lifespans raises, and is served as it is.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._told: asyncio.Queue[Event] = asyncio.Queue()
        self._said: asyncio.Queue[Event] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Begin; raises BadApp where the app says that it cannot."""
        scope = {"type": "lifespan", "asgi": _VERSION, "state": self.state}
        self._task = asyncio.ensure_future(_awaited(self._app(scope, self._told.get, self._said.put)))
        said = await self._ask("lifespan.startup")
        if said == "lifespan.startup.failed":
            raise AppStartError("the ASGI app failed to start")

    async def end(self) -> None:
        """End, as far as the app still listens."""
        await self._ask("lifespan.shutdown")
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _ask(self, kind: str) -> str:
        """
        Tell the app, and wait for its word; empty where it has none.
        """
        assert self._task is not None
        if self._task.done():
            return ""
        await self._told.put({"type": kind})
        said = asyncio.ensure_future(self._said.get())
        await asyncio.wait([said, self._task], return_when=asyncio.FIRST_COMPLETED)
        if said.done():
            return str(said.result()["type"])
        said.cancel()
        self._task.exception()  # looked at, as asyncio wants it: what an app raises at a lifespan says that it has none
        return ""


_VERSION = {"version": "3.0", "spec_version": "2.4"}


class _Serving:
    """
    The connections of one app.
    """

    def __init__(self, app: App, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        One exchange after another, for as long as both sides keep the connection.
        """
        try:
            protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
            while await _Exchange(self._app, self._state, protocol, reader, writer).carried_through():
                protocol.start_next_cycle()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


class _Exchange:
    """
    One request and its answer.
    """

    def __init__(
        self,
        app: App,
        state: dict[str, Any],
        protocol: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._app = app
        self._state = state
        self._protocol = protocol
        self._reader = reader
        self._writer = writer
        self._head: Event | None = None
        self._request: h11.Request | None = None

    async def carried_through(self) -> bool:
        """
        Hand the request to the app and its words to the wire; whether another request may follow.
        """
        try:
            event = await self._read()
            if not isinstance(event, h11.Request):
                return False
            self._request = event
            if _malformed(event):
                await self._error(400, "Bad Request")
                return False
            if event.method != event.method.upper():
                # Methods are case-sensitive (RFC 9110 §9.1), and an app is told of them in capitals alone.
                await self._error(501, "Not Implemented")
                return False
            await self._app(self._scope(event), self._receive, self._send)
            if self._protocol.our_state is h11.SEND_RESPONSE:
                await self._error(500, "Internal Server Error")
            # Closing a socket with unread bytes resets it, and the answer is lost on its way.
            while self._protocol.their_state is h11.SEND_BODY:
                await self._read()
        except h11.RemoteProtocolError as wrong:
            # Never the parser's own words: they repeat what was sent, a key perhaps.
            await self._error(wrong.error_status_hint, "Bad Request")
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:  # noqa: BLE001  # blamed: the app, whose server would answer for it
            traceback.print_exc()
            await self._error(500, "Internal Server Error")
        return self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE

    def _scope(self, request: h11.Request) -> Scope:
        """
        What ASGI has an app know of a request.
        """
        path, _, query = _ORIGIN.sub(b"", request.target).partition(b"?")
        return {
            "type": "http",
            "asgi": _VERSION,
            "http_version": request.http_version.decode("ascii"),
            "method": request.method.decode("ascii").upper(),
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": [(bytes(name), bytes(value)) for name, value in request.headers],
            "client": self._writer.get_extra_info("peername"),
            "server": self._writer.get_extra_info("sockname"),
            "state": dict(self._state),
        }

    async def _read(self) -> object:
        """
        The next event of the client's.
        """
        while True:
            event = self._protocol.next_event()
            if event is not h11.NEED_DATA:
                return event
            octets = await self._reader.read(_READ)
            if self._request is None and not self._protocol.trailing_data[0]:
                octets = octets.removeprefix(b"\r\n") or octets  # RFC 9112 §2.2
            self._protocol.receive_data(octets)

    async def _receive(self) -> Event:
        """
        The next piece of the body, and behind it that the client has gone.
        """
        if self._protocol.their_state is not h11.SEND_BODY:
            while self._protocol.our_state not in (h11.DONE, h11.MUST_CLOSE):
                octets = await self._reader.read(_READ)
                if not octets:
                    break
                self._protocol.receive_data(octets)
            return {"type": "http.disconnect"}
        event = await self._read()
        if isinstance(event, h11.Data):
            return {"type": "http.request", "body": bytes(event.data), "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, event: Event) -> None:
        """
        What the app says, onto the wire.
        """
        if event["type"] == "http.response.start":
            self._head = event
            return
        assert self._head is not None, "an app starts its response before its body"
        body, more = event.get("body", b""), event.get("more_body", False)
        if self._protocol.our_state is h11.SEND_RESPONSE or self._protocol.our_state is h11.IDLE:
            self._write(h11.Response(status_code=self._head["status"], headers=self._fields(body, more=more)))
        if body and not self._bodiless:
            self._write(h11.Data(data=body))
        if not more:
            self._write(h11.EndOfMessage())
        await self._writer.drain()

    @property
    def _bodiless(self) -> bool:
        """Whether the answer has no body whatever the app says: to HEAD, and a 204 or 304."""
        assert self._head is not None
        return (self._request is not None and self._request.method == b"HEAD") or self._head["status"] in (204, 304)

    def _fields(self, body: bytes, *, more: bool) -> list[tuple[bytes, bytes]]:
        """
        The app's own fields; a length where it named none and the body is whole.
        """
        assert self._head is not None
        fields = [(bytes(name), bytes(value)) for name, value in self._head.get("headers", ())]
        framed = {name.lower() for name, _ in fields} & {b"content-length", b"transfer-encoding"}
        if not framed and not more and not self._bodiless:
            fields.append((b"content-length", b"%d" % len(body)))
        return fields

    def _write(self, event: h11.Event) -> None:
        self._writer.write(self._protocol.send(event) or b"")

    async def _error(self, status: int, words: str) -> None:
        """
        What any server says in an app's place, as long as the app has not begun to speak; then the connection is closed.
        """
        if self._protocol.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            fields = [("content-type", "text/plain"), ("content-length", str(len(words))), ("connection", "close")]
            self._write(h11.Response(status_code=status, headers=fields))
            self._write(h11.Data(data=words.encode("ascii", "replace")))
            self._write(h11.EndOfMessage())
            await self._writer.drain()
