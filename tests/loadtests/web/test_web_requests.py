"""Which requests and form fields the web page accepts: pure functions, without a server."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent.lock
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.errors import UsageError
from chainproof.loadtests.locust_adapter.limited_process import without_secrets
from chainproof.loadtests.locust_adapter.web_paths import check_paths
from chainproof.loadtests.locust_adapter.web_report import ReportError, ReportMaker
from chainproof.loadtests.locust_adapter.web_requests import objection, own_names
from chainproof.loadtests.locust_adapter.web_server import MAX_COST_AFTER_WAIT, CpuTime
from chainproof.loadtests.locust_arguments import add_locust_options
from chainproof.loadtests.options import FORM_OPTIONS, OPTIONS

HOST = "127.0.0.1:8089"
LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
PATHS = (
    "/",
    "/swarm",
    "/stop",
    "/stats/report",
    "/stats/requests/csv",
    "/logs",
    "/chainproof/report",
    "/chainproof/change",
)
ANY_CASE = st.sampled_from([str.lower, str.upper, str.title])


@pytest.mark.parametrize(
    "host", [HOST, "localhost", "LOCALHOST:1", "[::1]:8089", "box.corp:80", "192.168.1.4", "a.localhost."]
)
@pytest.mark.parametrize("path", PATHS)
def test_requests_of_own_pages_and_of_programs_are_accepted(host: str, path: str) -> None:
    """By every address and name of the machine, whether or not the client sends header fields of browsers."""
    names = own_names("", "box.corp")
    own_page = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}

    for headers in ({"Host": host}, own_page, {"Host": host, "Sec-Fetch-Site": "none", **LINK}):
        assert objection("GET", path, headers, names) is None
        assert objection("POST", path, headers, names) is None


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]),
    path=st.sampled_from(PATHS),
    site=st.sampled_from(["cross-site", "same-site"]),
    case=ANY_CASE,
    others=st.sampled_from(
        [{}, {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, LINK, {**LINK, "Sec-Fetch-Dest": "iframe"}]
    ),
)
def test_pages_of_other_sites_may_only_link_to_the_start_page(
    method: str, path: str, site: str, case: object, others: dict[str, str]
) -> None:
    """Any other request with Sec-Fetch-Site of another site is rejected, also to Locust's own routes."""
    found = objection(method, path, {"Host": HOST, "Sec-Fetch-Site": case(site), **others}, frozenset())  # type: ignore[operator]

    assert (found is None) is (method == "GET" and path == "/" and others == LINK)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "http://127.0.0.1:9",
        "http://127.0.0.1",
        "http://127.0.0.1:8089.evil.example",
        "http://127.0.0.1:8089@evil.example",
        "http://[",
        "file://",
        "http://evil.example, http://127.0.0.1:8089",
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_other_origins_are_rejected(origin: str, path: str) -> None:
    """Also `null`, which sandboxed frames send, and texts that are no origins."""
    assert all(objection(method, path, {"Host": HOST, "Origin": origin}, frozenset()) for method in ("GET", "POST"))


@given(host=st.from_regex(r"[a-z0-9.-]{1,30}\.(example|com|localhost\.evil)(:\d{1,5})?", fullmatch=True))
def test_names_that_another_site_can_point_here_are_rejected(host: str) -> None:
    """DNS rebinding: such a name has the same origin as itself."""
    assert objection(
        "GET", "/", {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}, own_names("", None)
    )


@pytest.mark.parametrize(
    "host", ["", "127.0.0.1:8089,evil.example", "a@127.0.0.1", "127.0.0.1:port", "127.0.0.1 ", "[::1", "x\u0131"]
)
def test_malformed_hosts_are_rejected(host: str) -> None:
    """Several Host fields arrive joined by a comma."""
    assert objection("GET", "/", {"Host": host}, frozenset())


def test_options_whose_metavar_names_a_file_are_paths() -> None:
    """The check of paths covers every option of the form that takes one."""
    wrong = [
        each.name for each in OPTIONS if ("FILE" in (each.metavar or "") or each.metavar == "DIR") and not each.is_path
    ]

    assert wrong == []
    assert {"workload", "payloads", "ca_file", "out"} <= {each.dest for each in FORM_OPTIONS if each.is_path}


@pytest.fixture
def start_folder(tmp_path: Path) -> Path:
    """A folder with files, links out of it, a FIFO and a socket."""
    folder = tmp_path / "start"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "inside.jsonl").write_text("{}\n")
    (tmp_path / "outside.jsonl").write_text('{"secret": 1}\n')
    (folder / "link-out").symlink_to(tmp_path / "outside.jsonl")
    (folder / "folder-out").symlink_to(tmp_path)
    (folder / "link-in").symlink_to("sub/inside.jsonl")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "socket"))
    return folder


OUTSIDE = (
    *("../outside.jsonl", "sub/../../outside.jsonl", "link-out", "folder-out/outside.jsonl", "folder-out/new"),
    *("/dev/zero", "zero", "/dev/stdin", "/proc/self/environ", "/proc/self/fd/0", "/etc/passwd", "/", "..", "/tmp/new"),
    *("fifo", "socket", "loop", "a\0b", "x" * 3000, "sub/inside.jsonl/below"),
)


@pytest.mark.parametrize("name", [option.dest for option in FORM_OPTIONS if option.is_path])
@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_outside_the_start_folder_are_rejected(name: str, path: str, start_folder: Path) -> None:
    """Links, `..`, absolute paths, devices, FIFOs, sockets and /proc, in every field."""
    with pytest.raises(UsageError, match="expected a"):
        check_paths({name: path}, {}, start_folder)


def test_paths_in_the_start_folder_are_accepted(start_folder: Path) -> None:
    """Also by a link or an absolute path, if they are new, and outside if Locust was started with them."""
    for path in (
        "sub/inside.jsonl",
        "link-in",
        "new",
        str(start_folder / "sub" / "inside.jsonl"),
        "./sub/../sub/inside.jsonl",
    ):
        check_paths({"payloads": path, "out": path}, {}, start_folder)
    check_paths({"payloads": "/etc/passwd", "workload": "smoke"}, {"payloads": "/etc/passwd"}, start_folder)


@pytest.mark.parametrize("path", ["/proc/self/environ", "dev/zero", "/sys/kernel/notes", "/dev/null"])
def test_system_folders_are_rejected_below_the_root(path: str) -> None:
    """A Locust that was started in `/` reads no device and no environment variables."""
    with pytest.raises(UsageError, match="expected a path below /"):
        check_paths({"payloads": path}, {}, Path("/"))


def form_values() -> dict[str, object]:
    """The options that Locust starts with."""
    parser = argparse.ArgumentParser()
    add_locust_options(parser)
    return vars(parser.parse_args([]))


HOSTILE_FORMS: tuple[dict[str, str], ...] = (
    {f"field{number}": "" for number in range(201)},
    {"x" * 60_000: "1"},
    {"label": "x" * (4001)},
    {"objective": "p95 response_time < 800ms;" * 2000},
    {"seed": "9" * 5000},
    {"seed": "9" * 40},
    {"check": "evil.py:run"},
    {"input_schema": "/etc/passwd"},
    {"api_key_env": "HOME"},
    {"target_json": "{}"},
    {"until_eof": "true"},
    {"rate": "nan"},
    {"duration": "-1s"},
    {"contract": "none"},
    {"header": "Authorization: x\r\nHost: y"},
)


@pytest.fixture
def read_form(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The reader of forms. Locust would patch this process when it is imported."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    from chainproof.loadtests.locust_adapter import web_form  # noqa: PLC0415  # after the variable is set

    return web_form.read_form


@pytest.mark.parametrize("form", HOSTILE_FORMS, ids=lambda form: min(form)[:20])
def test_hostile_forms_are_rejected_at_once(form: dict[str, str], read_form: Callable[..., dict[str, Any]]) -> None:
    """Large forms, long values, and options that a page must not set are usage errors, without long computations."""
    before = form_values()
    unchanged = dict(before)
    start = time.process_time()

    with pytest.raises(UsageError):
        read_form(form, before)
    assert time.process_time() - start < 0.5
    assert before == unchanged


def test_a_rejected_form_is_never_reported_as_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the former options are invalid by now: the run folder that they name has been used."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # Locust would patch this process when it is imported
    from chainproof.loadtests.locust_adapter.web_ui import WebUI  # noqa: PLC0415  # after the variable is set

    def reject(*_: object) -> None:
        raise UsageError("found files in runs/x")

    page = WebUI.__new__(WebUI)
    page._session = SimpleNamespace(options=SimpleNamespace(), requested_users=1, running=False, apply_options=reject)
    page._changing = gevent.lock.BoundedSemaphore(1)
    monkeypatch.setattr(page, "_apply", reject, raising=False)
    with pytest.raises(UsageError, match="found files in runs/x"):
        page._start({"rate": "10"})

    assert page._changing.acquire(blocking=False)


def test_a_request_is_charged_for_its_own_cpu_time() -> None:
    """All of it until the request waits, also if that is much, and afterwards little of what others use."""
    now = 0.0

    def use(seconds: float) -> None:
        nonlocal now
        now += seconds

    busy = CpuTime(lambda: now)
    use(0.5)
    assert 0.5 == busy.end()

    waiting = CpuTime(lambda: now)
    use(0.25)
    other = gevent.spawn(use, 5.0)
    other.join()
    assert 0.25 + MAX_COST_AFTER_WAIT == pytest.approx(waiting.end())


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import time; time.sleep(60)", "The report took longer than 0.5 s; make it with: chainproof reports"),
        ("print(len(bytearray(300 << 20)))", "within 200 MiB of memory: MemoryError"),
        ("import sys; sys.exit('no chart')", "no chart"),
    ],
)
def test_a_report_that_needs_too_much_is_ended(script: str, message: str, tmp_path: Path) -> None:
    """The message says what was exceeded, and how to make the report otherwise."""
    limit = 0.5 if "sleep" in script else 20.0
    maker = ReportMaker(
        lambda _: [sys.executable, "-c", script], environment={}, time_limit=limit, memory_limit=200 << 20
    )

    with pytest.raises(ReportError) as raised:
        maker.page(tmp_path)
    assert message in str(raised.value)


def test_a_report_is_kept_until_the_folder_changes(tmp_path: Path) -> None:
    """The same page is not made twice; the process has a lower priority and not the key."""
    script = "import os; print(os.nice(0), os.environ.get('SECRET'), os.getpid())"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET", "key")
        maker = ReportMaker(lambda _: [sys.executable, "-c", script], environment=without_secrets("SECRET"))
    first, second = maker.page(tmp_path), maker.page(tmp_path)
    (tmp_path / "end.json").write_text("{}")
    third = maker.page(tmp_path)

    assert first == second != third
    assert int(first.split()[0]) == os.nice(0) + 5
    assert first.split()[1] == b"None"
