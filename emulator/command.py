"""`chainproof emulator [SCENARIO] [-- COMMAND …]`: serve until stopped, or while a command runs."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chainproof.command import build_parser, command
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey, load_key_from_environment
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.contract.target import is_loopback
from chainproof.endpoint import EMULATED_VARIABLE
from chainproof.errors import UsageError, closest
from chainproof.judgement.verdict import ExitCode
from chainproof.linux import end_with_parent
from chainproof.options import TARGET_VARIABLE
from chainproof.processes import allow_open_files
from chainproof.signals import signals_deferred, signals_to_handle

from .decision import EmulatorConfig
from .faults import FAULTS
from .faults.hooks import FaultHook
from .faults.variants import VARIANTS
from .options import OPTIONS
from .scenario import Scenario, builtin_scenarios, find_scenario
from .server import StartedCallback, Stop, new_request_id_prefix, serve
from .transport.access_log import AccessLog
from .transport.connection import listening_socket

if TYPE_CHECKING:
    from .chain.chain import UserChain

_DESCRIPTION = """\
Emulate a chain on loopback. POST /production/run_remote requires the API key and a JSON object, and returns that object.
The emulator prints its URL once it accepts connections, and serves until SIGINT, SIGTERM, SIGHUP or, with --until-eof, the end of
standard input. With a command after --, it serves until that command exits."""

_MIN_OPEN_FILES = 100
"""A load test opens far more connections than the usual limit of 1024 permits; fewer than these are of no use."""

ServeFunction = Callable[[StartedCallback], None]
"""Serves until stopped; takes the callback for the start."""


@command("emulator")
def main(arguments: Sequence[str]) -> int:
    """Serve until stopped, or while a command runs. Returns 0, or the exit code of the command."""
    emulator_arguments, child_command = _split_arguments(list(arguments))
    options = _parser().parse_args(emulator_arguments)
    if options.list_faults or options.list_variants:
        print(_fault_list() if options.list_faults else _variant_list())
        return ExitCode.PASS
    if child_command is not None and options.until_eof:
        raise UsageError("expected --until-eof or a command after --, found both: the command uses standard input")
    scenario = find_scenario(options.scenario)
    if options.predict_concurrency is not None:
        scenario = replace(scenario, predict_concurrency=options.predict_concurrency)
    chain = _chain(options.chain) if options.chain else None
    hook = _fault_hook(options.fault, options.variant)
    config = _config(options, scenario, has_chain=chain is not None)
    with _listening_socket(options.host, options.port) as sock:
        serve_until_stopped = partial(serve, config, sock, _access_log(options.access_log), chain=chain, hook=hook)
        details = "".join(f", {name}" for name in (options.chain, options.fault, options.variant) if name)
        line = f"chainproof emulator: {scenario.name}{details} at {_origin(sock)}"
        print_url = partial(print, line, flush=True, file=sys.stdout if child_command is None else sys.stderr)
        allow_open_files(_MIN_OPEN_FILES)
        with redirect_stdout(sys.stderr):  # stdout belongs to the URL line or to the command; a chain prints to stderr
            if child_command is None:
                _serve_alone(serve_until_stopped, print_url, until_eof=options.until_eof)
                return ExitCode.PASS
            print_url()
            return _serve_while_running(child_command, serve_until_stopped, _child_environment(_origin(sock), config))


def _config(options: argparse.Namespace, scenario: Scenario, *, has_chain: bool) -> EmulatorConfig:
    """The configuration of the server. Raises ApiKeyError."""
    return EmulatorConfig(
        scenario=scenario,
        key=load_key_from_environment(options.api_key_env) if options.api_key_env else ApiKey(EMULATOR_KEY),
        request_id_prefix=new_request_id_prefix(),
        seed=options.seed,
        contract=options.contract,
        steering=not options.no_steering,
        has_chain=has_chain,
    )


def _child_environment(origin: str, config: EmulatorConfig) -> dict[str, str]:
    """The environment variables for a command: the target, its key, and whether the target is the echo chain."""
    return {
        TARGET_VARIABLE: origin,
        DEFAULT_KEY_VARIABLE: config.key.reveal(),
        EMULATED_VARIABLE: "0" if config.has_chain else "1",
    }


def _fault_hook(fault: str | None, variant: str | None) -> FaultHook | None:
    """The hook of the chosen fault or variant, if any. Raises UsageError."""
    if fault and variant:
        raise UsageError("expected --fault or --variant, found both")
    if fault and fault not in FAULTS:
        raise UsageError(f"expected a name shown by --list-faults, found {fault!r}{closest(fault, FAULTS)}")
    if variant and variant not in VARIANTS:
        raise UsageError(f"expected a name shown by --list-variants, found {variant!r}{closest(variant, VARIANTS)}")
    return FAULTS[fault].hook if fault else VARIANTS[variant].hook if variant else None


def _fault_list() -> str:
    """A table of the faults."""
    rows = [
        (
            each.name,
            each.stage,
            ", ".join(clause.id for clause in (each.violates, *each.also_violates)),
            each.description,
        )
        for each in FAULTS.values()
    ]
    return _table([("NAME", "STAGE", "CLAUSES", "BEHAVIOUR"), *rows])


def _variant_list() -> str:
    """A table of the variants."""
    rows = [(each.name, each.description, each.allowed_by) for each in VARIANTS.values()]
    return _table([("NAME", "BEHAVIOUR", "ALLOWED BY"), *rows])


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in aligned columns."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    )


def _chain(text: str) -> UserChain:
    """The user's chain. Raises UsageError."""
    with signals_deferred():
        from .chain.chain import load_chain  # noqa: PLC0415  # pydantic takes as long to import as the rest of the emulator

    return load_chain(text)


def _split_arguments(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """The emulator's own arguments, and the command after the first `--`, if any."""
    if "--" not in arguments:
        return arguments, None
    index = arguments.index("--")
    if index + 1 == len(arguments):
        raise UsageError("expected a command after --, found nothing")
    return arguments[:index], arguments[index + 1 :]


def _parser() -> argparse.ArgumentParser:
    """The parser of the emulator's arguments."""
    parser = build_parser("emulator", _DESCRIPTION, _epilog(builtin_scenarios()), options=OPTIONS)
    parser.usage = "chainproof emulator [SCENARIO] [OPTIONS] [-- COMMAND …]"
    return parser


def _epilog(scenarios: dict[str, Scenario]) -> str:
    """The scenarios and further explanations for `--help`."""
    width = max(map(len, scenarios))
    lines = [f"  {name:<{width}}  {scenario.description}" for name, scenario in scenarios.items()]
    return "\n".join(
        [
            "scenarios:",
            *lines,
            "",
            "A request chooses its outcome with `X-Emulate: CODE`, `X-Emulate: CODE STATUS` or `X-Emulate: ok`.",
            f"A command after -- has {TARGET_VARIABLE}, {EMULATED_VARIABLE} and {DEFAULT_KEY_VARIABLE} in its environment and",
            "receives SIGINT, SIGTERM and SIGHUP. The emulator exits with its exit code (128 + n if signal n ended it).",
            "Without a command, the emulator exits 0 when it is stopped.",
        ]
    )


def _listening_socket(host: str, port: int) -> socket.socket:
    """The socket to serve on. Raises UsageError."""
    if not is_loopback(host):
        raise UsageError(f"expected a loopback address for --host, such as 127.0.0.1 or ::1, found {host!r}")
    try:
        return listening_socket(host, port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot listen on {host} port {port}: {reason}; choose another --port, or omit it") from None


def _origin(sock: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _access_log(path: Path | None) -> AccessLog:
    """The access log. Raises UsageError."""
    try:
        return AccessLog(path)
    except OSError as error:
        raise UsageError(f"cannot write --access-log {path}: {error.strerror}") from None


def _serve_alone(serve_until_stopped: ServeFunction, print_url: Callable[[], None], *, until_eof: bool) -> None:
    """Serve until a signal arrives or, with *until_eof*, standard input ends."""

    def on_started(loop: asyncio.AbstractEventLoop, stop: Stop) -> None:
        for signal_number in signals_to_handle():
            loop.add_signal_handler(signal_number, stop)
        if until_eof:
            _stop_after(_stdin_ended, loop, stop)
        print_url()

    serve_until_stopped(on_started)


def _serve_while_running(
    child_command: list[str], serve_until_stopped: ServeFunction, environment: dict[str, str]
) -> int:
    """Serve while a command runs, with *environment* added to its environment. Returns its exit code."""
    environment = {**os.environ, **environment}
    children: list[subprocess.Popen[bytes]] = []

    def on_started(loop: asyncio.AbstractEventLoop, stop: Stop) -> None:
        # Install the handlers first: a signal during the start of the child must not end the emulator and orphan the child.
        for signal_number in signals_to_handle():
            loop.add_signal_handler(signal_number, _forward, signal_number, children)
        children.append(_start_child(child_command, environment))
        _stop_after(children[0].wait, loop, stop)

    serve_until_stopped(on_started)
    code = children[0].wait()
    return 128 - code if code < 0 else code


def _start_child(child_command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """The started command. Raises UsageError if it cannot be started."""
    try:
        return subprocess.Popen(child_command, env=environment, preexec_fn=end_with_parent)  # noqa: PLW1509  # one system call
    except OSError as error:
        raise UsageError(
            f"cannot run the command {child_command[0]!r}: {(error.strerror or str(error)).lower()}"
        ) from None


def _forward(signal_number: signal.Signals, children: list[subprocess.Popen[bytes]]) -> None:
    """Forward a signal to the command, unless the terminal sends it to the command as well."""
    if signal_number == signal.SIGINT and _terminal_signals_child():
        return
    for child in children:
        child.send_signal(signal_number)


def _terminal_signals_child() -> bool:
    """Whether Ctrl-C in the terminal reaches the command too, as part of the foreground process group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _stdin_ended() -> None:
    """Wait for the end of standard input."""
    while os.read(0, 4096):
        pass


def _stop_after(wait_for: Callable[[], object], loop: asyncio.AbstractEventLoop, stop: Stop) -> None:
    """Stop the server when a blocking call returns. Waits in a thread: not every file or child can be polled."""

    def wait() -> None:
        try:
            wait_for()
        finally:
            loop.call_soon_threadsafe(stop)

    threading.Thread(target=wait, daemon=True).start()
