"""The user's own chain: parses a body, calls run_remote, and returns what the chain's server would respond."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import traceback
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from itertools import dropwhile
from typing import cast

from chainproof.chain_schema.entrypoint import Entrypoint, InputError, OutputError, load_entrypoint
from chainproof.chain_schema.error_text import SchemaError

from .chain_request import ChainRequest
from .chain_response import (
    ChainResponse,
    PythonJsonError,
    binary_output,
    exception_error,
    input_error,
    internal_error,
    json_error,
    msgpack_error,
    output,
    parse_python_json,
    return_type_error,
    server_error,
)
from .msgpack_body import MsgpackError, pack_output, unpack_body

Arguments = dict[str, object]

_NOT_EXCEPTIONS = (asyncio.CancelledError, SystemExit, KeyboardInterrupt)
"""Raised by a chain, they end neither its server nor the emulator."""


class UserChain:
    """An instance of the user's class, with its input and output types."""

    def __init__(self, entrypoint: Entrypoint, instance: object) -> None:
        self.is_async = entrypoint.is_async
        """Whether run_remote is a coroutine function."""
        self.streams = entrypoint.output_model is None
        """Whether run_remote returns a stream."""
        self._entrypoint = entrypoint
        self._run: Callable[..., object] = getattr(instance, "run_remote")  # noqa: B009  # a user class without a known type

    def parse_arguments(self, request: ChainRequest) -> Arguments | ChainResponse:
        """The arguments in a body, or the error response to an invalid body."""
        try:
            value = unpack_body(request.body) if request.binary else parse_python_json(request.body)
            return self._entrypoint.arguments(value)
        except PythonJsonError as error:
            return json_error(error)
        except MsgpackError as error:
            return msgpack_error(error)
        except InputError as error:
            return input_error(error.errors)
        except Exception as error:  # noqa: BLE001  # responsible: the chain's server, as on the service
            return server_error(error)

    async def run_async(self, arguments: Arguments, *, binary: bool = False) -> ChainResponse:
        """The response of a run_remote that is a coroutine function."""
        try:
            result = await cast(Awaitable[object], self._run(**arguments))
        except BaseException as error:  # noqa: BLE001  # responsible: the user's chain, which must not end the emulator
            return _exception_response(error)
        return self._encode_response(result, binary=binary)

    def run_sync(self, arguments: Arguments, *, binary: bool = False) -> ChainResponse:
        """The response of a run_remote that is a plain function."""
        try:
            result = self._run(**arguments)
        except BaseException as error:  # noqa: BLE001  # as above
            return _exception_response(error)
        return self._encode_response(result, binary=binary)

    def respond(self, request: ChainRequest) -> ChainResponse:
        """The response to a request, computed while the caller waits; a stream is collected."""
        arguments = self.parse_arguments(request)
        if isinstance(arguments, ChainResponse):
            return arguments
        if not self.is_async and not self.streams:
            return self.run_sync(arguments, binary=request.binary)
        responses: list[ChainResponse] = []
        # On a thread of its own, since the caller's may have a running event loop.
        thread = threading.Thread(target=lambda: responses.append(asyncio.run(self._respond(arguments, request))))
        thread.start()
        thread.join()
        return responses[0]

    async def _respond(self, arguments: Arguments, request: ChainRequest) -> ChainResponse:
        """The response of a coroutine function or of a stream."""
        if not self.streams:
            return await self.run_async(arguments, binary=request.binary)
        if request.gathers_stream:
            return await self.gather(arguments, binary=request.binary)
        return binary_output(b"".join([chunk async for chunk in self.stream(arguments)]))

    async def stream(self, arguments: Arguments) -> AsyncIterator[bytes]:
        """The chunks of a stream. An exception ends it without a trace, as on the service."""
        try:
            async for chunk in cast(AsyncIterable[str | bytes], self._run(**arguments)):
                yield chunk.encode() if isinstance(chunk, str) else bytes(chunk)
        except (Exception, *_NOT_EXCEPTIONS):  # noqa: BLE001  # responsible: the user's chain
            return

    async def gather(self, arguments: Arguments, *, binary: bool = False) -> ChainResponse:
        """The whole stream as one string, or the response to the exception that ended it."""
        try:
            chunks = [chunk async for chunk in cast(AsyncIterable[str | bytes], self._run(**arguments))]
        except BaseException as error:  # noqa: BLE001  # as above
            return _exception_response(error)
        try:
            text = b"".join(chunk if isinstance(chunk, bytes) else str(chunk).encode() for chunk in chunks).decode()
        except UnicodeError as error:
            return server_error(error)
        return binary_output(pack_output(text)) if binary else output(json.dumps(text).encode())

    def _encode_response(self, result: object, *, binary: bool) -> ChainResponse:
        """The response for a result."""
        try:
            if binary:
                return binary_output(pack_output(self._entrypoint.output_value(result)))
            return output(self._entrypoint.encode_output(result))
        except OutputError:
            return return_type_error()
        except Exception as error:  # noqa: BLE001  # responsible: the chain's server, as on the service
            return server_error(error)


def load_chain(text: str) -> UserChain:
    """The chain at `FILE.py:Class` or `package.module:Class`. Raises SchemaError, also if the constructor raises."""
    entrypoint = load_entrypoint(text)
    if entrypoint.injected:
        raise SchemaError(
            f"{text}: only the service can provide the parameter {entrypoint.injected[0]!r} of run_remote"
        )
    try:
        with redirect_stdout(sys.stderr), _construction_context():
            instance = entrypoint.cls()
    except (Exception, SystemExit) as error:  # noqa: BLE001  # responsible: the user's constructor
        reason = " ".join(str(error).split())[:200]
        raise SchemaError(
            f"{text}: its constructor raised {type(error).__name__}{f': {reason}' if reason else ''}"
        ) from None
    return UserChain(entrypoint, instance)


def _construction_context() -> AbstractContextManager[object]:
    """The context that truss requires to construct a chain locally, if the user module imported truss."""
    run_local = getattr(sys.modules.get("truss_chains"), "run_local", None)
    return cast(AbstractContextManager[object], run_local()) if run_local else nullcontext()


def _exception_response(error: BaseException) -> ChainResponse:
    """The response to an exception in run_remote. One that is not an Exception is caught by the server's framework."""
    if not isinstance(error, Exception):
        return internal_error()
    stack = traceback.extract_tb(error.__traceback__)
    return exception_error(error, dropwhile(lambda frame: frame.filename == __file__, stack))
