"""
The endpoint of a command: what `--target` names, or the emulator as a child process for whoever has no target.

No tool imports another. Whoever needs an emulator gets it as a process, by its command line and its one line of output.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from chainproof.command import TARGET_VARIABLE, Mistake
from chainproof.contract.credentials import DEFAULT_VARIABLE, EMULATOR_KEY, ApiKey, key_from_environment
from chainproof.contract.targets import Target, parse_target
from chainproof.processes import own_command

EMULATED_VARIABLE = "CHAINPROOF_EMULATED"
"""Set to 1 by the emulator beside `CHAINPROOF_TARGET` for a command it serves around: the target echoes and steers."""

_URL = re.compile(r"http://\S+")
_PATIENCE = 10.0
"""Seconds to wait for a connection, or for the emulator to end, before giving up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    A target with the key it takes.
    """

    target: Target
    key: ApiKey
    environment: Mapping[str, str] = field(repr=False)  # it holds the key
    """What a child process needs to find the same target and key."""


@contextmanager
def endpoint(
    url: str | None,
    variable: str = DEFAULT_VARIABLE,
    *,
    scenario: str = "warm",
    options: Sequence[str] = (),
) -> Iterator[Endpoint]:
    """
    The endpoint that a command is to use: *url*, else `$CHAINPROOF_TARGET`, else an emulator of *scenario* for as long
    as the context lasts, started with the further command-line *options*.

    Raises BadTarget, NoKey, or Mistake when nobody listens there.
    """
    wanted = url or os.environ.get(TARGET_VARIABLE)
    if wanted is None:
        with emulator(scenario, options=options) as emulated:
            yield emulated
        return
    told = url is None and os.environ.get(EMULATED_VARIABLE) == "1"
    target = parse_target(wanted, emulated=told)
    key = key_from_environment(variable)
    check_listening(target)
    yield _endpoint(target, key, variable)


@contextmanager
def emulator(scenario: str = "warm", *, options: Sequence[str] = ()) -> Iterator[Endpoint]:
    """
    An emulator as a child process, on a free port of loopback, for as long as the context lasts.

    Raises Mistake when it does not start.
    """
    arguments = own_command("emulator", scenario, "--until-eof", *options)
    # A session of its own: Ctrl-C at the terminal must not take the target away while a run drains.
    child = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        found = _URL.search(line)
        if found is None:
            raise Mistake(f"the embedded emulator did not start (exit code {child.wait(_PATIENCE)}); see above")
        yield _endpoint(parse_target(found.group(), emulated=True), ApiKey(EMULATOR_KEY), DEFAULT_VARIABLE)
    finally:
        _end(child)


def check_listening(target: Target) -> None:
    """
    Raise Mistake unless somebody takes a TCP connection at the target; nothing is sent.
    """
    try:
        socket.create_connection((target.host, target.port), timeout=_PATIENCE).close()
    except socket.gaierror as wrong:
        raise Mistake(f"cannot find the host {target.host} of {target.origin}: {wrong.strerror}") from None
    except OSError as wrong:
        why = "no answer within 10 s" if isinstance(wrong, TimeoutError) else (wrong.strerror or str(wrong)).lower()
        raise Mistake(f"nobody listens at {target.origin}: {why}; is the URL right and the server up?") from None


def _endpoint(target: Target, key: ApiKey, variable: str) -> Endpoint:
    """
    An endpoint, with the environment that leads a child to it.
    """
    environment = {TARGET_VARIABLE: target.origin, variable: key.reveal()}
    if target.emulated:
        environment[EMULATED_VARIABLE] = "1"
    return Endpoint(target=target, key=key, environment=environment)


def _end(child: subprocess.Popen[str]) -> None:
    """
    Let the emulator end as at its terminal's end; insist after a while.
    """
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
