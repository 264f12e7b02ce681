"""
The endpoint of a command: the target that the user named, or an emulator as a child process.

No tool imports another: the emulator is started by its command line, and its URL is read from its one line of output.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey, AuthScheme, load_key
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.redaction import EMULATOR_KEY, MIN_LENGTH, REDACTED_HEADER, redactor
from chainproof.contract.route import Address, Route, proxy_for
from chainproof.contract.target import Target, check_address, is_loopback, parse_target
from chainproof.errors import UsageError
from chainproof.options import TARGET_VARIABLE
from chainproof.processes import chainproof_command, piped_environment
from chainproof.results.manifest import RunSettings, as_settings
from chainproof.target_options import TargetOptions

EMULATED_VARIABLE = "CHAINPROOF_EMULATED"
"""Set to 1 by the emulator, next to `CHAINPROOF_TARGET`, for the command that it runs: the target echoes and can be steered."""

_PUBLIC_HEADERS = frozenset(
    "accept accept-charset accept-encoding accept-language cache-control content-language content-type from host "  # noqa: SIM905  # as strings, a line each
    "origin pragma prefer priority range referer te user-agent via".split()
)
"""Standard headers whose values are not secret: they may appear in any answer."""

_URL = re.compile(r"http://\S+")
_TIMEOUT = 10.0
"""Seconds to wait for a connection, or for the emulator to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A target, the route to it, and the API key it accepts."""

    target: Target
    key: ApiKey
    environment: Mapping[str, str] = field(repr=False)  # contains the key
    """The environment variables with which a child process finds the same target and key."""
    route: Route = field(default_factory=Route)
    fields: tuple[HeaderField, ...] = ()
    """Headers to add to every request."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may not be stored or shown: the key, and values of added headers that may be secrets."""
        values = (value for name, value in self.fields if name.lower() not in _PUBLIC_HEADERS)
        return (self.key.reveal(), *(value for value in values if len(value) >= MIN_LENGTH))

    def redact(self, text: str) -> str:
        """A text with the secrets replaced."""
        key, *values = self.secrets
        return redactor((key,)).redact(redactor(tuple(values), REDACTED_HEADER).redact(text))

    @property
    def settings(self) -> RunSettings:
        """The manifest's settings of the route, as far as they are not the defaults; never the values of headers."""
        settings: dict[str, object] = {
            "path_assumed": self.target.path_assumed or None,
            "auth_scheme": None if self.key.scheme is AuthScheme.API_KEY else self.key.scheme.value,
            "connect_to": self.route.connect_to and str(self.route.connect_to),
            "proxy": self.route.proxy and str(self.route.proxy.address),
            "ca_file": self.route.ca_file,
            "headers": [name for name, _ in self.fields] or None,
        }
        return as_settings(**{name: value for name, value in settings.items() if value is not None})


@contextmanager
def open_endpoint(
    requested: TargetOptions,
    *,
    scenario: str = "warm",
    options: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Endpoint]:
    """
    The endpoint to use: the requested target, else `$CHAINPROOF_TARGET`, else an emulator.

    An emulator is started with *scenario* and further command-line *options*, and ends with the context. Raises
    TargetError, ApiKeyError, or UsageError if the target accepts no connection.
    """
    url = requested.url or environment.get(TARGET_VARIABLE)
    if url == "":
        raise UsageError(f"expected a URL in {TARGET_VARIABLE}, found an empty text; unset it to use the emulator")
    if url is None:
        if requested.connect_to is not None or requested.ca_file is not None:
            raise UsageError("expected a target with --connect-to and --ca-file: the emulator needs neither")
        with start_emulator(scenario, options=options) as emulated:
            yield replace(emulated, key=ApiKey(EMULATOR_KEY, requested.auth_scheme), fields=requested.headers)
        return
    target, route = find_target(url, requested, environment)
    key = ApiKey(load_key(environment, requested.key_variable).reveal(), requested.auth_scheme)
    check_listening(target, route)
    yield _endpoint(target, key, requested.key_variable, route, requested.headers)


def find_target(url: str, requested: TargetOptions, environment: Mapping[str, str]) -> tuple[Target, Route]:
    """The target at a URL and the route there. Raises TargetError, or UsageError for options that cannot be used."""
    is_emulated = requested.url is None and environment.get(EMULATED_VARIABLE) == "1"
    if is_emulated and requested.connect_to is not None:
        raise UsageError(
            "expected --target, --chain-id or --model-id with --connect-to; --connect-to does not apply to the emulator"
        )
    if requested.ca_file is not None:
        _check_certificates(requested.ca_file)
    by_loopback = requested.connect_to is not None and is_loopback(requested.connect_to.host)
    target = parse_target(url, emulated=is_emulated, loopback=by_loopback)
    proxy = None if requested.connect_to is not None else proxy_for(target, environment)
    return target, Route(connect_to=requested.connect_to, ca_file=requested.ca_file, proxy=proxy)


def _check_certificates(path: str) -> None:
    """Raise UsageError unless a file contains certificates that TLS can trust."""
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"expected a PEM file of certificates with --ca-file, found {path!r}: {error.strerror}"
        ) from None


@contextmanager
def start_emulator(
    scenario: str = "warm", *, options: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Iterator[Endpoint]:
    """
    An emulator as a child process on a free loopback port, until the context ends.

    It gets no variable of this process that may be a secret; *variables* are those that a chain of the user's own needs.
    Raises UsageError if it does not start.
    """
    arguments = chainproof_command("emulator", scenario, "--until-eof", *options)
    # In its own session, so that Ctrl-C at the terminal does not end the target while a run drains.
    child = subprocess.Popen(
        arguments,
        env={**piped_environment(), **(variables or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        match = _URL.search(line)
        if match is None:
            raise UsageError(f"the emulator did not start (exit code {child.wait(_TIMEOUT)}); see above")
        yield _endpoint(parse_target(match.group(), emulated=True), ApiKey(EMULATOR_KEY), DEFAULT_KEY_VARIABLE)
    finally:
        _stop_emulator(child)


def check_listening(target: Target, route: Route) -> None:
    """
    Raise UsageError unless a TCP connection on the route to the target can be opened; nothing is sent.

    Over plain http it has to lead to a loopback address: a name server may give names below localhost any address.
    """
    hop = route.first_hop(target)
    where = target.origin if hop == Address(target.host, target.port) else f"{hop}, on the way to {target.origin}"
    try:
        with socket.create_connection((hop.host, hop.port), timeout=_TIMEOUT) as connection:
            reached = str(connection.getpeername()[0])
    except socket.gaierror as error:
        raise UsageError(
            f"cannot find the host of {where}: {(error.strerror or str(error)).lower()}; is the URL right?"
        ) from None
    except OSError as error:
        why = "no answer within 10 s" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        raise UsageError(f"cannot connect to {where}: {why}; is the URL right and the server running?") from None
    check_address(target, reached)


def tls_error_text(error: ssl.SSLError) -> str:
    """Why a TLS handshake failed, in a few words."""
    text = (error.reason or "end of file").lower().replace("_", " ")
    return (
        f"{text} (the server does not speak TLS on this port: for plain http, which only loopback addresses may use, write http://)"
        if error.reason in _NOT_TLS
        else text
    )


_NOT_TLS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
"""What versions of OpenSSL call an answer that is not TLS."""


def _endpoint(
    target: Target, key: ApiKey, variable: str, route: Route | None = None, fields: tuple[HeaderField, ...] = ()
) -> Endpoint:
    """An endpoint, with the environment in which a child process finds it."""
    environment = {TARGET_VARIABLE: target.url, variable: key.reveal()}
    if target.emulated:
        environment[EMULATED_VARIABLE] = "1"
    return Endpoint(
        target=target, key=key, environment=environment, route=route if route is not None else Route(), fields=fields
    )


def _stop_emulator(child: subprocess.Popen[str]) -> None:
    """Close the emulator's standard input, which ends it; kill it if it does not end in time."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
