"""
`chainproof emulator [SCENARIO] [-- COMMAND …]`: serve, or serve around a command.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from chainproof.command import TARGET_VARIABLE, add_contract_option, build_parser, command
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, EMULATOR_KEY, ApiKey, load_key_from_environment
from chainproof.contract.target import is_loopback
from chainproof.endpoint import EMULATED_VARIABLE
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.linux import end_with_parent

from .chain.chain import load_chain
from .decision import EmulatorConfig
from .faults import FAULTS
from .faults.hooks import FaultHook
from .faults.variants import VARIANTS
from .scenario import Scenario, builtin_scenarios, find_scenario
from .server import StartedCallback, Stop, new_request_id_prefix, serve
from .transport.access_log import AccessLog
from .transport.connection import listening_socket

_DESCRIPTION = """\
A server on loopback that answers POST /production/run_remote as a faithful chain would: it authenticates, takes JSON
objects, and returns its input. Prints one line with its URL once it listens, and serves until SIGINT, SIGTERM, or the
end of its standard input with --until-eof. With a command behind --, it serves for as long as that runs."""

ServeFunction = Callable[[StartedCallback], None]
"""The server, but for what is done once it listens."""


@command("emulator")
def main(arguments: Sequence[str]) -> int:
    """
    Serve, alone or around a command; the exit code is 0 or the command's.
    """
    own, around = _split(list(arguments))
    options = _options().parse_args(own)
    if options.list_faults or options.list_variants:
        print(_faults() if options.list_faults else _variants())
        return ExitCode.PASS
    if around is not None and options.until_eof:
        raise UsageError(
            "expected --until-eof or a command behind --, found both: the command needs the standard input"
        )
    scenario = find_scenario(options.scenario)
    chain = load_chain(options.chain) if options.chain else None
    hook = _bend(options.fault, options.variant)
    if hook is not None and chain is not None:
        raise UsageError("expected --chain or a --fault or --variant, found both: they bend the echo chain alone")
    if options.predict_concurrency is not None:
        scenario = replace(scenario, predict_concurrency=options.predict_concurrency)
    config = EmulatorConfig(
        scenario=scenario,
        key=load_key_from_environment(options.api_key_env) if options.api_key_env else ApiKey(EMULATOR_KEY),
        request_id_prefix=new_request_id_prefix(),
        seed=options.seed,
        contract=options.contract,
        steering=not options.no_steering,
        has_chain=chain is not None,
    )
    bent = options.fault or options.variant
    with _listening(options.host, options.port) as sock:
        origin = _origin(sock)
        of = "".join(f", {one}" for one in (options.chain, bent) if one)
        line = f"chainproof emulator: {scenario.name}{of} at {origin}"
        serving = partial(serve, config, sock, _truth(options.access_log), chain=chain, hook=hook)
        told = partial(print, line, flush=True, file=sys.stdout if around is None else sys.stderr)
        _raise_descriptor_limit()
        with redirect_stdout(sys.stderr):  # stdout is for our one line, or the command's: not for what a chain prints
            if around is None:
                _serve_alone(serving, told, until_eof=options.until_eof)
                return ExitCode.PASS
            told()
            return _serve_around(around, serving, _found(origin, config))


def _found(origin: str, config: EmulatorConfig) -> dict[str, str]:
    """
    What a command finds in its environment: the target, its key, and whether it is the emulator's own echo chain.
    """
    return {
        TARGET_VARIABLE: origin,
        DEFAULT_KEY_VARIABLE: config.key.reveal(),
        EMULATED_VARIABLE: "0" if config.has_chain else "1",
    }


def _bend(fault: str | None, variant: str | None) -> FaultHook | None:
    """
    What bends the endpoint, if anything does. Raises UsageError.
    """
    if fault and variant:
        raise UsageError("expected --fault or --variant, found both")
    if fault and fault not in FAULTS:
        raise UsageError(f"expected one of those of --list-faults, found {fault!r}{_near(fault, FAULTS)}")
    if variant and variant not in VARIANTS:
        raise UsageError(f"expected one of those of --list-variants, found {variant!r}{_near(variant, VARIANTS)}")
    return FAULTS[fault].hook if fault else VARIANTS[variant].hook if variant else None


def _near(name: str, names: Iterable[str]) -> str:
    """
    The name that may have been meant, in brackets.
    """
    return "".join(f" (did you mean {near}?)" for near in get_close_matches(name, names, n=1))


def _faults() -> str:
    """
    Every fault: name, stage, the clauses that it breaks, what it does.
    """
    rows = [
        (
            each.name,
            each.stage,
            ", ".join(clause.id for clause in (each.violates, *each.also_violates)),
            each.description,
        )
        for each in FAULTS.values()
    ]
    return _lines([("NAME", "STAGE", "CLAUSES", "WHAT IT DOES"), *rows])


def _variants() -> str:
    """
    Every variant: name, what it does, why that is legal.
    """
    rows = [(each.name, each.description, each.allowed_by) for each in VARIANTS.values()]
    return _lines([("NAME", "WHAT IT DOES", "WHY IT IS LEGAL"), *rows])


def _lines(rows: Sequence[Sequence[str]]) -> str:
    """
    Rows in columns, the last as wide as it is.
    """
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    )


def _split(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """
    The emulator's own arguments, and the command behind the first `--`, if there is one.
    """
    if "--" not in arguments:
        return arguments, None
    at = arguments.index("--")
    if at + 1 == len(arguments):
        raise UsageError("expected a command behind --, found nothing")
    return arguments[:at], arguments[at + 1 :]


def _options() -> argparse.ArgumentParser:
    """
    What the command line may say.
    """
    options = build_parser("emulator", _DESCRIPTION, _epilog(builtin_scenarios()))
    options.usage = "chainproof emulator [SCENARIO] [OPTIONS] [-- COMMAND …]"
    options.add_argument(
        "scenario", nargs="?", default="warm", metavar="SCENARIO", help="one of those below, or the path of a TOML file"
    )
    options.add_argument("--host", default="127.0.0.1", help="the loopback address to listen on (default: %(default)s)")
    options.add_argument("--port", type=_port, default=0, help="the port to listen on (default: a free one)")
    options.add_argument(
        "--seed", type=int, default=0, help="the same seed gives the n-th request the same outcome and service time"
    )
    options.add_argument(
        "--chain",
        metavar="FILE.py:CLASS",
        help="answer with the run_remote of your own class, also as package.module:CLASS, in place of the echo",
    )
    options.add_argument(
        "--predict-concurrency",
        type=_count,
        metavar="N",
        help="requests that --chain works on at once (default: the scenario's, or 1)",
    )
    options.add_argument("--fault", metavar="NAME", help="break one clause in one way; see --list-faults")
    options.add_argument("--list-faults", action="store_true", help="show every fault and the clauses that it breaks")
    options.add_argument("--variant", metavar="NAME", help="behave oddly, but legally; see --list-variants")
    options.add_argument("--list-variants", action="store_true", help="show every variant and why it is legal")
    options.add_argument("--access-log", metavar="FILE", type=Path, help="one JSON line for each request answered")
    options.add_argument("--no-steering", action="store_true", help="take no notice of X-Emulate")
    add_contract_option(options)
    options.add_argument(
        "--api-key-env",
        metavar="NAME",
        help=f"accept the key in this environment variable instead of the throw-away key {EMULATOR_KEY}",
    )
    options.add_argument("--until-eof", action="store_true", help="end when the standard input ends")
    return options


def _epilog(scenarios: dict[str, Scenario]) -> str:
    """
    The scenarios, and what steers, for `--help`.
    """
    width = max(map(len, scenarios))
    lines = [f"  {name:<{width}}  {scenario.description}" for name, scenario in scenarios.items()]
    return "\n".join(
        [
            "scenarios:",
            *lines,
            "",
            "A request asks for an outcome with `X-Emulate: CODE`, `X-Emulate: CODE STATUS` or `X-Emulate: ok`.",
            f"A command behind -- finds {TARGET_VARIABLE}, {EMULATED_VARIABLE}=1 and {DEFAULT_KEY_VARIABLE} in its environment,",
            "is sent SIGINT and SIGTERM on, and lends its exit code (128 + n when signal n ended it).",
            "Asked to stop, the emulator exits 0.",
        ]
    )


def _port(text: str) -> int:
    """
    A port number, for argparse.
    """
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port between 0 and 65535, found {text!r}")
    return int(text)


def _count(text: str) -> int:
    """
    A number of requests, for argparse.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number, at least 1, found {text!r}")
    return int(text)


def _listening(host: str, port: int) -> socket.socket:
    """
    The socket to serve on. Raises UsageError.
    """
    if not is_loopback(host):
        raise UsageError(f"expected a loopback address for --host, such as 127.0.0.1 or ::1, found {host!r}")
    try:
        return listening_socket(host, port)
    except OSError as wrong:
        why = (wrong.strerror or str(wrong)).lower()
        raise UsageError(f"cannot listen on {host} port {port}: {why}; try another --port, or none") from None


def _origin(sock: socket.socket) -> str:
    """
    The URL of a listening socket.
    """
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _truth(path: Path | None) -> AccessLog:
    """
    The file of truth. Raises UsageError.
    """
    try:
        return AccessLog(path)
    except OSError as wrong:
        raise UsageError(f"cannot write --access-log {path}: {wrong.strerror}") from None


def _raise_descriptor_limit() -> None:
    """
    Allow as many connections as the system lets us: the usual 1024 is less than a load test opens.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _serve_alone(serving: ServeFunction, told: Callable[[], None], *, until_eof: bool) -> None:
    """
    Serve until told to stop; *told* tells that we listen.
    """

    def begun(loop: asyncio.AbstractEventLoop, stop: Stop) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if until_eof:
            _when(_stdin_ended, loop, stop)
        told()

    serving(begun)


def _serve_around(around: list[str], serving: ServeFunction, found: dict[str, str]) -> int:
    """
    Serve for as long as a command runs, which has *found* in its environment; its exit code.
    """
    environment = {**os.environ, **found}
    children: list[subprocess.Popen[bytes]] = []

    def begun(loop: asyncio.AbstractEventLoop, stop: Stop) -> None:
        # The handlers first: a signal that arrives while the child starts must not end us and leave it behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _forward, number, children)
        children.append(_started(around, environment))
        _when(children[0].wait, loop, stop)

    serving(begun)
    code = children[0].wait()
    return 128 - code if code < 0 else code


def _started(around: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """
    The command, running. Raises UsageError when there is no such command.
    """
    try:
        return subprocess.Popen(around, env=environment, preexec_fn=end_with_parent)  # noqa: PLW1509  # one system call
    except OSError as wrong:
        raise UsageError(f"cannot run the command {around[0]!r}: {(wrong.strerror or str(wrong)).lower()}") from None


def _forward(number: signal.Signals, children: list[subprocess.Popen[bytes]]) -> None:
    """
    Send a signal on to the command, unless it got the same one from the terminal.
    """
    if number == signal.SIGINT and _terminal_tells_both():
        return
    for child in children:
        child.send_signal(number)


def _terminal_tells_both() -> bool:
    """
    Whether Ctrl-C at our terminal reaches the command as well: it is told to the whole foreground process group.
    """
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
    """
    Wait for the end of the standard input.
    """
    while os.read(0, 4096):
        pass


def _when(over: Callable[[], object], loop: asyncio.AbstractEventLoop, stop: Stop) -> None:
    """
    Stop as soon as a blocking call returns. It waits in a thread: neither files nor children can be polled everywhere.
    """

    def wait() -> None:
        try:
            over()
        finally:
            loop.call_soon_threadsafe(stop)

    threading.Thread(target=wait, daemon=True).start()
