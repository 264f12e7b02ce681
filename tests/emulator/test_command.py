from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from chainproof.contract.redaction import EMULATOR_KEY

from ..processes import run_process
from ..waiting import PATIENCE

EMULATOR = [sys.executable, "-m", "chainproof", "emulator"]
LINE = re.compile(r"chainproof emulator: ([\w-]+) at http://(127\.0\.0\.1|\[::1\]):\d+\n")


def run_emulator(*arguments: str, **options):
    """The completed emulator process."""
    return subprocess.run(
        [*EMULATOR, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


@contextmanager
def start_emulator_process(*arguments: str, **options):
    """The running emulator process, and its first line."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True, **options}
    with subprocess.Popen([*EMULATOR, *arguments], **options) as child:
        try:
            yield child, child.stdout.readline()
        finally:
            child.kill()


def send_request(line: str, key: str = EMULATOR_KEY, **headers: str) -> int:
    """The status of one valid request to the URL in a line."""
    connection = http.client.HTTPConnection(line.split("//")[1].strip(), timeout=PATIENCE)
    headers = {"Authorization": f"Api-Key {key}", "Content-Type": "application/json", **headers}
    connection.request("POST", "/production/run_remote", b"{}", headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_prints_url_and_stops_on_signal(number):
    """SIGINT and SIGTERM end the emulator with exit code 0, even while a request is being received."""
    with (
        start_emulator_process() as (child, line),
        socket.create_connection(("127.0.0.1", int(line.rsplit(":", 1)[1]))) as idle,
    ):
        assert 200 == send_request(line)
        idle.sendall(b"POST ")
        child.send_signal(number)
        assert (0, "", "") == (child.wait(PATIENCE), child.stdout.read(), child.stderr.read())

    assert LINE.fullmatch(line)


def test_until_eof_ends_with_standard_input():
    """With --until-eof, the emulator exits when its standard input is closed."""
    with start_emulator_process("--until-eof", stdin=subprocess.PIPE) as (child, line):
        assert 200 == send_request(line)
        child.stdin.close()
        assert 0 == child.wait(PATIENCE)


def test_key_comes_from_environment_variable():
    """With --api-key-env, only the key in that variable is accepted."""
    with start_emulator_process("--api-key-env", "MINE", env={**os.environ, "MINE": "abc.def"}) as (_, line):
        assert (200, 401) == (send_request(line, "abc.def"), send_request(line))


def test_serves_on_ipv6():
    """The IPv6 loopback address is accepted."""
    with start_emulator_process("--host", "::1") as (_, line):
        assert LINE.fullmatch(line)
        assert 200 == send_request(line)


def test_options_change_answers():
    """--no-steering and --contract change answers."""
    with start_emulator_process("--no-steering") as (_, line):
        assert 200 == send_request(line, **{"X-Emulate": "timeout"})
    with start_emulator_process("--contract", "documented") as (_, line):
        assert (504, 403) == (send_request(line, **{"X-Emulate": "timeout"}), send_request(line, "wrong"))


def test_help_lists_scenarios():
    """--help lists every scenario with its description, and the exit codes."""
    text = run_emulator("--help").stdout

    assert all(f"  {name} " in text for name in ("instant", "warm", "flaky", "rate-limited", "slow-tail"))
    assert "exit codes:" in text
    assert "X-Emulate" in text


USAGE_ERRORS = {
    "an unknown scenario": (["lukewarm"], "expected one of flaky, instant, rate-limited, slow-tail, warm"),
    "all interfaces": (["--host", "0.0.0.0"], "expected a loopback address"),
    "a remote host": (["--host", "example.com"], "expected a loopback address"),
    "no key": (["--api-key-env", "NO_SUCH_VARIABLE"], "no API key"),
    "an option with a new name": (["--truth", "log"], "use --access-log"),
    "no command": (["--"], "expected a command after --"),
    "an unknown command": (["--", "no-such-command-anywhere"], "cannot run the command 'no-such-command-anywhere'"),
    "a command that is a folder": (["--", "/"], "cannot run the command '/'"),
    "two readers of standard input": (["--until-eof", "--", "true"], "found both"),
    "an access log in no folder": (["--access-log", "/no/such/folder/file"], "cannot write --access-log"),
    "a port beyond ports": (["--port", "65536"], "expected a port between 0 and 65535"),
    "an unknown option": (["--colour", "red"], "unknown option --colour"),
}


@pytest.mark.parametrize(("arguments", "words"), USAGE_ERRORS.values(), ids=USAGE_ERRORS)
def test_usage_error_exits_2(arguments, words):
    """The message says what was expected, without a traceback."""
    completed = run_emulator(*arguments)

    assert (2, "") == (completed.returncode, completed.stdout)
    assert words in completed.stderr
    assert "Traceback" not in completed.stderr


def test_port_in_use_exits_2():
    """The error is reported in one line."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        completed = run_emulator("--port", str(listener.getsockname()[1]))

    assert (2, 1) == (completed.returncode, completed.stderr.count("\n"))
    assert "in use" in completed.stderr


# ------------------------------------------------------------------ with a command

CLIENT_SCRIPT = """
import http.client, os, sys
connection = http.client.HTTPConnection(os.environ["CHAINPROOF_TARGET"].removeprefix("http://"), timeout=60)
headers = {"Authorization": "Api-Key " + os.environ["BASETEN_API_KEY"], "Content-Type": "application/json"}
connection.request("POST", "/production/run_remote", b"{}", headers)
print(connection.getresponse().status, os.environ["CHAINPROOF_EMULATED"], sys.stdin.read())
"""


def test_command_has_target_and_key():
    """The command has the target and the key in its environment and uses stdin and stdout; the URL goes to stderr."""
    completed = run_emulator("rate-limited", "--", sys.executable, "-c", CLIENT_SCRIPT, input="input")

    assert (0, "200 1 input\n") == (completed.returncode, completed.stdout)
    assert LINE.fullmatch(completed.stderr)


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_exit_code_is_that_of_the_command(script, code):
    """The exit code of the command, or 128 plus the number of the signal that ended it."""
    assert code == run_emulator("--", "sh", "-c", script).returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_is_forwarded_to_command(number):
    """The emulator forwards a signal to the command and serves until the command exits."""
    script = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)"  # until the signal
    )
    with start_emulator_process("--", sys.executable, "-c", script) as (child, line):
        assert "ready\n" == line
        child.send_signal(number)
        assert 7 == child.wait(PATIENCE)


def test_internal_error_exits_70():
    """An internal error aborts the connection, is reported at once, and sets exit code 70."""
    script = (
        "import sys, chainproof.emulator.transport.server_state as server_state\n"
        "server_state.decide = lambda *_: 1 // 0\n"
        "from chainproof.emulator.command import main\n"
        "sys.exit(main(['--', sys.executable, '-c', sys.argv[1]]))"
    )
    client = f"try:{CLIENT_SCRIPT.replace(chr(10), chr(10) + ' ')}\nexcept ConnectionError: pass"
    completed = run_process([sys.executable, "-c", script, client])

    assert 70 == completed.returncode
    assert "internal error, a connection was aborted" in completed.stderr
    assert "this says nothing about the target" in completed.stderr
