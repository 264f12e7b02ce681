"""
Measure which sentences of RFC 9110 and RFC 9112 common servers and proxies keep in their default configuration.

`python benchmarks/http_servers.py [NAME …]` starts each server on loopback with an echo chain (a proxy with the emulator
behind it), runs the conformance checks of the HTTP clauses against it, and stores the results in
benchmarks/server_records.json, from which docs/generate.py writes docs/http-servers.md. Servers that are not installed are
skipped: their earlier results stay. `--python` names
the interpreter that has the Python servers; `NODE_PATH` says where Node finds Express and Fastify.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from server_records import RECORDS_FILE, ServerRecord, read_records, write_records

from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE
from chainproof.contract.http_clauses import HTTP_CLAUSE_BY_ID
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.endpoint import start_emulator
from chainproof.judgement.conformance_summary import ClauseState, summarise_conformance
from chainproof.results.folder import read_run

ROOT = Path(__file__).parents[1]
APPS = Path(__file__).parent / "echo_servers"
START_TIMEOUT_S = 30.0
CHECKS = " or ".join(
    check.name for check in ALL_CHECKS if any(clause.id in HTTP_CLAUSE_BY_ID for clause in check.clauses)
)
"""The checks of the HTTP clauses, as an expression for `-k`."""
_TOOL = [sys.executable, "-P", "-m", "chainproof"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server is started."""

    port: int
    upstream: int
    """Port of the emulator, for proxies."""
    folder: Path
    """For configuration and temporary files."""
    python: str
    """The interpreter that has the Python servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server or proxy: how it is started, and how its version is found."""

    name: str
    command: Callable[[Place], list[str]]
    version: Callable[[str], str]
    """From the interpreter to the version; raises OSError or subprocess.CalledProcessError if it is not installed."""
    is_proxy: bool = False


# ------------------------------------------------------------------ versions


def _output(*command: str) -> str:
    """What a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout + done.stderr


def _printed_version(*command: str) -> Callable[[str], str]:
    """The first word with a digit and a dot that a command prints."""

    def version(_python: str) -> str:
        words = _output(*command).replace("/", " ").replace("-", " ").replace('"', " ").split()
        return next(word.strip("v(),") for word in words if "." in word and any(map(str.isdigit, word)))

    return version


def _distribution(*names: str) -> Callable[[str], str]:
    """The versions of Python distributions."""

    def version(python: str) -> str:
        code = "import importlib.metadata, sys; print(*map(importlib.metadata.version, sys.argv[1:]))"
        first, *others = _output(python, "-c", code, *names).split()
        return " ".join([first, *(f"({name} {found})" for name, found in zip(names[1:], others, strict=True))])

    return version


def _node_package(name: str) -> Callable[[str], str]:
    """The version of an npm package."""
    return lambda _python: _output("node", "-p", f"require('{name}/package.json').version").strip()


# ------------------------------------------------------------------ commands


def _python_server(name: str, *distributions: str) -> Server:
    """A Python server of echo_server.py."""
    return Server(
        name=name,
        command=lambda place: [place.python, str(APPS / "echo_server.py"), name, str(place.port)],
        version=_distribution(*distributions),
    )


def _node_server(name: str, framework: str, version: Callable[[str], str]) -> Server:
    """A Node server of echo_server.js."""
    return Server(
        name=name,
        command=lambda place: ["node", str(APPS / "echo_server.js"), framework, str(place.port)],
        version=version,
    )


def _configured(*command: str, file: str, text: str) -> Callable[[Place], list[str]]:
    """
    A command whose configuration is written first; `{port}`, `{upstream}` and `{folder}` are replaced, and `{file}` in
    the command.
    """

    def build(place: Place) -> list[str]:
        path = place.folder / file
        values = {"{port}": str(place.port), "{upstream}": str(place.upstream), "{folder}": str(place.folder)}
        written = text
        for name, value in values.items():
            written = written.replace(name, value)
        path.write_text(written)
        return [
            word.replace("{file}", str(path))
            .replace("{folder}", str(place.folder))
            .replace("{port}", str(place.port))
            .replace("{upstream}", str(place.upstream))
            for word in command
        ]

    return build


def _go_server(place: Place) -> list[str]:
    """Compile the Go server, and the command that runs it."""
    program = place.folder / "echo_server"
    subprocess.run(
        ["go", "build", "-o", str(program), str(APPS / "echo_server.go")],
        check=True,
        env={**os.environ, "HOME": str(place.folder), "GO111MODULE": "off"},
    )
    return [str(program), str(place.port)]


NGINX = """\
daemon off;
pid {folder}/pid;
error_log stderr crit;
events {}
http {
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {
    listen 127.0.0.1:{port};
    location / { proxy_pass http://127.0.0.1:{upstream}; }
  }
}
"""

APACHE = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog /dev/null
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
User www-data
Group www-data
ProxyPass / http://127.0.0.1:{upstream}/
"""

HAPROXY = """\
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  server chain 127.0.0.1:{upstream}
"""

CADDY = """\
{
  admin off
  auto_https off
}
http://127.0.0.1:{port}, http://localhost:{port} {
  reverse_proxy 127.0.0.1:{upstream}
}
"""

LIGHTTPD = """\
server.modules = ( "mod_proxy" )
server.document-root = "{folder}"
server.bind = "127.0.0.1"
server.port = {port}
server.upload-dirs = ( "{folder}" )
proxy.server = ( "" => ( ( "host" => "127.0.0.1", "port" => {upstream} ) ) )
"""

SQUID = """\
http_port 127.0.0.1:{port} accel defaultsite=127.0.0.1 no-vhost
cache_peer 127.0.0.1 parent {upstream} 0 no-query originserver login=PASSTHRU
http_access allow all
cache deny all
access_log none
cache_log {folder}/log
pid_filename {folder}/pid
coredump_dir {folder}
shutdown_lifetime 1 second
"""

SERVERS: tuple[Server, ...] = (
    Server(
        name="nginx",
        command=_configured("nginx", "-p", "{folder}", "-c", "{file}", file="nginx.conf", text=NGINX),
        version=_printed_version("nginx", "-v"),
        is_proxy=True,
    ),
    Server(
        name="Apache",
        command=_configured("apache2", "-DFOREGROUND", "-f", "{file}", file="apache.conf", text=APACHE),
        version=_printed_version("apache2", "-v"),
        is_proxy=True,
    ),
    Server(
        name="HAProxy",
        command=_configured("haproxy", "-f", "{file}", file="haproxy.cfg", text=HAPROXY),
        version=_printed_version("haproxy", "-v"),
        is_proxy=True,
    ),
    Server(
        name="Caddy",
        command=_configured(
            "caddy", "run", "--adapter", "caddyfile", "--config", "{file}", file="Caddyfile", text=CADDY
        ),
        version=_printed_version("caddy", "version"),
        is_proxy=True,
    ),
    Server(
        name="Varnish",
        command=_configured(
            "varnishd",
            "-F",
            "-n",
            "{folder}",
            "-a",
            "127.0.0.1:{port}",
            "-b",
            "127.0.0.1:{upstream}",
            file="unused",
            text="",
        ),
        version=_printed_version("varnishd", "-V"),
        is_proxy=True,
    ),
    Server(
        name="lighttpd",
        command=_configured("lighttpd", "-D", "-f", "{file}", file="lighttpd.conf", text=LIGHTTPD),
        version=_printed_version("lighttpd", "-v"),
        is_proxy=True,
    ),
    Server(
        name="Squid",
        command=_configured("squid", "-N", "-f", "{file}", file="squid.conf", text=SQUID),
        version=_printed_version("squid", "-v"),
        is_proxy=True,
    ),
    Server(
        name="mitmproxy",
        command=lambda place: [
            str(Path(place.python).with_name("mitmdump")),
            "-q",
            "--set",
            f"confdir={place.folder}",
            "--mode",
            f"reverse:http://127.0.0.1:{place.upstream}",
            "--listen-host",
            "127.0.0.1",
            "-p",
            str(place.port),
        ],
        version=_distribution("mitmproxy"),
        is_proxy=True,
    ),
    _python_server("uvicorn-h11", "uvicorn", "h11"),
    _python_server("uvicorn-httptools", "uvicorn", "httptools"),
    _python_server("hypercorn", "hypercorn"),
    _python_server("granian", "granian"),
    _python_server("daphne", "daphne"),
    _python_server("gunicorn-sync", "gunicorn"),
    _python_server("gunicorn-gthread", "gunicorn"),
    _python_server("waitress", "waitress"),
    _python_server("cheroot", "cheroot"),
    _python_server("gevent", "gevent"),
    _python_server("bjoern", "bjoern"),
    _python_server("werkzeug", "werkzeug"),
    _python_server("aiohttp", "aiohttp"),
    _python_server("tornado", "tornado"),
    _python_server("twisted", "twisted"),
    _node_server("Node.js", "http", _printed_version("node", "--version")),
    _node_server("Express", "express", _node_package("express")),
    _node_server("Fastify", "fastify", _node_package("fastify")),
    Server(name="Go net/http", command=_go_server, version=_printed_version("go", "version")),
    Server(
        name="JDK HttpServer",
        command=lambda place: ["java", str(APPS / "EchoServer.java"), str(place.port)],
        version=_printed_version("java", "-version"),
    ),
    Server(
        name="PHP development server",
        command=lambda place: ["php", "-S", f"127.0.0.1:{place.port}", str(APPS / "echo_server.php")],
        version=_printed_version("php", "--version"),
    ),
    Server(
        name="Puma",
        command=lambda place: ["puma", "-b", f"tcp://127.0.0.1:{place.port}", str(APPS / "config.ru")],
        version=_printed_version("puma", "--version"),
    ),
)


# ------------------------------------------------------------------ measurement


def _free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(server: Server, python: str, upstream: int) -> Iterator[str]:
    """Start a server. Yields its URL."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o777)
        place = Place(port=_free_port(), upstream=upstream, folder=folder, python=python)
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                server.command(place),
                cwd=APPS,
                stdout=output,
                stderr=output,
                env={**os.environ, DEFAULT_KEY_VARIABLE: EMULATOR_KEY},
                start_new_session=True,
            )
        try:
            _wait_for_port(place.port, process)
            yield f"http://127.0.0.1:{place.port}"
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {(folder / 'output').read_text(errors='replace')[-500:]}") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server accepts connections."""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.1)  # another process starts, so there is no clock to replace
    raise TimeoutError("does not accept connections")


def measured(server: Server, version: str, python: str, upstream: int) -> ServerRecord:
    """The clauses that a server keeps and violates."""
    with running(server, python, upstream) as url, tempfile.TemporaryDirectory() as name:
        out = Path(name) / "run"
        command = [*_TOOL, "conformance", "--target", url, "--echo", "--depth", "quick", "--seed", "1"]
        subprocess.run(
            [*command, "--deadline", "8s", "-k", CHECKS, "--out", str(out)],
            check=False,  # violations are what is measured
            capture_output=True,
            env={**os.environ, DEFAULT_KEY_VARIABLE: EMULATOR_KEY},
        )
        rows = summarise_conformance(read_run(out)).clauses
    states = {row.clause.id: row.state for row in rows if row.clause.id in HTTP_CLAUSE_BY_ID}
    return ServerRecord(
        name=server.name,
        version=version,
        is_proxy=server.is_proxy,
        kept=tuple(each for each, state in states.items() if state in (ClauseState.PASSED, ClauseState.INCONCLUSIVE)),
        violated=tuple(
            each for each, state in states.items() if state in (ClauseState.FAILED, ClauseState.WITH_WARNINGS)
        ),
    )


def _measure(server: Server, python: str, upstream: int) -> ServerRecord | None:
    """The record of a server; None, with a message, if it is not installed or does not start."""
    try:
        version = server.version(python)
    except (OSError, subprocess.SubprocessError, StopIteration):
        print(f"{server.name}: skipped, not installed", flush=True)
        return None
    try:
        record = measured(server, version, python, upstream)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{server.name} {version}: skipped, {error}", flush=True)
        return None
    print(f"{server.name} {version}: {len(record.kept)} kept, violated {', '.join(record.violated)}", flush=True)
    return record


def main(arguments: Sequence[str]) -> None:
    """Measure the named servers, or all, and write the records."""
    parser = argparse.ArgumentParser(description="Measure which HTTP sentences common servers keep.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="servers (default: all)")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the Python servers")
    options = parser.parse_args(arguments)
    known = {server.name: server for server in SERVERS}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"expected names of {', '.join(known)}; found {', '.join(unknown)}")
    records = {record.name: record for record in read_records()}
    python = shutil.which(options.python) or options.python
    with start_emulator("warm") as emulator:
        for name in options.names or known:
            record = _measure(known[name], python, emulator.target.port)
            if record is not None:
                records[name] = record
    ordered = [records[name] for name in known if name in records]
    write_records(ordered)
    print(f"written: {RECORDS_FILE}; now run docs/generate.py")


if __name__ == "__main__":
    main(sys.argv[1:])
