"""Start the ordinary chain behind nginx, on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from .defects import DEFECTS, Defect

KEY = "abcd1234.q7Zk-92hLxT0mVw"
FOLDER = Path(__file__).parent

_CONFIGURATION = """
worker_processes 1; daemon off; {user} pid {root}/pid; error_log {root}/error.log crit;
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/f;
    uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; client_max_body_size 100m; merge_slashes off; server_tokens off;
    upstream app {{ server 127.0.0.1:{app}; keepalive 16; }}
    {http}
    server {{
        listen 127.0.0.1:{port};
        {server}
        location / {{ {upstream} }}
        location = /production/run_remote {{ {upstream} {location} }}
    }}
}}
"""
_UPSTREAM = (
    'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;'
)


def missing_software() -> str:
    """What is not installed here; empty if the chain can be started."""
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    return ", ".join([*missing, *([] if shutil.which("nginx") else ["nginx"])])


@contextmanager
def running_chain(name: str, root: Path) -> Iterator[str]:
    """Run the chain with the defect of this name, or none if the name is empty. Yields the origin of nginx."""
    defect = DEFECTS[name] if name else Defect(clauses=())
    app, port = free_port(), free_port()
    # A worker of another user could not write to the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    values = {"root": root, "user": user, "app": app, "port": port, "upstream": _UPSTREAM, "key": KEY}
    parts = {part: getattr(defect, part).format(**values) for part in ("http", "server", "location")}
    (root / "nginx.conf").write_text(_CONFIGURATION.format(**values, **parts))
    environment = {**os.environ, "BASETEN_API_KEY": KEY}
    servers = [
        [sys.executable, str(FOLDER / "app.py"), str(app), "" if defect.in_gateway else name],
        [str(shutil.which("nginx")), "-p", str(root), "-c", str(root / "nginx.conf"), "-e", str(root / "start.log")],
    ]
    running = [subprocess.Popen(each, env=environment, stdin=subprocess.DEVNULL) for each in servers]
    try:
        for each in (app, port):
            wait_for_port(each)
        yield f"http://127.0.0.1:{port}"
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(10)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until somebody listens on a port. Raises TimeoutError after 20 s."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")
