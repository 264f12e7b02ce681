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

from chainproof.contract.credentials import EMULATOR_KEY

EMULATOR = [sys.executable, "-m", "chainproof", "emulator"]
LINE = re.compile(r"chainproof emulator: ([\w-]+) at http://(127\.0\.0\.1|\[::1\]):\d+\n")


def ran(*arguments: str, **options):
    """
    The emulator's command line, run to its end.
    """
    return subprocess.run([*EMULATOR, *arguments], capture_output=True, text=True, timeout=20, check=False, **options)


@contextmanager
def running(*arguments: str, **options):
    """
    The emulator as a process, with its first line.
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True, **options}
    with subprocess.Popen([*EMULATOR, *arguments], **options) as child:
        try:
            yield child, child.stdout.readline()
        finally:
            child.kill()


def ask(line: str, key: str = EMULATOR_KEY, **headers: str) -> int:
    """
    The status of one good request to whoever printed the line.
    """
    connection = http.client.HTTPConnection(line.split("//")[1].strip(), timeout=5)
    headers = {"Authorization": f"Api-Key {key}", "Content-Type": "application/json", **headers}
    connection.request("POST", "/production/run_remote", b"{}", headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_and_stops_when_asked(number):
    """
    One line once it listens; SIGINT and SIGTERM end it, requests in flight or not, and that is no failure.
    """
    with running() as (child, line), socket.create_connection(("127.0.0.1", int(line.rsplit(":", 1)[1]))) as idle:
        assert 200 == ask(line)
        idle.sendall(b"POST ")
        child.send_signal(number)
        assert (0, "", "") == (child.wait(5), child.stdout.read(), child.stderr.read())

    assert LINE.fullmatch(line)


def test_it_ends_with_its_parent():
    """
    With --until-eof it ends when nobody holds its standard input any more.
    """
    with running("--until-eof", stdin=subprocess.PIPE) as (child, line):
        assert 200 == ask(line)
        child.stdin.close()
        assert 0 == child.wait(5)


def test_it_takes_the_key_of_a_variable():
    """
    With --api-key-env the key there counts, and the throw-away key no longer.
    """
    with running("--api-key-env", "MINE", env={**os.environ, "MINE": "abc.def"}) as (_, line):
        assert (200, 401) == (ask(line, "abc.def"), ask(line))


def test_it_serves_on_ipv6():
    """
    ::1 is a loopback address like the other.
    """
    with running("--host", "::1") as (_, line):
        assert LINE.fullmatch(line)
        assert 200 == ask(line)


def test_options_reach_the_model():
    """
    --no-steering and --contract change what is said.
    """
    with running("--no-steering") as (_, line):
        assert 200 == ask(line, **{"X-Emulate": "timeout"})
    with running("--contract", "documented") as (_, line):
        assert (504, 403) == (ask(line, **{"X-Emulate": "timeout"}), ask(line, "wrong"))


def test_help_lists_the_scenarios():
    """
    Every scenario stands in --help with its description, and so do the exit codes.
    """
    shown = ran("--help").stdout

    assert all(f"  {name} " in shown for name in ("instant", "warm", "flaky", "rate-limited", "slow-tail"))
    assert "exit codes:" in shown
    assert "X-Emulate" in shown


MISTAKES = {
    "an unknown scenario": (["lukewarm"], "expected one of flaky, instant, rate-limited, slow-tail, warm"),
    "another machine": (["--host", "0.0.0.0"], "expected a loopback address"),
    "another machine's name": (["--host", "example.com"], "expected a loopback address"),
    "no key": (["--api-key-env", "NO_SUCH_VARIABLE"], "no API key"),
    "no command": (["--"], "expected a command after --"),
    "an unknown command": (["--", "no-such-command-anywhere"], "cannot run the command 'no-such-command-anywhere'"),
    "a command that is a folder": (["--", "/"], "cannot run the command '/'"),
    "two readers of standard input": (["--until-eof", "--", "true"], "found both"),
    "an access log in no folder": (["--access-log", "/no/such/folder/file"], "cannot write --access-log"),
    "a port beyond ports": (["--port", "65536"], "expected a port between 0 and 65535"),
    "an unknown option": (["--colour", "red"], "unrecognized arguments"),
}


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_a_line(arguments, words):
    """
    Asked wrongly: exit code 2, and what was expected, without a traceback.
    """
    done = ran(*arguments)

    assert (2, "") == (done.returncode, done.stdout)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_a_mistake():
    """
    Whoever holds the port keeps it.
    """
    with socket.create_server(("127.0.0.1", 0)) as holder:
        done = ran("--port", str(holder.getsockname()[1]))

    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    assert "in use" in done.stderr


# ------------------------------------------------------------------ around a command

ASKING = """
import http.client, os, sys
connection = http.client.HTTPConnection(os.environ["CHAINPROOF_TARGET"].removeprefix("http://"), timeout=5)
headers = {"Authorization": "Api-Key " + os.environ["BASETEN_API_KEY"], "Content-Type": "application/json"}
connection.request("POST", "/production/run_remote", b"{}", headers)
print(connection.getresponse().status, os.environ["CHAINPROOF_EMULATED"], sys.stdin.read())
"""


def test_a_command_finds_target_and_key():
    """
    The command has the origin and the key in its environment and the streams for itself; the URL goes to stderr.
    """
    done = ran("rate-limited", "--", sys.executable, "-c", ASKING, input="input")

    assert (0, "200 1 input\n") == (done.returncode, done.stdout)
    assert LINE.fullmatch(done.stderr)


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_a_command_lends_its_exit_code(script, code):
    """
    Its own, or 128 and the number of the signal that ended it.
    """
    assert code == ran("--", "sh", "-c", script).returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_is_told_to_stop(number):
    """
    A signal to the emulator goes on to the command, and the emulator serves until that has ended in its own way.
    """
    script = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\n"
        "time.sleep(20)"
    )
    with running("--", sys.executable, "-c", script) as (child, line):
        assert "ready\n" == line
        child.send_signal(number)
        assert 7 == child.wait(5)


def test_our_own_error_is_never_a_quiet_one():
    """
    An error in the emulator cuts the connection, is told at once, and makes the exit code 70 whatever the command says.
    """
    script = (
        "import sys, chainproof.emulator.transport.server_state as server_state\n"
        "server_state.decide = lambda *_: 1 // 0\n"
        "from chainproof.emulator.command import main\n"
        "sys.exit(main(['--', sys.executable, '-c', sys.argv[1]]))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script, f"try:{ASKING.replace(chr(10), chr(10) + ' ')}\nexcept ConnectionError: pass"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip

    assert 70 == asked.returncode
    assert "internal error, a connection was aborted" in asked.stderr
    assert "this says nothing about the target" in asked.stderr
