"""
The user's own chain: from a body to a call of its run_remote, and from what that returns to what its server says.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from itertools import dropwhile
from typing import cast

from chainproof.contract.chain_schema import Entrypoint, InputError, OutputError, SchemaError, load_entrypoint

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
    An instance of the user's class, with its input and output.
    """

    def __init__(self, entrypoint: Entrypoint, instance: object) -> None:
        self.is_async = entrypoint.is_async
        """Whether run_remote is a coroutine function."""
        self._entrypoint = entrypoint
        self._run: Callable[..., object] = getattr(instance, "run_remote")  # noqa: B009  # a class that we do not know

    def parse_arguments(self, body: bytes) -> Arguments | ChainResponse:
        """The arguments that a body stands for, or what is said to one that stands for none."""
        try:
            return self._entrypoint.arguments(parse_python_json(body))
        except PythonJsonError as wrong:
            return json_error(wrong)
        except InputError as wrong:
            return input_error(wrong.errors)
        except Exception as wrong:  # noqa: BLE001  # blamed as the server blames it: on itself
            return server_error(wrong)

    async def run_async(self, arguments: Arguments) -> ChainResponse:
        """What is said after run_remote, a coroutine function."""
        try:
            result = await cast(Awaitable[object], self._run(**arguments))
        except BaseException as wrong:  # noqa: BLE001  # blamed: the user's chain, which must not end ours
            return _broken(wrong)
        return self._written(result)

    def run_sync(self, arguments: Arguments) -> ChainResponse:
        """What is said after run_remote, a plain function."""
        try:
            result = self._run(**arguments)
        except BaseException as wrong:  # noqa: BLE001  # as above
            return _broken(wrong)
        return self._written(result)

    def _written(self, result: object) -> ChainResponse:
        """
        A result as the answer's body.
        """
        try:
            return output(self._entrypoint.encode_output(result))
        except OutputError:
            return return_type_error()
        except Exception as wrong:  # noqa: BLE001  # blamed as the server blames it: on itself
            return server_error(wrong)


def load_chain(text: str) -> UserChain:
    """
    The chain of `FILE.py:Class` or `package.module:Class`. Raises SchemaError, also for what its constructor raises.
    """
    entrypoint = load_entrypoint(text)
    if entrypoint.output_model is None:
        raise SchemaError(
            f"{text}: expected a run_remote that returns its output whole, found one that returns a stream"
        )
    if entrypoint.injected:
        raise SchemaError(
            f"{text}: the parameter {entrypoint.injected[0]!r} of run_remote is the service's alone to fill in"
        )
    try:
        with redirect_stdout(sys.stderr), _local():
            instance = entrypoint.cls()
    except (Exception, SystemExit) as wrong:  # noqa: BLE001  # blamed: the user's constructor
        reason = " ".join(str(wrong).split())[:200]
        raise SchemaError(
            f"{text}: its constructor raised {type(wrong).__name__}{f': {reason}' if reason else ''}"
        ) from None
    return UserChain(entrypoint, instance)


def _local() -> AbstractContextManager[object]:
    """
    What truss wants around the construction of a chain outside the service, where the user's module has imported it.
    """
    local = getattr(sys.modules.get("truss_chains"), "run_local", None)
    return cast(AbstractContextManager[object], local()) if local else nullcontext()


def _broken(wrong: BaseException) -> ChainResponse:
    """
    What is said to an exception out of run_remote; anything but an Exception ends the process of a chain.
    """
    if not isinstance(wrong, Exception):
        return process_exit_error()
    stack = traceback.extract_tb(wrong.__traceback__)
    return exception_error(wrong, dropwhile(lambda frame: frame.filename == __file__, stack))
