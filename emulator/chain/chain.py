"""
The user's own chain: parses a body, calls run_remote, and returns what the chain's server would respond.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from itertools import dropwhile
from typing import cast

from chainproof.chain_schema.entrypoint import Entrypoint, InputError, OutputError, load_entrypoint
from chainproof.chain_schema.text_lines import SchemaError

from .chain_response import (
    ChainResponse,
    PythonJsonError,
    exception_error,
    input_error,
    json_error,
    output,
    parse_python_json,
    process_exit_error,
    return_type_error,
    server_error,
)

Arguments = dict[str, object]


class UserChain:
    """
    An instance of the user's class, with its input and output types.
    """

    def __init__(self, entrypoint: Entrypoint, instance: object) -> None:
        self.is_async = entrypoint.is_async
        """Whether run_remote is a coroutine function."""
        self._entrypoint = entrypoint
        self._run: Callable[..., object] = getattr(instance, "run_remote")  # noqa: B009  # a user class without a known type

    def parse_arguments(self, body: bytes) -> Arguments | ChainResponse:
        """The arguments in a body, or the error response to an invalid body."""
        try:
            return self._entrypoint.arguments(parse_python_json(body))
        except PythonJsonError as error:
            return json_error(error)
        except InputError as error:
            return input_error(error.errors)
        except Exception as error:  # noqa: BLE001  # responsible: the chain's server, as on the service
            return server_error(error)

    async def run_async(self, arguments: Arguments) -> ChainResponse:
        """The response of a run_remote that is a coroutine function."""
        try:
            result = await cast(Awaitable[object], self._run(**arguments))
        except BaseException as error:  # noqa: BLE001  # responsible: the user's chain, which must not end the emulator
            return _exception_response(error)
        return self._encode_response(result)

    def run_sync(self, arguments: Arguments) -> ChainResponse:
        """The response of a run_remote that is a plain function."""
        try:
            result = self._run(**arguments)
        except BaseException as error:  # noqa: BLE001  # as above
            return _exception_response(error)
        return self._encode_response(result)

    def respond(self, body: bytes) -> ChainResponse:
        """
        The response to a body, computed while the caller waits.
        """
        arguments = self.parse_arguments(body)
        if isinstance(arguments, ChainResponse):
            return arguments
        if not self.is_async:
            return self.run_sync(arguments)
        responses: list[ChainResponse] = []
        # On a thread of its own, since the caller's may have a running event loop.
        thread = threading.Thread(target=lambda: responses.append(asyncio.run(self.run_async(arguments))))
        thread.start()
        thread.join()
        return responses[0]

    def _encode_response(self, result: object) -> ChainResponse:
        """
        The response for a result.
        """
        try:
            return output(self._entrypoint.encode_output(result))
        except OutputError:
            return return_type_error()
        except Exception as error:  # noqa: BLE001  # responsible: the chain's server, as on the service
            return server_error(error)


def load_chain(text: str) -> UserChain:
    """
    The chain at `FILE.py:Class` or `package.module:Class`. Raises SchemaError, also if the constructor raises.
    """
    entrypoint = load_entrypoint(text)
    if entrypoint.output_model is None:
        raise SchemaError(
            f"{text}: expected a run_remote that returns its output at once, found one that returns a stream"
        )
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
    """
    The context that truss requires to construct a chain locally, if the user module imported truss.
    """
    run_local = getattr(sys.modules.get("truss_chains"), "run_local", None)
    return cast(AbstractContextManager[object], run_local()) if run_local else nullcontext()


def _exception_response(error: BaseException) -> ChainResponse:
    """
    The response to an exception in run_remote. A BaseException that is not an Exception ends the process of a chain.
    """
    if not isinstance(error, Exception):
        return process_exit_error()
    stack = traceback.extract_tb(error.__traceback__)
    return exception_error(error, dropwhile(lambda frame: frame.filename == __file__, stack))
