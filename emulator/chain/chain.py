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

from chainproof.contract.chain_schema import BadInput, BadOutput, BadSchema, Entrypoint, load_entrypoint

from .chain_response import (
    Said,
    Unreadable,
    input_error,
    lost,
    mistyped,
    output,
    python_json,
    raised,
    surprise,
    unreadable,
)

Arguments = dict[str, object]


class Chain:
    """
    An instance of the user's class, with its input and output.
    """

    def __init__(self, entrypoint: Entrypoint, instance: object) -> None:
        self.awaited = entrypoint.awaited
        """Whether run_remote is a coroutine function."""
        self._entrypoint = entrypoint
        self._run: Callable[..., object] = getattr(instance, "run_remote")  # noqa: B009  # a class that we do not know

    def read(self, body: bytes) -> Arguments | Said:
        """The arguments that a body stands for, or what is said to one that stands for none."""
        try:
            return self._entrypoint.arguments(python_json(body))
        except Unreadable as wrong:
            return unreadable(wrong)
        except BadInput as wrong:
            return input_error(wrong.mistakes)
        except Exception as wrong:  # noqa: BLE001  # blamed as the server blames it: on itself
            return surprise(wrong)

    async def await_it(self, arguments: Arguments) -> Said:
        """What is said after run_remote, a coroutine function."""
        try:
            result = await cast(Awaitable[object], self._run(**arguments))
        except BaseException as wrong:  # noqa: BLE001  # blamed: the user's chain, which must not end ours
            return _broken(wrong)
        return self._written(result)

    def call_it(self, arguments: Arguments) -> Said:
        """What is said after run_remote, a plain function."""
        try:
            result = self._run(**arguments)
        except BaseException as wrong:  # noqa: BLE001  # as above
            return _broken(wrong)
        return self._written(result)

    def _written(self, result: object) -> Said:
        """
        A result as the answer's body.
        """
        try:
            return output(self._entrypoint.output(result))
        except BadOutput:
            return mistyped()
        except Exception as wrong:  # noqa: BLE001  # blamed as the server blames it: on itself
            return surprise(wrong)


def load_chain(text: str) -> Chain:
    """
    The chain of `FILE.py:Class` or `package.module:Class`. Raises BadSchema, also for what its constructor raises.
    """
    entrypoint = load_entrypoint(text)
    if entrypoint.gives is None:
        raise BadSchema(f"{text}: expected a run_remote that returns its output whole, found one that returns a stream")
    if entrypoint.given:
        raise BadSchema(
            f"{text}: the parameter {entrypoint.given[0]!r} of run_remote is the service's alone to fill in"
        )
    try:
        with redirect_stdout(sys.stderr), _local():
            instance = entrypoint.cls()
    except (Exception, SystemExit) as wrong:  # noqa: BLE001  # blamed: the user's constructor
        reason = " ".join(str(wrong).split())[:200]
        raise BadSchema(
            f"{text}: its constructor raised {type(wrong).__name__}{f': {reason}' if reason else ''}"
        ) from None
    return Chain(entrypoint, instance)


def _local() -> AbstractContextManager[object]:
    """
    What truss wants around the construction of a chain outside the service, where the user's module has imported it.
    """
    local = getattr(sys.modules.get("truss_chains"), "run_local", None)
    return cast(AbstractContextManager[object], local()) if local else nullcontext()


def _broken(wrong: BaseException) -> Said:
    """
    What is said to an exception out of run_remote; anything but an Exception ends the process of a chain.
    """
    if not isinstance(wrong, Exception):
        return lost()
    stack = traceback.extract_tb(wrong.__traceback__)
    return raised(wrong, dropwhile(lambda frame: frame.filename == __file__, stack))
