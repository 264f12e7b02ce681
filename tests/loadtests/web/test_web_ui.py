"""Tests of Locust's web UI with the additions of chainproof, in a real browser."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chainproof.judgement.latency import columns, interval_text, time_text
from chainproof.judgement.load_summary import summarise_load
from chainproof.loadtests.distributed.worker_token import TOKEN_VARIABLE
from chainproof.loadtests.options import FORM_OPTIONS
from chainproof.results.folder import Run
from chainproof.results.intervals.interval import total
from chainproof.results.manifest import Ending

from ...ports import free_port
from ...processes import run_process
from ...reports.pages.browser import Page, browser, executable  # the browser of the report tests
from ...waiting import PATIENCE, await_condition
from ..behaviours import fine, throttle
from ..conftest import is_late
from .web_process import KEY, Ui, evaluate, web_ui


def await_text(tab: Page, *texts: str, patience: float = PATIENCE) -> str:
    """The text of the page, as soon as it contains all of these."""
    give_up = time.monotonic() + patience
    while True:
        shown = str(evaluate(tab, "document.body ? document.body.innerText : ''"))
        if all(text.lower() in shown.lower() for text in texts):
            return shown
        assert time.monotonic() < give_up, f"expected {texts}, found {shown}"
        time.sleep(0.1)


def click(tab: Page, text: str) -> None:
    """Click the button, tab or link with this text."""
    script = f"""(() => {{
        const all = [...document.querySelectorAll('button, [role=tab], a, [role=button]')];
        const found = all.find(each => each.innerText.trim().toLowerCase() === {json.dumps(text.lower())});
        if (!found) throw new Error('no ' + {json.dumps(text)} + ' among ' + all.map(each => each.innerText).join(' | '));
        found.click();
    }})()"""
    evaluate(tab, script)


def fill(tab: Page, name: str, text: str) -> None:
    """Type into a field, so that the page notices."""
    script = f"""(() => {{
        const field = document.querySelector('[name={json.dumps(name)}]');
        const setter = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
        setter.call(field, {json.dumps(text)});
        field.dispatchEvent(new Event('input', {{ bubbles: true }}));
    }})()"""
    evaluate(tab, script)


_SHOWN_WITH_MODEL = """(() => {
    document.querySelector('[name=model]').value = '%s';
    return ['userCount', 'spawnRate'].filter(name => document.querySelector(`[name=${name}]`).offsetParent !== null);
})()"""
"""Those of Locust's fields for users that are visible with a choice of the model."""


def camel(name: str) -> str:
    """The name of an option's field in Locust's form."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def downloaded(tab: Page, text: str, folder: Path) -> Path:
    """The file that a click on a link with this text downloads."""
    folder.mkdir()
    tab.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), eventsEnabled=True)
    click(tab, text)
    await_condition(lambda: list(folder.glob("*.html")), lambda: [path.name for path in folder.iterdir()])
    return next(folder.glob("*.html"))


def html_report(folder: Path) -> bytes:
    """The HTML report of a run folder, written by `chainproof reports`."""
    words = [sys.executable, "-P", "-m", "chainproof", "reports", str(folder), "--html", "-"]
    return subprocess.run(words, capture_output=True, check=False).stdout


def assert_two_plans(run: Run, rates: tuple[float, float]) -> None:
    """Assert that a run had two plans in sequence, and that all requests of both are accounted for."""
    totals, (first, second) = total(run.intervals), run.manifest.phases
    plan = run.manifest.settings["plan"]
    summary = summarise_load(run)

    assert rates == tuple(row["rate_per_s"] for row in run.manifest.settings["phases"])  # type: ignore[call-overload, index, union-attr]
    assert [second.start] == run.manifest.settings["replanned_at_s"]
    assert (0.0, first.end, 60.0) == (first.start, second.start, second.end)
    assert plan["arrivals"] == totals.planned == totals.sent + totals.not_sent.total()  # type: ignore[call-overload, index]
    assert totals.sent == totals.outcomes.total() > 10
    assert {first.name, second.name} == totals.phases.keys()
    assert totals.planned == sum(part.planned for part in totals.phases.values())
    for phase, rate in zip(run.manifest.phases, rates, strict=True):
        planned = {each.second: part.planned for each in run.intervals if (part := each.phases.get(phase.name))}

        assert all(phase.start <= second < phase.end for second, count in planned.items() if count)
        assert abs(totals.phases[phase.name].planned - rate * phase.seconds) < 6 * (rate * phase.seconds) ** 0.5
    assert "REPLANNED" in [caveat.code for caveat in summary.caveats]
    assert not any(caveat.invalidates for caveat in summary.caveats) or is_late(run)
    assert [first, second] == [each.phase for each in summary.phases]


def screenshot(tab: Page, name: str) -> None:
    """Take a screenshot, if CHAINPROOF_SCREENSHOTS names a folder for it."""
    folder = os.environ.get("CHAINPROOF_SCREENSHOTS")
    if folder:
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(tab.send("Page.captureScreenshot")["data"]))


def show_live_page(tab: Page, ui: Ui) -> None:
    """Open the live page in a narrow dark window: it shows objectives, percentiles and results, and fits."""
    tab.send("Emulation.setDeviceMetricsOverride", width=380, height=1900, deviceScaleFactor=1, mobile=False)
    tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    tab.send("Log.enable")
    tab.events.clear()
    tab.send("Page.navigate", url=f"{ui.url}/chainproof/live")
    await_text(tab, "Objectives so far", "p99.9", "rate_limited", "planned")
    screenshot(tab, "11-live-narrow")

    assert evaluate(tab, "document.documentElement.scrollWidth") <= 380
    # Locust's page has no icon, which may be logged late.
    assert [] == [each for each in tab.complaints if not each.get("entry", {}).get("url", "").endswith("/favicon.ico")]
    assert evaluate(tab, "document.querySelectorAll('#times path').length") == 3
    tab.send("Emulation.setEmulatedMedia", features=[])
    tab.send("Emulation.setDeviceMetricsOverride", width=1400, height=1000, deviceScaleFactor=1, mobile=False)


def await_end_of_refresh(ui: Ui, seconds: int) -> dict[str, Any]:
    """The figures of the live page, once they are those of the complete run."""
    found: list[dict[str, Any]] = []

    def is_complete() -> bool:
        found.append(json.loads(ui.fetch("/chainproof/live/data")[1]))
        return bool(found[-1].get("seconds") == seconds)

    await_condition(is_complete)
    return found[-1]


@pytest.mark.skipif(executable() is None, reason="no Chromium on this machine")
def test_a_run_is_started_changed_and_stopped_in_the_browser(  # noqa: PLR0915  # one browser session
    run_server: Any, tmp_path: Path
) -> None:
    """Errors, statistics and the report are shown, a new rate changes the plan, and stop drains. The key is never shown."""
    with (
        run_server(fine, throttle) as server,
        web_ui(server.target.origin, tmp_path) as ui,
        browser(tmp_path / "p") as tab,
    ):
        tab.send("Emulation.setDeviceMetricsOverride", width=1400, height=1000, deviceScaleFactor=1, mobile=False)
        tab.send("Page.enable")
        tab.send("Page.navigate", url=ui.url)
        await_text(tab, "Start new load test", "Custom parameters")
        screenshot(tab, "1-start")
        rate = "document.querySelector('[name=rate]')"
        assert evaluate(
            tab,
            f"{rate}.checkVisibility({{visibilityProperty: true}}) && {rate}.closest('.MuiCollapse-root').clientHeight",
        )
        screenshot(tab, "2-form")
        named = evaluate(tab, "[...document.querySelectorAll('[name]')].map(field => [field.name, field.type])")
        ours = {camel(option.dest): option.dest for option in FORM_OPTIONS}
        kinds = {ours[name]: kind for name, kind in named if name in ours}

        assert [option.dest for option in FORM_OPTIONS] == list(kinds)
        assert {option.dest for option in FORM_OPTIONS if option.is_switch} == {
            name for name, kind in kinds.items() if kind == "checkbox"
        }

        models = [evaluate(tab, _SHOWN_WITH_MODEL % model) for model in ("as the workload says", "closed", "open")]
        assert [[], ["userCount"], []] == models

        evaluate(tab, "document.querySelector('[name=keepBodies]').click()")
        fill(tab, "rate", "fast")
        click(tab, "Start")
        await_text(tab, "expected a number")
        screenshot(tab, "3-mistake")

        fill(tab, "rate", "40")
        fill(tab, "spawnRate", "5")
        click(tab, "Start")
        await_text(tab, "expected 1 as Ramp up, found 5: users start when the run starts")
        fill(tab, "spawnRate", "1")

        assert [] == ui.runs

        fill(tab, "duration", "60s")
        click(tab, "Start")
        await_text(tab, "/production/run_remote", "Outcomes", "Percentiles", "Requests and generator")
        screenshot(tab, "4-statistics")
        click(tab, "Outcomes")
        await_text(tab, "rate_limited", "429", "200", "Responsible", "caller")
        screenshot(tab, "5-outcomes")
        click(tab, "Percentiles")
        await_text(tab, "p99.9", "Response time", "All planned", "Rejected", "Schedule lag", " ms", "not answered")
        screenshot(tab, "6-percentiles")
        click(tab, "Requests and generator")
        await_text(tab, "timed out", "= sent + not sent", "run folder")
        screenshot(tab, "7-accounts")
        click(tab, "Download Data")
        await_text(tab, "Report of the run so far")
        screenshot(tab, "8-downloads")
        report = downloaded(tab, "Download the report of the run so far", tmp_path / "downloads")
        _, shown, fields = ui.fetch("/chainproof/report")

        assert f"{ui.runs[0].path.name}.html" == report.name
        assert "attachment" in ui.fetch("/chainproof/report/download")[2]["Content-Disposition"]
        assert "attachment" not in fields.get("Content-Disposition", "")
        assert "<!DOCTYPE html>" == shown[:15] == (text := report.read_text())[:15]
        assert "rate_limited" in text
        assert "UNFINISHED" in text
        assert ui.runs[0].path.name in text

        tab.send("Page.navigate", url=f"{ui.url}/chainproof/change")
        await_text(tab, "Change the run")
        fill(tab, "rate", "80")
        click(tab, "Change")
        await_text(tab, "The new plan applies from")
        screenshot(tab, "9-changed")
        show_live_page(tab, ui)
        tab.send("Page.navigate", url=ui.url)
        await_text(tab, "/production/run_remote", "Stop")
        await_condition(lambda: any("plan 2" in each.phases for each in ui.runs[0].intervals))
        click(tab, "Stop")
        await_text(tab, "New")
        await_condition(lambda: all(run.end is not None for run in ui.runs))
        screenshot(tab, "10-stopped")
        click(tab, "Download Data")
        await_text(tab, "Report of the run so far")
        last_report = downloaded(tab, "Download the report of the run so far", tmp_path / "last").read_bytes()

        assert html_report(ui.runs[0].path) == last_report
        assert "REPLANNED" in last_report.decode()

        tabs = {tab["key"]: tab["data"] for tab in json.loads(ui.fetch("/stats/requests")[1])["extended_stats"]}
        reported = summarise_load(ui.runs[0]).timings

        assert [
            {"what": name, **{kind: time_text(columns(timing).get(name)) for kind, timing in reported.items()}}
            for name in ("p50", "p90", "p95", "p99", "p99.9", "max")
        ] == tabs["percentiles"][1:]
        assert {kind: timing.count for kind, timing in reported.items()}.items() <= tabs["percentiles"][0].items()
        live = await_end_of_refresh(ui, len(summarise_load(ui.runs[0]).seconds))
        response = reported["response_time_s"]

        assert [
            [name, time_text(columns(response).get(name)), interval_text(response, name)]
            for name in ("p50", "p90", "p95", "p99", "p99.9", "max")
        ] == live["times"]
        assert [result.verdict for result in summarise_load(ui.runs[0]).objectives] == [
            each["verdict"] for each in live["objectives"]
        ]

        pages = [ui.fetch(path)[1] for path in ("/", "/stats/requests", "/logs", "/chainproof/report", "/tasks")]
    (run,) = ui.runs

    assert_two_plans(run, (40.0, 80.0))
    assert run.end is not None
    assert Ending.INTERRUPTED is run.end.ending
    assert run.manifest.settings["keep_bodies"] is True
    assert all(found.request_body is not None for found in run.exemplars)
    assert [] == [text for text in pages if KEY in text]


def test_ctrl_c_ends_the_wait_for_workers_of_a_page_that_starts_by_itself(
    run_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locust waits for them in the thread that the end of the page is meant to end."""
    monkeypatch.setenv(TOKEN_VARIABLE, "0123456789abcdef" * 2)
    words = ("--autostart", "--master", "--expect-workers=1", f"--master-bind-port={free_port()}")
    with run_server(fine) as server, web_ui(server.target.origin, tmp_path, *words) as ui:
        assert 200 == ui.fetch("/stats/requests")[0]

    assert 0 == ui.process.returncode
    assert [] == ui.runs


def test_other_origins_are_rejected(run_server: Any, tmp_path: Path) -> None:
    """Requests of other origins and with other host names are answered 403."""
    with run_server(fine) as server, web_ui(server.target.origin, tmp_path) as ui:
        port = int(ui.url.rpartition(":")[2])
        listening = run_process(["ss", "-ltnH", f"sport = :{port}"])
        ours = ui.fetch("/stats/requests")
        other_origin = ui.fetch("/stats/requests", Origin="https://evil.example")
        posted = ui.fetch("/swarm", "user_count=1&spawn_rate=1", Origin="https://evil.example")
        rebound = ui.fetch("/stats/requests", Host=f"evil.example:{port}")

        assert "0.0.0.0" not in listening.stdout.split("0.0.0.0:*")[0]
        assert 200 == ours[0]
        assert [] == [name for name in ours[2] if name.lower().startswith("access-control")]
        assert [403, 403, 403] == [other_origin[0], posted[0], rebound[0]]
        assert [] == ui.runs
        assert 404 == ui.fetch("/chainproof/report")[0]


def test_several_runs_can_be_started_from_one_page(run_server: Any, tmp_path: Path) -> None:
    """Each run has its own folder, with the values of the form and all other options unchanged. At the end, the last one is reported."""
    with run_server(fine) as server, web_ui(server.target.origin, tmp_path, "--seed=3") as ui:
        for form in ("rate=50&duration=300ms", "model=closed&user_count=3&rate=&duration=300ms&think_time=50ms"):
            started = json.loads(ui.fetch("/swarm", f"spawn_rate=1&{form}")[1])
            assert started["success"], started
            await_condition(
                lambda: (
                    json.loads(ui.fetch("/stats/requests")[1])["state"] == "stopped"
                    and all(run.end is not None for run in ui.runs)
                )
            )
            time.sleep(1.1)  # the name of a run folder contains the second of its start
        wrong = json.loads(ui.fetch("/swarm", "user_count=1&spawn_rate=1&objective=fast")[1])
        unreachable = json.loads(ui.fetch("/swarm", "user_count=1&spawn_rate=1&target=http://127.0.0.1:9")[1])
    first, second = ui.runs

    assert (50.0, 3) == (first.manifest.settings["rate_per_s"], first.manifest.seed)
    assert ("closed", 3, 0.05) == tuple(second.manifest.settings[name] for name in ("model", "users", "think_time_s"))
    assert {Ending.COMPLETED} == {run.end.ending for run in (first, second) if run.end}
    assert "expected an objective such as" in wrong["message"]
    assert "cannot connect to" in unreachable["message"]
    assert "Load run smoke" in ui.output
    assert ui.output.endswith(f"run folder: runs/{second.name}\n")


def test_every_worker_switches_to_a_new_plan(run_server: Any, tmp_path: Path) -> None:
    """A new rate applies to all workers from the same instant, and every request is accounted for."""
    port = free_port()
    words = ["--processes=2", "--master-bind-host=127.0.0.1", f"--master-bind-port={port}", f"--master-port={port}"]
    with run_server(fine) as server, web_ui(server.target.origin, tmp_path, *words, "--duration=60s") as ui:
        await_condition(lambda: json.loads(ui.fetch("/stats/requests")[1])["worker_count"] == 2)
        ui.fetch("/swarm", "user_count=1&spawn_rate=1&rate=30")
        await_condition(lambda: ui.runs and any(each.sent for each in ui.runs[0].intervals))
        changed = ui.fetch("/chainproof/change", "rate=60")[1]
        await_condition(lambda: {"0", "1"} <= {each.worker for each in ui.runs[0].intervals if "plan 2" in each.phases})
        accounts = json.loads(ui.fetch("/stats/requests")[1])["extended_stats"][2]["data"]
        ui.fetch("/stop", "")
    (run,) = ui.runs

    assert "The new plan applies from" in changed
    assert {"worker 0", "worker 1"} <= {row["what"] for row in accounts}
    assert 2 == run.manifest.settings["workers"]
    assert run.end is not None
    assert () == run.end.lost_workers
    assert_two_plans(run, (30.0, 60.0))
    for worker in "01":
        parts = [
            each.phases["plan 2"].planned for each in run.intervals if each.worker == worker and "plan 2" in each.phases
        ]

        assert abs(total(run.intervals).phases["plan 2"].planned - 2 * sum(parts)) <= 1


def test_the_page_answers_while_a_run_is_drained(run_server: Any, tmp_path: Path) -> None:
    """Stopping and starting are answered although requests are in flight; the new run starts when they are settled."""
    released = threading.Event()

    async def hold(request: Any) -> None:
        """Answer when the test says so."""
        await asyncio.to_thread(released.wait)
        await request.answer()

    with (
        run_server(hold) as one,
        run_server(fine) as other,
        web_ui(one.target.origin, tmp_path, "--duration=60s") as ui,
        ThreadPoolExecutor() as pool,
    ):
        ui.fetch("/swarm", "user_count=1&spawn_rate=1&rate=40")
        await_condition(lambda: len(one.requests) >= 5)
        form = f"user_count=1&spawn_rate=1&host={other.target.origin}"
        moved, stopped = (pool.submit(ui.fetch, path, text) for path, text in (("/swarm", form), ("/stop", "")))
        answers = [json.loads(each.result()[1]) for each in (moved, stopped)]
        again = json.loads(ui.fetch("/swarm", form)[1])
        begun = len(ui.runs)
        released.set()
        await_condition(lambda: len(other.requests) >= 5)
    first, second = ui.runs

    assert all("Requests in flight are waited for" in answer["message"] for answer in answers)
    assert "another request starts or changes a run" in again["message"]
    assert 1 == begun
    assert [one.target.url, other.target.url] == [first.manifest.target, second.manifest.target]
    assert first.end is not None
    assert first.end.accounting["sent"] == first.end.accounting["ok"] == len(one.requests)


def test_a_change_of_target_drains_the_run_first(run_server: Any, tmp_path: Path) -> None:
    """Each run gets its answers from its own target, and a usage error changes nothing."""
    with (
        run_server(fine) as one,
        run_server(fine) as other,
        web_ui(one.target.origin, tmp_path, "--duration=60s") as ui,
    ):
        ui.fetch("/swarm", "user_count=1&spawn_rate=1&rate=40")
        await_condition(lambda: len(one.requests) > 10)
        wrong = json.loads(ui.fetch("/swarm", "user_count=1&spawn_rate=1&rate=-1")[1])
        is_unchanged = len(ui.runs) == 1 and ui.runs[0].end is None
        moved = json.loads(ui.fetch("/swarm", f"user_count=1&spawn_rate=1&host={other.target.origin}")[1])
        await_condition(lambda: len(other.requests) > 10)
        ui.fetch("/stop", "")
    first, second = ui.runs

    assert "rate: expected more than 0" in wrong["message"]
    assert is_unchanged
    assert moved["success"]
    assert [one.target.url, other.target.url] == [first.manifest.target, second.manifest.target]
    for run, server in ((first, one), (second, other)):
        assert run.end is not None
        assert run.end.accounting["sent"] == run.end.accounting["ok"] == len(server.requests) > 10
