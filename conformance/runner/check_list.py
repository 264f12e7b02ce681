"""What `chainproof conformance --list` prints: the checks, their clauses, and what each needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import groupby
from operator import attrgetter
from typing import NoReturn

from chainproof.contract.credentials import ApiKey
from chainproof.contract.target import Target

from ..checks import Check
from ..inputs.chain_inputs import ChainInputs
from ..inputs.chain_schema import ChainSchema
from ..judging.finding_recorder import FindingRecorder
from ..options import Settings
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.client import Client

_REMOTE = Target(scheme="https", host="target.invalid", port=443)
_LOCAL = Target(scheme="http", host="127.0.0.1", port=80)


def check_list(settings: Settings, chain_schema: ChainSchema, checks: Iterable[Check]) -> str:
    """The checks by module, each with its clauses and with what it needs besides the options given. Sends nothing."""
    return "\n".join(_lines(settings, chain_schema, checks))


def _lines(settings: Settings, chain_schema: ChainSchema, checks: Iterable[Check]) -> Iterator[str]:
    """The lines of the list."""
    for module, members in groupby(checks, key=attrgetter("module")):
        yield module
        for check in members:
            yield f"  {check.name}"
            yield f"      clauses  {', '.join(clause.id for clause in check.clauses)}"
            reason = skip_reason(check, settings, chain_schema)
            if reason:
                yield f"      needs    {reason.removeprefix('needs ')}"


def skip_reason(
    check: Check,
    settings: Settings,
    chain_schema: ChainSchema,
    *,
    is_remote: bool = True,
    inputs: ChainInputs | None = None,
) -> str:
    """
    Why a check would be skipped for a target with these settings, before it sends a request; empty if it would not.

    *inputs* are what is known of the inputs that the chain accepts, if it was asked.
    """
    key = ApiKey("listed.key")
    requester = Requester(
        _silent_client(_REMOTE if is_remote else _LOCAL),
        FindingRecorder(None, _REMOTE, 0),
        key=key,
        settings=replace(settings, seed=0),
        chain_schema=chain_schema,
    )
    if inputs is not None:
        requester.use_inputs(inputs)
    elif (
        chain_schema.input_schema is not None or chain_schema.payloads
    ):  # the target will be asked whether it accepts them
        requester.use_inputs(replace(requester.inputs, is_accepted=True))
    try:
        check.run(requester)
    except CheckSkipped as reason:
        return str(reason)
    except _WouldSend:
        pass
    return ""


@cache
def _silent_client(target: Target) -> _SilentClient:
    """One client for all checks: each would read the certificates of the system again."""
    return _SilentClient(target)


class _WouldSend(BaseException):
    """A check gets as far as its first request. No Exception, so that nothing between the check and the list catches it."""


class _SilentClient(Client):
    """A client that raises _WouldSend in place of sending."""

    def send(self, *arguments: object, **options: object) -> NoReturn:
        """Raise _WouldSend."""
        del arguments, options
        raise _WouldSend

    def open_raw_connection(self, *arguments: object, **options: object) -> NoReturn:
        """Raise _WouldSend."""
        del arguments, options
        raise _WouldSend
