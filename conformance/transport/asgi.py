"""
Serves an ASGI app on a loopback socket, so that it gets the same bytes as any other target.

The server is minimal, so that it hides nothing of the app: h11 parses and writes, header fields keep their letter case and
order, and only the framing is added if the app sets none.
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

_READ_SIZE = 65536
_BACKLOG = 128
_LIFESPAN_TIMEOUT = 10.0
"""Seconds to wait for the app to start and to stop."""


_ORIGIN = re.compile(rb"^https?://[^/?]*", re.IGNORECASE)
"""What comes before the path in a request target in absolute form (RFC 9112 §3.2.2)."""
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%-]*(?::[0-9]*)?|\[[0-9A-Fa-fv:.]+\](?::[0-9]*)?")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def _is_malformed(request: h11.Request) -> bool:
    """True for errors in a head that h11 accepts: version, Host, transfer coding in HTTP/1.0, control characters."""
    fields = [(bytes(name), bytes(value)) for name, value in request.headers]
    hosts = [value for name, value in fields if name == b"host"]
    return (
        request.http_version not in (b"1.0", b"1.1")
        or not all(map(_HOST.fullmatch, hosts))
        or (request.http_version == b"1.0" and any(name == b"transfer-encoding" for name, _ in fields))
        or any(_CONTROL.search(value) for _, value in fields)
    )


class AppStartError(UsageError):
    """The app does not start or stop; the message is one line."""


@contextmanager
def serve_app(app: App) -> Iterator[str]:
    """The origin of an app on a free loopback port. A thread serves it while the context lasts. Raises AppStartError."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="chainproof-asgi", daemon=True)
    thread.start()

    def run_in_loop(work: Awaitable[Any]) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(_awaited(work), loop).result(_LIFESPAN_TIMEOUT)
        except TimeoutError:
            raise AppStartError(f"the ASGI app neither started nor stopped within {_LIFESPAN_TIMEOUT:g} s") from None

    lifespan = _Lifespan(app)
    try:
        run_in_loop(lifespan.start())
        server: asyncio.Server = run_in_loop(
            asyncio.start_server(_Server(app, lifespan.state).connection, "127.0.0.1", 0, backlog=_BACKLOG)
        )
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(server.close)
            run_in_loop(lifespan.end())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_LIFESPAN_TIMEOUT)


async def _awaited(work: Awaitable[Any]) -> Any:
    """Any awaitable as a coroutine."""
    return await work


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped, then cancel its tasks and close it."""
    asyncio.set_event_loop(loop)
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


class _Lifespan:
    """The app's lifespan. An app that does not support lifespans raises, and is served nevertheless."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._to_app: asyncio.Queue[Event] = asyncio.Queue()
        self._from_app: asyncio.Queue[Event] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Start the app. Raises AppStartError if it says that it failed."""
        scope = {"type": "lifespan", "asgi": _VERSION, "state": self.state}
        self._task = asyncio.ensure_future(_awaited(self._app(scope, self._to_app.get, self._from_app.put)))
        if await self._send_event("lifespan.startup") == "lifespan.startup.failed":
            raise AppStartError("the ASGI app failed to start")

    async def end(self) -> None:
        """Shut the app down, if its lifespan is still running."""
        await self._send_event("lifespan.shutdown")
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _send_event(self, kind: str) -> str:
        """Send an event to the app. Returns the type of its reply, or an empty text if there is none."""
        assert self._task is not None
        if self._task.done():
            return ""
        await self._to_app.put({"type": kind})
        reply = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait([reply, self._task], return_when=asyncio.FIRST_COMPLETED)
        if reply.done():
            return str(reply.result()["type"])
        reply.cancel()
        self._task.exception()  # asyncio warns about exceptions that are not retrieved
        return ""


_VERSION = {"version": "3.0", "spec_version": "2.4"}


class _Server:
    """Serves the connections to one app."""

    def __init__(self, app: App, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one exchange after another, as long as both sides keep the connection open."""
        try:
            protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
            while await _Exchange(self._app, self._state, protocol, reader, writer).run():
                protocol.start_next_cycle()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


class _Exchange:
    """One request to the app, and its answer."""

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

    async def run(self) -> bool:
        """Pass the request to the app and its answer to the client. Returns whether another request may follow."""
        try:
            event = await self._read()
            if not isinstance(event, h11.Request):
                return False
            self._request = event
            if _is_malformed(event):
                await self._error(400, "Bad Request")
                return False
            if event.method != event.method.upper():
                # Methods are case-sensitive (RFC 9110 §9.1), but ASGI passes them in upper case.
                await self._error(501, "Not Implemented")
                return False
            await self._app(self._scope(event), self._receive, self._send)
            if self._protocol.our_state is h11.SEND_RESPONSE:
                await self._error(500, "Internal Server Error")
            # Closing a socket with unread bytes resets it, and the answer gets lost.
            while self._protocol.their_state is h11.SEND_BODY:
                await self._read()
        except h11.RemoteProtocolError as error:
            # Not the parser's message: it may repeat what was sent, a key perhaps.
            await self._error(error.error_status_hint, "Bad Request")
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:  # noqa: BLE001  # the app is responsible; a real server answers 500 as well
            traceback.print_exc()
            await self._error(500, "Internal Server Error")
        return self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE

    def _scope(self, request: h11.Request) -> Scope:
        """The ASGI scope of a request."""
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
        """The next event from the client."""
        while True:
            event = self._protocol.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._protocol.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
            octets = await self._reader.read(_READ_SIZE)
            if self._request is None and not self._protocol.trailing_data[0]:
                octets = octets.removeprefix(b"\r\n") or octets  # RFC 9112 §2.2
            self._protocol.receive_data(octets)

    async def _receive(self) -> Event:
        """The next piece of the body, and after the last one the event that the client has disconnected."""
        if self._protocol.their_state is not h11.SEND_BODY:
            while self._protocol.our_state not in (h11.DONE, h11.MUST_CLOSE):
                octets = await self._reader.read(_READ_SIZE)
                if not octets:
                    break
                self._protocol.receive_data(octets)
            return {"type": "http.disconnect"}
        event = await self._read()
        if isinstance(event, h11.Data):
            return {"type": "http.request", "body": bytes(event.data), "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, event: Event) -> None:
        """Write an event of the app to the client."""
        if event["type"] == "http.response.start":
            self._head = event
            return
        assert self._head is not None, "an app starts its response before its body"
        body, more = event.get("body", b""), event.get("more_body", False)
        if self._protocol.our_state is h11.SEND_RESPONSE or self._protocol.our_state is h11.IDLE:
            self._write(h11.Response(status_code=self._head["status"], headers=self._fields(body, more=more)))
        if body and not self._has_no_body:
            self._write(h11.Data(data=body))
        if not more:
            self._write(h11.EndOfMessage())
        await self._writer.drain()

    @property
    def _has_no_body(self) -> bool:
        """Whether the answer has no body, whatever the app sends: to HEAD, and with a 204 or 304."""
        assert self._head is not None
        return (self._request is not None and self._request.method == b"HEAD") or self._head["status"] in (204, 304)

    def _fields(self, body: bytes, *, more: bool) -> list[tuple[bytes, bytes]]:
        """The app's header fields, and a Content-Length if the app sets no framing and the body is complete."""
        assert self._head is not None
        fields = [(bytes(name), bytes(value)) for name, value in self._head.get("headers", ())]
        framed = {name.lower() for name, _ in fields} & {b"content-length", b"transfer-encoding"}
        if not framed and not more and not self._has_no_body:
            fields.append((b"content-length", b"%d" % len(body)))
        return fields

    def _write(self, event: h11.Event) -> None:
        self._writer.write(self._protocol.send(event) or b"")

    async def _error(self, status: int, words: str) -> None:
        """Answer with an error instead of the app, unless its answer has begun, and close the connection."""
        if self._protocol.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            fields = [("content-type", "text/plain"), ("content-length", str(len(words))), ("connection", "close")]
            self._write(h11.Response(status_code=status, headers=fields))
            self._write(h11.Data(data=words.encode("ascii", "replace")))
            self._write(h11.EndOfMessage())
            await self._writer.drain()
