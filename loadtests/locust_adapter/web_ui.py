"""
Chainproof's additions to Locust's web UI: options in the start form, three tabs, and the report of the current run.

The form is parsed like the command line, so usage errors have the same messages. During a run of the open model, a new
rate or duration replaces the plan from a whole second on; the run folder records the second, and reports show the plans as
phases. Any other change ends the run, after draining it, and starts a new one.

Pages of other sites can neither read nor post. No page contains the API key.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, cast

import gevent
from gevent.lock import BoundedSemaphore
from locust import web

from chainproof.clock import Seconds, format_duration
from chainproof.errors import UsageError
from chainproof.judgement.timing_names import TIMING_NAMES
from chainproof.machine_faults import machine_fault
from chainproof.results.exchange import responsible_for_outcome
from chainproof.statistics.histogram import Histogram
from chainproof.workload.workload import WorkloadModel

from ..distributed.merge import DistributedRun
from ..distributed.worker_token import TOKEN_VARIABLE
from ..distributed.writer_session import WriterSession
from ..options import LOCUST_NAMES
from . import live_page
from .limited_process import without_secrets
from .web_form import (
    MAX_NAME_LENGTH,
    FormError,
    check_open_model_fields,
    form_fields,
    form_style,
    parse_users,
    read_form,
)
from .web_report import ReportError, ReportMaker
from .web_requests import objection, own_names
from .web_server import start_server

OUTCOMES = "outcomes"
PERCENTILES = "percentiles"
ACCOUNTS = "accounts"

_TABS = {
    OUTCOMES: (
        "Outcomes",
        {
            "name": "Outcome",
            "status": "Status",
            "code": "Error code",
            "result": "Result",
            "responsible": "Responsible",
            "count": "#",
        },
    ),
    PERCENTILES: (
        "Percentiles",
        {"what": "", **{key: f"{words.title}, {words.of}" for key, words in TIMING_NAMES.items()}},
    ),
    ACCOUNTS: ("Requests and generator", {"what": "", "value": "Value", "meaning": "Meaning"}),
}
"""Title and columns of each tab, by key. Locust's page sorts rows by `name` where there is one."""

Row = dict[str, str | int]
MultiDict = Any
"""The values of a form, of which a field may have several: Werkzeug's type, which Locust does not export."""

_web = cast(Any, web)
"""Locust's module, for the names of Flask's that it has and does not export."""


class WebUI:
    """The additions to Locust's web UI."""

    def __init__(self, session: WriterSession, ui: Any) -> None:
        self._session = session
        self._ui = ui
        self._environment = session.environment
        self._started_with = dict(vars(session.options))
        self._folder = Path.cwd()
        self._base_path: str = session.options.web_base_path or ""
        self._own_names = own_names(session.options.web_host, session.options.web_host_display_name)
        self._changing = BoundedSemaphore(1)
        """Held while a run is started or changed."""
        self._ending = gevent.Greenlet()
        """Ends a run: waits for its requests in flight."""
        environment = without_secrets(session.options.api_key_env, TOKEN_VARIABLE)
        self._reports = ReportMaker(environment=environment)
        self._live = live_page.LivePage(environment)

    def attach(self) -> None:
        """Add the form fields, the tabs and the pages, and limit what other sites and many requests can do."""
        _load_statistics()
        app, ui = self._ui.app, self._ui
        ui.start_server = lambda: start_server(ui, lambda: self._session.running)
        # Locust would sort the form's fields by name.
        app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}
        ui.template_args |= {
            "extended_tabs": [{"title": title, "key": key} for key, (title, _) in _TABS.items()],
            "extended_tables": [
                {"key": key, "structure": [{"key": name, "title": text} for name, text in columns.items()]}
                for key, (_, columns) in _TABS.items()
            ],
            "extended_csv_files": [
                {"href": "./chainproof/live", "title": "Live: objectives, percentiles and results as charts"},
                {"href": "./chainproof/report", "title": "Report of the run so far"},
                {"href": "./chainproof/report/download", "title": "Download the report of the run so far"},
                {"href": "./chainproof/change", "title": "Change the rate or the users"},
            ],
        }
        fill, stats = ui.update_template_args, app.view_functions["locust.request_stats"]
        ui.update_template_args = lambda: self._fill(fill)
        app.view_functions["locust.request_stats"] = ui.auth_required_if_enabled(lambda: self._with_tabs(stats()))
        index = app.view_functions["locust.index"]
        app.view_functions["locust.index"] = lambda: self._with_additions(index())
        app.view_functions["locust.swarm"] = ui.auth_required_if_enabled(self.swarm)
        app.view_functions["locust.stop"] = ui.auth_required_if_enabled(
            partial(self.stop, app.view_functions["locust.stop"])
        )
        app.view_functions["locust.stats_report"] = ui.auth_required_if_enabled(
            partial(self._unless_running, app.view_functions["locust.stats_report"])
        )
        # For Locust's class picker, which we reject: it would change the users of a run while it goes on.
        app.view_functions["locust.update_user"] = lambda: ("expected no change of user classes", 404)
        for path, view in (
            ("report", self.report),
            ("report/download", self.download),
            ("live", live_page.page),
            ("live/data", self.live),
            ("change", self.change),
        ):
            methods = ["GET", "POST"] if path == "change" else ["GET"]
            rule = f"{self._base_path}/chainproof/{path}"
            app.add_url_rule(rule, f"chainproof.{path}", ui.auth_required_if_enabled(view), methods=methods)
        app.before_request(self._reject)
        # The first in the list runs last: after the one that allows every origin.
        app.after_request_funcs.setdefault(None, []).insert(0, _restrict_to_origin)

    def _fill(self, fill: Callable[[], None]) -> None:
        """Let Locust fill its form, then replace the fields of our options."""
        fill()
        options, ui = vars(self._session.options), self._ui
        history = ui.template_args["history"]
        ui.template_args["history"] = history[:: len(history) // _MAX_POINTS + 1]
        others = {name: each for name, each in ui.template_args["extra_options"].items() if name not in LOCUST_NAMES}
        ui.template_args["extra_options"] = form_fields(options) | others
        if options["model"] == "closed":
            ui.template_args["num_users"] = self._session.users()

    def _with_additions(self, page: Any) -> Any:
        """Locust's page without the fields that do not count, below a link to ours and a sentence on what its figures are."""
        if not isinstance(page, str):
            return page
        additions = f"<style>{form_style(closed=self._is_closed())}</style>{live_page.NOTE}"
        return page.replace("<body>", f"<body>{additions}", 1)

    def _is_closed(self) -> bool:
        """Whether the current options mean the closed model."""
        return self._session.demand.workload.model is WorkloadModel.CLOSED

    # ------------------------------------------------------------------ requests to start and change

    def swarm(self) -> Any:
        """Start a run with the values of the form. A running one gets a new plan, or is ended first."""
        try:
            message = self._start(_web.request.form)
        except UsageError as error:
            return _web.jsonify({"success": False, "message": str(error), "host": self._environment.host})
        return _web.jsonify({"success": True, "message": message, "host": self._environment.host})

    def stop(self, locusts_stop: Callable[[], Any]) -> Any:
        """Stop the run. The answer does not wait long for requests in flight."""
        self._end_run().join(_PATIENCE)
        if not self._ending:
            return locusts_stop()
        return _web.jsonify({"success": True, "message": f"No further request is started. {_DRAINING}"})

    def _end_run(self) -> gevent.Greenlet[..., None]:
        """The greenlet that ends the current run, after draining it."""
        if not self._ending:
            self._ending = gevent.spawn(self._session.runner.stop)
        return self._ending

    def change(self) -> Any:
        """The page to change the rate or the users, with the result of the last change."""
        message = ""
        if _web.request.method == "POST":
            try:
                message = self._start(_web.request.form)
            except UsageError as error:
                message = f"Nothing was changed: {error}"
        return _change_page(self._session, message)

    def _start(self, form: MultiDict) -> str:
        """
        Apply the values of a form. Returns what was done. Raises UsageError, and changes nothing then.

        Does not wait long for the end of the previous run: the new one starts after it.
        """
        if not form and _web.request.content_length:
            raise FormError("expected a form, found another body")
        if not self._changing.acquire(blocking=False):
            raise FormError("another request starts or changes a run; try again after that")
        work = gevent.spawn(self._start_alone, form)
        work.join(_PATIENCE)
        while not work.ready():
            if self._ending:
                work.link_value(_log_failure)
                return f"The previous run is being ended, and a new one starts then. {_DRAINING}"
            work.join(_PATIENCE)
        found = work.get()
        if isinstance(found, Exception):
            raise found
        return str(found)

    def _start_alone(self, form: MultiDict) -> str | Exception:
        """Apply the values of a form while no other request does. Returns what was done, or why nothing was."""
        session, options = self._session, self._session.options
        before, users = dict(vars(options)), session.requested_users
        try:
            return self._apply(form, before, users)
        except Exception as error:  # noqa: BLE001  # returned: gevent would print it
            vars(options).update(before)
            session.requested_users = users
            if not session.running:
                with suppress(UsageError):  # the former options may be invalid by now: their run folder is used
                    session.apply_options()
            fault = None if isinstance(error, UsageError) else machine_fault(error)
            return error if fault is None else FormError(fault)
        finally:
            self._changing.release()

    def _apply(self, form: MultiDict, before: Mapping[str, Any], users: int | None) -> str:
        """Apply the values of a form to the session. Returns what was done. Raises UsageError."""
        session, options = self._session, self._session.options
        twice = next((name for name, values in form.lists() if len(values) > 1), None)
        if twice is not None:
            raise FormError(f"expected each field once, found several times {twice[:MAX_NAME_LENGTH]!r}")
        host = self._environment.host
        values = read_form(form, before, host, started_with=self._started_with, folder=self._folder)
        vars(options).update(values)
        self._read_users(form)
        demand, _ = session.check()
        if session.running and dict(vars(options)) == before and session.requested_users == users:
            raise FormError("nothing differs from the current run; change a value, or stop the run first")
        if session.running and session.can_change_plan and _differ_in_plan(before, vars(options)):
            start = session.change(options.rate or session.rate, demand.workload.duration)
            return f"The new plan applies from {format_duration(start)} of the run on."
        prepared = session.prepared()  # before the current run ends: a usage error must not end it
        message = "A run was started."
        if session.running or self._ending:
            self._end_run().join()  # drains the run before its target is closed
            message = "The previous run was ended, and a new one was started."
        session.adopt(prepared)
        self._start_run()
        self._environment.profile = form.get("profile") or self._environment.profile
        return message

    def _read_users(self, form: Mapping[str, str]) -> None:
        """Set the number of users, which only the closed model has. Raises UsageError."""
        session = self._session
        session.requested_users = None
        shown = {self._ui.template_args.get("num_users") or 1, session.runner.user_count, 1}
        if session.check()[0].workload.model is not WorkloadModel.CLOSED:
            check_open_model_fields(form, shown)
        elif text := form.get("user_count", "").strip():
            users = parse_users(text)
            # With a workload file of the closed model, the field may have been hidden.
            is_hidden = not self._is_closed() and form.get("model") != WorkloadModel.CLOSED.value
            session.requested_users = None if is_hidden and users in shown else users

    def _start_run(self) -> None:
        """Start a run, and wait until it has begun. Raises UsageError, also for a worker that cannot start."""
        session = self._session
        session.start_error = ""
        start = gevent.spawn(session.runner.start, session.users(), 1.0)
        gevent.sleep(0)
        while not start.ready() and not session.running:
            gevent.sleep(_POLL_INTERVAL)
        if session.start_error:
            raise UsageError(session.start_error)

    # ------------------------------------------------------------------ tabs and reports

    def _with_tabs(self, answer: Any) -> Any:
        """Locust's statistics with the rows of our tabs."""
        stats = answer.get_json()
        stats["extended_stats"] = [
            {"key": OUTCOMES, "data": list(self._outcomes())},
            {"key": PERCENTILES, "data": list(self._percentiles())},
            {"key": ACCOUNTS, "data": list(self._accounts())},
        ]
        return _web.jsonify(stats)

    def _outcomes(self) -> Iterable[Row]:
        """The count of each outcome, the most frequent first."""
        writer = self._session.writer
        for outcome, count in writer.cumulative.outcomes.most_common() if writer is not None else ():
            yield {
                "name": outcome.transport.value,
                "status": outcome.status if outcome.status is not None else "",
                "code": outcome.error_code or "",
                "result": outcome.result.value,
                "responsible": responsible_for_outcome(outcome) or "",
                "count": count,
            }

    def _percentiles(self) -> Iterable[Row]:
        """The times of the run so far, as in the report but without intervals, which need every second of the run."""
        from chainproof.judgement import latency  # noqa: PLC0415  # heavy: only for the page

        writer = self._session.writer
        if writer is None:
            return
        judged = latency.judged_requests(writer.manifest, writer.cumulative)
        judged.planned = judged.outcomes.total() + judged.not_sent.total()  # others may still be answered
        timings = latency.timings(judged)
        yield {"what": "count", **{key: timing.count for key, timing in timings.items()}}
        for name in (*(name for name, _ in latency.QUANTILES), "max"):
            values = {key: latency.columns(timing).get(name) for key, timing in timings.items()}
            yield {"what": name, **{key: latency.time_text(value) for key, value in values.items()}}

    def _accounts(self) -> Iterable[Row]:
        """The number of requests in each state, and how well the generator keeps up."""
        session, run = self._session, self._session.run
        if run is None or session.writer is None:
            return
        totals, cumulative = run.accounting, session.writer.cumulative
        if session.writer.manifest.label:
            yield {"what": "label", "value": session.writer.manifest.label, "meaning": "the name of the run in reports"}
        for name, value in totals.to_json().items():
            yield {"what": name.replace("_", " "), "value": value, "meaning": _MEANINGS[name]}
        yield {"what": "in flight", "value": run.in_flight, "meaning": "sent and not answered yet"}
        yield {"what": "in flight, maximum", "value": cumulative.in_flight_max, "meaning": "highest number so far"}
        lag = cumulative.schedule_lag.quantile(0.99)
        yield {
            "what": "schedule lag, p99",
            "value": "" if lag is None else format_duration(lag),
            "meaning": "late: response times include delays of the generator" if (lag or 0.0) > _LATE else "on time",
        }
        yield {"what": "CPU", "value": f"{session.runner.current_cpu_usage:.0f} %", "meaning": "of this process"}
        for worker_state in run.worker_states.values() if isinstance(run, DistributedRun) else ():
            state = f"lost: {worker_state.lost}" if worker_state.lost else "reports received"
            name, meaning = f"worker {worker_state.worker}", f"{state}, host {worker_state.host}"
            yield {"what": name, "value": worker_state.reports, "meaning": meaning}
        if isinstance(run, DistributedRun) and run.ignored:
            yield {"what": "ignored messages", "value": run.ignored, "meaning": "see ignored in end.json"}
        yield {"what": "run folder", "value": str(session.writer.path), "meaning": _run_state(session)}

    def _unless_running(self, locusts_report: Callable[[], Any]) -> Any:
        """Locust's own report, except during a run: making it takes 60 ms or more, in the process that sends the load."""
        if self._session.running:
            return (
                "Locust's report delays requests; it is made after the run. See ../chainproof/report.",
                503,
                _PLAIN_TEXT,
            )
        return locusts_report()

    def report(self) -> Any:
        """The report of the run so far."""
        return self._rendered({})

    def download(self) -> Any:
        """The report of the run so far, as a file."""
        writer = self._session.writer
        name = writer.path.name if writer is not None else "report"
        return self._rendered({"Content-Disposition": f'attachment; filename="{name}.html"'})

    def _rendered(self, fields: dict[str, str]) -> Any:
        """The HTML report, made by a child process, because reports must not run under gevent."""
        writer = self._session.writer
        if writer is None:
            return "No run has started, so there is nothing to report yet.", 404
        try:
            page = self._reports.page(writer.path)
        except ReportError as error:
            return str(error), 503, _PLAIN_TEXT
        return page, 200, {"Content-Type": "text/html; charset=utf-8", **fields}

    def live(self) -> Any:
        """The figures of the live page."""
        writer = self._session.writer
        if writer is None:
            return "No run has started.", 404
        return self._live.figures(writer.path, _run_state(self._session)), 200, {"Content-Type": "application/json"}

    # ------------------------------------------------------------------ other sites

    def _reject(self) -> Any:
        """Reject requests from pages of other sites, and host names that DNS rebinding points at this machine."""
        request = _web.request
        path = request.path.removeprefix(self._base_path) or "/"
        reason = objection(request.method, path, request.headers, self._own_names)
        return None if reason is None else (reason, 403, _PLAIN_TEXT)


def _differ_in_plan(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two sets of options differ only in values that a running plan can take over."""
    differing = {name for name, value in after.items() if before.get(name) != value}
    return bool(differing) and differing <= {"rate", "duration"}


_PLAIN_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_MAX_POINTS = 500
"""Points of Locust's charts: the history of a day has 17,280, which take long to send."""
_POLL_INTERVAL: Seconds = 0.02
_PATIENCE: Seconds = 2.0
"""How long a request waits for the end of a run before it is answered."""
_DRAINING = "Requests in flight are waited for until their deadline, or as long as --drain says."
_LATE: Seconds = 0.010
_MEANINGS = {
    "planned": "= sent + not sent",
    "not_sent": "the run was stopped, or the limit of in-flight requests was reached",
    "sent": "= ok + failed + timed out + censored + in flight",
    "ok": "200, and no must clause violated",
    "failed": "any other answer, or a transport error",
    "timed_out": "no complete answer by the deadline",
    "censored": "in flight when the drain ended",
}


def _load_statistics() -> None:
    """Load now what percentiles need: it takes 0.1 s, and the first request for them may come in the middle of a run."""
    from chainproof.judgement import latency  # noqa: PLC0415  # heavy: only for the page

    sample = Histogram()
    sample.record(1.0)
    latency.timing(sample)


def _log_failure(work: gevent.Greenlet[..., str | Exception]) -> None:
    """Log why a run was not started whose request was answered before; the web page shows the log."""
    if isinstance(work.value, Exception):
        logging.getLogger("chainproof").error(work.value)


def _run_state(session: WriterSession) -> str:
    """The ending of the last run, or the seconds since its start."""
    run = session.run
    if run is None:
        return ""
    return run.ending.value if run.finished else f"running for {max(run.now(), 0.0):.0f} s"


def _restrict_to_origin(answer: Any) -> Any:
    """Forbid other origins to read or frame a page."""
    for name in [name for name, _ in answer.headers if name.lower().startswith("access-control-")]:
        del answer.headers[name]
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _change_page(session: WriterSession, message: str) -> str:
    """The page to change a run: Locust's own form can change the users only."""
    work = session.demand.workload
    closed = work.model.value == "closed"
    fields: Mapping[str, Callable[[], object]] = {
        "rate": lambda: f"{session.rate:g}",
        "duration": lambda: f"{work.duration:g}s",
        **({"user_count": lambda: work.users} if closed else {}),
    }
    rows = "".join(
        f'<p><label>{name.replace("_", " ")} <input name="{name}" value="{escape(str(value()))}"></label></p>'
        for name, value in fields.items()
        if not (name == "rate" and closed)
    )
    effect = "ends the current run after draining it, and starts a new one"
    if not closed:
        effect = (
            "gives the current run a new plan from one of the next seconds on; the run folder records which, and the "
            "report shows the plans as phases. The duration is that of the whole run"
        )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>Change the run</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:2em auto;"
        "padding:0 1em}input{font:inherit}</style><h1>Change the run</h1>"
        f'<p>A change {effect}.</p><p role="status"><strong>{escape(message)}</strong></p>'
        f'<form method="post">{rows}<button>Change</button></form><p><a href="../">Back</a></p></html>'
    )
