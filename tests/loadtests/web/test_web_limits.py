"""A Locust process with its web page: hostile requests change nothing and do not disturb the run."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chainproof.judgement.load_summary import summarise_load
from chainproof.results.folder import Run

from ...reports.pages.browser import Page, browser, executable
from ...waiting import PATIENCE
from ..behaviours import fine
from ..conftest import is_late, run_server
from .web_process import Ui, evaluate, web_ui


def state(ui: Ui) -> dict[str, Any]:
    """What a request could change: the form with the values of all options, the run and its folder, and the child processes."""
    page = ui.fetch("/")[1]
    found = re.search(r"window.templateArgs = (.*)\n", page)
    assert found is not None
    shown = json.loads(found[1])
    process = ui.process.pid
    return {
        "form": {name: each["default_value"] for name, each in shown["extra_options"].items()},
        "page": {
            name: shown[name]
            for name in ("host", "num_users", "spawn_rate", "run_time", "state", "user_count", "users")
        },
        "profile": shown["profile"],
        "folders": sorted(str(path) for path in ui.folder.rglob("*") if path.suffix != ".jsonl"),
        "children": Path(f"/proc/{process}/task/{process}/children").read_text(),
        "alive": ui.process.poll() is None,
    }


@dataclass(frozen=True, slots=True)
class Served:
    """A web page and the target of its runs, which all tests of this file share."""

    ui: Ui
    server: Any

    @contextmanager
    def new_run(self, form: str = "") -> Iterator[list[Run]]:
        """Start a run and stop it at the end of the context; then the list contains it."""
        received, runs = len(self.server.requests), len(self.ui.runs)
        assert json.loads(self.ui.fetch("/swarm", f"{START}&duration=60s&{form or 'rate=20'}")[1])["success"]
        found: list[Run] = []
        yield found
        self.ui.fetch("/stop", "")
        give_up = time.monotonic() + 60
        while any(run.end is None for run in self.ui.runs[runs:]):
            assert time.monotonic() < give_up
            time.sleep(0.1)
        found += self.ui.runs[runs:]
        (run,) = found

        assert run.end is not None
        assert run.end.accounting["sent"] == run.end.accounting["ok"] == len(self.server.requests) - received


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Locust process with its web page."""
    folder = tmp_path_factory.mktemp("web")
    with run_server(fine) as server, web_ui(server.target.origin, folder) as ui:
        yield Served(ui, server)


START = "user_count=1&spawn_rate=1"
OTHER_SITE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
REJECTED_POSTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    *((path, START, OTHER_SITE) for path in ("/swarm", "/stop", "/stats/reset", "/user", "/chainproof/change")),
    *((path, START, {"Origin": "null"}) for path in ("/swarm", "/stop", "/stats/reset")),
    ("/stop", "", {"Origin": "https://evil.example"}),
    ("/stop", "", {"Host": "evil.example", "Origin": "http://evil.example"}),
    *(
        ("/swarm", f"{START}&{field}", {})
        for field in (
            *(
                "payloads=/dev/zero",
                "payloads=fifo",
                "payloads=/proc/self/environ",
                "payloads=no.jsonl",
                "payloads=a%00b",
            ),
            *(
                "workload=/etc/passwd",
                "workload=no",
                "ca_file=/etc/shadow",
                "ca_file=plain",
                "out=/tmp/chainproof-new",
                "out=plain",
            ),
            *(
                "rate=-1",
                "rate=1&rate=2",
                f"seed={'9' * 30}",
                f"user_count={'9' * 30}",
                "model=closed&user_count=999999999",
            ),
            *(
                "duration=1e999s",
                "objective=fast",
                "header=x",
                "header=Authorization%3A+x",
                "chain_id=%2F..",
                "regional=true",
            ),
            *(
                "host=http%3A%2F%2F127.0.0.1%3A9",
                "host=http%3A%2F%2F169.254.169.254%2F",
                "target=file%3A%2F%2F%2Fetc%2Fpasswd",
            ),
            *(
                "connect_to=127.0.0.1%3A9",
                "check=a.py%3Ab",
                "api_key_env=HOME",
                "until_eof=true",
                "unknown=1",
                "profile=p&rate=x",
            ),
            *(
                "max_cost=1",
                "error_budget=200%25",
                "replay=a",
                "retry=always",
                "keep_bodies=true&drain=-1s",
                "%ff%fe=%00",
            ),
        )
    ),
    ("/user", '{"user_class_name": "OpenUser", "weight": 9}', {"Content-Type": "application/json"}),
    ("/user", "no json", {"Content-Type": "application/json"}),
    ("/swarm", "x" * 60_000, {}),
    ("/swarm", "&".join(f"{number}=" for number in range(9000)), {}),
    ("/swarm", "x" * 200_000, {}),
    ("/swarm", "--b\r\nbroken", {"Content-Type": "multipart/form-data; boundary=b"}),
)


def is_rejected(status: int, text: str) -> bool:
    """Whether an answer says that nothing was done."""
    return (
        status in {400, 403, 404, 413, 415, 500}
        or '"success":false' in text.replace(" ", "")
        or "Nothing was changed" in text
    )


def test_a_rejected_post_changes_nothing(served: Served) -> None:
    """Without a run and during one: options, run, run folders and processes are as before, and the run goes on."""
    ui = served.ui
    (ui.folder / "plain").write_text("no certificate\n")
    os.mkfifo(ui.folder / "fifo")
    before = state(ui)
    for post in REJECTED_POSTS:
        assert_rejected(ui, post)
        assert before == state(ui), post
    with served.new_run() as found:
        during = state(ui)
        for post in REJECTED_POSTS:
            assert_rejected(ui, post)
        assert during == state(ui)

    assert "replanned_at_s" not in found[0].manifest.settings


def assert_rejected(ui: Ui, post: tuple[str, str, dict[str, str]]) -> None:
    """Assert that a POST is answered with an error."""
    path, form, fields = post
    status, text, _ = ui.fetch_or_reset(path, form, **fields)

    assert is_rejected(status, text), (path, form[:80], fields, status, text[:300])


RAW = (
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: evil.example\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"POST /stop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /stop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999\r\n\r\n",
    b"POST /stop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST /swarm HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"a" * 65536,
    b"POST /swarm HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
)


def raw(ui: Ui, octets: bytes) -> bytes:
    """The first bytes that are answered to some bytes."""
    port = int(ui.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(octets)
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(4096)
        except OSError:
            return b""


def test_malformed_messages_are_rejected(served: Served) -> None:
    """None is answered 200 and none stops the run."""
    with served.new_run():
        before = state(served.ui)
        for octets in RAW:
            answer = raw(served.ui, octets)

            assert answer[:12] in {b"", b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 414"}, (octets[:80], answer)
        assert before == state(served.ui)


def hammer(ui: Ui, until: float) -> int:
    """Send requests of every kind until an instant, as fast as they are answered. Returns their number."""
    requests = (
        *(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            for path in ("/", "/stats/requests", "/chainproof/report", "/logs")
        ),
        f"POST /swarm HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n{'a=1&' * 15_000}",
        "POST /swarm HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999999999\r\n\r\n" + "x" * 100_000,
        "nothing",
    )
    count = 0
    while time.monotonic() < until:
        raw(ui, requests[count % len(requests)].encode())
        count += 1
    return count


def test_many_requests_do_not_disturb_a_run(served: Served) -> None:
    """While 16 clients send requests as fast as they can, the run sends and counts everything. Reports are made one at a time."""
    ui = served.ui
    with served.new_run("rate=50") as found, ThreadPoolExecutor(16) as pool:
        until = time.monotonic() + 2.0
        counts = [pool.submit(hammer, ui, until) for _ in range(16)]
        wait(counts)
    with ThreadPoolExecutor(5) as pool:
        pages = [pool.submit(ui.fetch, "/chainproof/report") for _ in range(5)]
        children = {0}
        while not all(page.done() for page in pages):
            children.add(len(Path(f"/proc/{ui.process.pid}/task/{ui.process.pid}/children").read_text().split()))
            time.sleep(0.02)

    assert sum(each.result() for each in counts) >= 16
    assert not [caveat for caveat in summarise_load(found[0]).caveats if caveat.invalidates] or is_late(found[0])
    assert max(children) <= 1
    assert len({page.result()[:2] for page in pages}) == 1
    assert pages[0].result()[0] == 200


EVIL = """<!doctype html><title>evil</title><body>
<iframe name=a></iframe><iframe name=b></iframe><iframe src="{url}/"></iframe>
<form id=f method=post target=a action="{url}/swarm"><input name=user_count value=1><input name=spawn_rate value=1></form>
<form id=g method=post target=b action="{url}/chainproof/change" enctype="text/plain"><input name=rate value=1></form>
<img src="{url}/chainproof/report"><img src="{url}/stats/report">
<a id=start href="{url}/">start</a><a id=report href="{url}/chainproof/report">report</a>
<script>
f.submit(); g.submit();
window.results = [];
for (const path of ["/swarm", "/stop", "/stats/reset"])
  fetch("{url}" + path, {{method: "POST", mode: "no-cors", body: new URLSearchParams("user_count=1&spawn_rate=1")}})
    .then(() => results.push("sent"), () => results.push("failed"));
for (const path of ["/", "/stats/requests", "/logs"])
  fetch("{url}" + path).then(answer => answer.text()).then(text => results.push(text), () => results.push("unreadable"));
navigator.sendBeacon("{url}/swarm", new URLSearchParams("user_count=1&spawn_rate=1"));
</script>"""


@contextmanager
def evil_site(url: str) -> Iterator[str]:
    """A site whose page attacks a web page; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """The page."""
            page = EVIL.format(url=url).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield str(server.server_port)
        server.shutdown()


def follow_link(tab: Page, site: str, name: str, expected: str) -> None:
    """Open a site, follow a link of its page, and wait until the page shows a text."""
    tab.send("Page.navigate", url=site)
    give_up = time.monotonic() + PATIENCE
    script = f"document.getElementById('{name}')?.click(); document.body ? document.body.innerText : ''"
    while expected.lower() not in (shown := str(evaluate(tab, script))).lower():
        assert time.monotonic() < give_up, shown
        time.sleep(0.1)


@pytest.mark.skipif(executable() is None, reason="no Chromium on this machine")
def test_a_page_of_another_site_starts_and_reads_nothing(served: Served, tmp_path: Path) -> None:
    """In a real browser, on another host name and on another port: forms, fetch, beacons, images and frames. It may link to the start page."""
    before, received = state(served.ui), len(served.server.requests)
    with evil_site(served.ui.url) as port, browser(tmp_path / "profile") as tab:
        tab.send("Page.enable")
        for host in ("localhost", "127.0.0.1"):  # another site, and another origin of the same site
            site = f"http://{host}:{port}/"
            tab.send("Page.navigate", url=site)
            give_up = time.monotonic() + PATIENCE
            results: list[str] = []
            while len(results) < 6:
                assert time.monotonic() < give_up, results
                time.sleep(0.05)
                found = tab.send("Runtime.evaluate", expression="window.results", returnByValue=True)
                results = found["result"].get("value") or []

            assert {"unreadable"} == set(results) - {"sent", "failed"}

            follow_link(tab, site, "report", "expected a request of this page")
            follow_link(tab, site, "start", "About")

    assert before == state(served.ui)
    assert received == len(served.server.requests)
