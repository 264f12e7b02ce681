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
from dataclasses import dataclass, field, replace

from chainproof.command import TARGET_VARIABLE, TargetOptions
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, EMULATOR_KEY, ApiKey, AuthScheme, load_key
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.route import Address, Route, proxy_for
from chainproof.contract.target import Target, is_loopback, parse_target
from chainproof.errors import UsageError
from chainproof.processes import chainproof_command
from chainproof.results.manifest import RunSettings, as_settings

EMULATED_VARIABLE = "CHAINPROOF_EMULATED"
"""Set to 1 by the emulator beside `CHAINPROOF_TARGET` for a command it serves around: the target echoes and steers."""

_URL = re.compile(r"http://\S+")
_PATIENCE = 10.0
"""Seconds to wait for a connection, or for the emulator to end, before giving up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    A target, the way there, and the key it takes.
    """

    target: Target
    key: ApiKey
    environment: Mapping[str, str] = field(repr=False)  # it holds the key
    """What a child process needs to find the same target and key."""
    route: Route = field(default_factory=Route)
    fields: tuple[HeaderField, ...] = ()
    """Header fields to send along with every request."""

    @property
    def settings(self) -> RunSettings:
        """What a manifest says of the way to the target where it is not the plain one; values of fields stay out."""
        said: dict[str, object] = {
            "path_assumed": self.target.path_assumed or None,
            "auth_scheme": None if self.key.scheme is AuthScheme.API_KEY else self.key.scheme.value,
            "connect_to": self.route.connect_to and str(self.route.connect_to),
            "proxy": self.route.proxy and str(self.route.proxy.address),
            "ca_file": self.route.ca_file,
            "headers": [name for name, _ in self.fields] or None,
        }
        return as_settings(**{name: value for name, value in said.items() if value is not None})


@contextmanager
def open_endpoint(
    asked: TargetOptions,
    *,
    scenario: str = "warm",
    options: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Endpoint]:
    """
    The endpoint that a command is to use: what was asked for, else `$CHAINPROOF_TARGET`, else an emulator of *scenario*
    for as long as the context lasts, started with the further command-line *options*.

    Raises TargetError, ApiKeyError, or UsageError when nobody listens there.
    """
    url = asked.url or environment.get(TARGET_VARIABLE)
    if url == "":
        raise UsageError(f"expected a URL in {TARGET_VARIABLE}, found an empty text; unset it to use the emulator")
    if url is None:
        if asked.connect_to is not None or asked.ca_file is not None:
            raise UsageError("expected a target with --connect-to and --ca-file: the emulator needs neither")
        with start_emulator(scenario, options=options) as emulated:
            yield replace(emulated, key=ApiKey(EMULATOR_KEY, asked.scheme), fields=asked.fields)
        return
    told = asked.url is None and environment.get(EMULATED_VARIABLE) == "1"
    if told and asked.connect_to is not None:
        raise UsageError(
            "expected --target, --chain-id or --model-id with --connect-to: whose URL are the bytes to carry?"
        )
    by_loopback = asked.connect_to is not None and is_loopback(asked.connect_to.host)
    target = parse_target(url, emulated=told, loopback=by_loopback)
    key = ApiKey(load_key(environment, asked.variable).reveal(), asked.scheme)
    proxy = None if asked.connect_to is not None else proxy_for(target, environment)
    route = Route(connect_to=asked.connect_to, ca_file=asked.ca_file, proxy=proxy)
    check_listening(target, route)
    yield _endpoint(target, key, asked.variable, route, asked.fields)


@contextmanager
def start_emulator(scenario: str = "warm", *, options: Sequence[str] = ()) -> Iterator[Endpoint]:
    """
    An emulator as a child process, on a free port of loopback, for as long as the context lasts.

    Raises UsageError when it does not start.
    """
    arguments = chainproof_command("emulator", scenario, "--until-eof", *options)
    # A session of its own: Ctrl-C at the terminal must not take the target away while a run drains.
    child = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        found = _URL.search(line)
        if found is None:
            raise UsageError(f"the embedded emulator did not start (exit code {child.wait(_PATIENCE)}); see above")
        yield _endpoint(parse_target(found.group(), emulated=True), ApiKey(EMULATOR_KEY), DEFAULT_KEY_VARIABLE)
    finally:
        _end(child)


def check_listening(target: Target, route: Route) -> None:
    """
    Raise UsageError unless somebody takes a TCP connection on the way to the target; nothing is sent.
    """
    hop = route.first_hop(target)
    where = target.origin if hop == Address(target.host, target.port) else f"{hop}, on the way to {target.origin}"
    try:
        socket.create_connection((hop.host, hop.port), timeout=_PATIENCE).close()
    except socket.gaierror as wrong:
        raise UsageError(f"cannot find the host of {where}: {(wrong.strerror or str(wrong)).lower()}") from None
    except OSError as wrong:
        why = "no answer within 10 s" if isinstance(wrong, TimeoutError) else (wrong.strerror or str(wrong)).lower()
        raise UsageError(f"nobody listens at {where}: {why}; is the URL right and the server up?") from None


def _endpoint(
    target: Target, key: ApiKey, variable: str, route: Route | None = None, fields: tuple[HeaderField, ...] = ()
) -> Endpoint:
    """
    An endpoint, with the environment that leads a child to it.
    """
    environment = {TARGET_VARIABLE: target.url, variable: key.reveal()}
    if target.emulated:
        environment[EMULATED_VARIABLE] = "1"
    return Endpoint(
        target=target, key=key, environment=environment, route=route if route is not None else Route(), fields=fields
    )


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
