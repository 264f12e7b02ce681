"""
The metrics of a report for an OpenTelemetry collector (OTLP over HTTP). They are those of the OpenMetrics report.

It needs the SDK of OpenTelemetry and its exporter. The exporter also reads the environment variables
`OTEL_EXPORTER_OTLP_…`, such as the one for headers.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import pairwise
from typing import Any
from urllib.parse import unquote, urlsplit

from chainproof import __version__
from chainproof.clock import Seconds
from chainproof.contract.redaction import REDACTED_HEADER, redactor
from chainproof.errors import UsageError
from chainproof.judgement.summary import Report
from chainproof.open_metrics import BOUNDS, Family, Labels, bucket_counts
from chainproof.results.folder import Run
from chainproof.statistics.histogram import Histogram

from ..formatting.runs import start_timestamp
from .open_metrics import families

REQUIRED = (
    "opentelemetry.sdk.metrics.export",
    "opentelemetry.sdk.resources",
    "opentelemetry.sdk.util.instrumentation",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "requests",
)
"""Modules that are loaded when metrics are sent: they are optional."""

TIMEOUT: Seconds = 10.0
_GRACE: Seconds = 1.0
"""How much longer than its timeout the exporter may take."""
_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
_METRICS_HEADERS = "OTEL_EXPORTER_OTLP_METRICS_HEADERS"
_HEADER_LOGGER = "opentelemetry.util.re"
"""Logs header fields of the environment that it cannot read."""

_Span = tuple[int, int]
"""Start and end of a run, in nanoseconds since the epoch."""


def check_url(url: str) -> None:
    """Raise UsageError if a URL cannot be that of a collector. A password in it would be shown."""
    expected = "--otlp: expected a URL such as http://127.0.0.1:4318/v1/metrics"
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UsageError(f"{expected}, found {url!r}")
    if parts.username is not None:
        raise UsageError(f"{expected}, without user name and password; use OTEL_EXPORTER_OTLP_HEADERS")


def send(report: Report, url: str, *, timeout: Seconds = TIMEOUT) -> None:
    """Send the metrics to the collector at a URL, which ends in `/v1/metrics`. Raises UsageError if it does not accept them."""
    option = f"--otlp {url.partition('?')[0]}"
    message = metrics(report)
    exported = _Export()
    with _recorded_messages() as messages:
        # In a thread, since the exporter waits without end for a collector that sends byte after byte.
        thread = threading.Thread(target=exported.run, args=(message, url, timeout), daemon=True)
        thread.start()
        thread.join(timeout + _GRACE)
    if any(record.name == _HEADER_LOGGER for record in messages):
        raise UsageError(
            f"{_HEADERS}: expected name=value, separated by commas, found something else, which is not shown: it may be secret"
        )
    if exported.status is not None and exported.status not in range(200, 300):
        raise UsageError(
            f"{option}: expected an answer with status 200, found {exported.status}: check the URL and {_HEADERS}"
        )
    if thread.is_alive():
        raise UsageError(
            f"{option}: expected an answer within {timeout:g} s, found none: check that the collector works"
        )
    if not exported.has_succeeded:
        reason = exported.error or (messages[0].getMessage() if messages else "no reason was given")
        secrets = tuple(
            unquote(part.partition("=")[2])
            for name in (_HEADERS, _METRICS_HEADERS)
            for part in os.environ.get(name, "").split(",")
        )
        raise UsageError(f"{option}: the metrics were not sent: {redactor(secrets, REDACTED_HEADER).redact(reason)}")


class _Export:
    """One export, and its result."""

    def __init__(self) -> None:
        self.status: int | None = None
        """The status of the last answer. A redirect is not followed: the header fields may have a secret."""
        self.error = ""
        self.has_succeeded = False

    def run(self, message: Any, url: str, timeout: Seconds) -> None:
        """Send the metrics. The body of an answer is not read: it may be endless, or expand."""
        export, *_, exporters, requests = map(import_module, REQUIRED)
        session = requests.Session()
        session.stream = True
        session.max_redirects = 0
        session.hooks["response"] = [self._note_status]
        try:
            exporter = exporters.OTLPMetricExporter(endpoint=url, timeout=timeout, session=session)
            self.has_succeeded = (
                exporter.export(message, timeout_millis=timeout * 1e3) is export.MetricExportResult.SUCCESS
            )
            exporter.shutdown()
        except Exception as error:  # noqa: BLE001  # whatever the exporter raises: the collector is not reached
            self.error = f"{type(error).__name__}: {error}"

    def _note_status(self, response: Any, *_: object, **__: object) -> None:
        self.status = response.status_code


@contextmanager
def _recorded_messages() -> Iterator[list[logging.LogRecord]]:
    """The log messages of OpenTelemetry, which are not shown: they repeat what the collector sent, and header fields."""
    logger, messages = logging.getLogger("opentelemetry"), list[logging.LogRecord]()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record)

    handler = Handler()
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


def metrics(report: Report) -> Any:
    """The metrics of a report in the data model of OpenTelemetry."""
    export, resources, instrumentation, *_ = map(import_module, REQUIRED)
    spans = {summary.run.name: _span(summary.run) for summary in report.summaries}
    scope = export.ScopeMetrics(
        scope=instrumentation.InstrumentationScope("chainproof", __version__),
        metrics=[_metric(family, spans) for family in families(report) if family.samples],
        schema_url="",
    )
    resource = resources.Resource({"service.name": "chainproof", "service.version": __version__})
    return export.MetricsData([export.ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])


def _metric(family: Family, spans: dict[str, _Span]) -> Any:
    """One metric."""
    export = import_module(REQUIRED[0])
    cumulative = export.AggregationTemporality.CUMULATIVE
    points = [_point(value, labels, spans[labels["run"]]) for labels, value in family.samples]
    if family.kind == "histogram":
        data = export.Histogram(data_points=points, aggregation_temporality=cumulative)
    elif family.kind == "counter":
        data = export.Sum(data_points=points, aggregation_temporality=cumulative, is_monotonic=True)
    else:
        data = export.Gauge(data_points=points)
    return export.Metric(
        name=family.name, description=family.help, unit="s" if "_seconds" in family.name else "1", data=data
    )


def _point(value: float | Histogram, labels: Labels, span: _Span) -> Any:
    """One sample, at the end of its run."""
    export = import_module(REQUIRED[0])
    start, end = span
    if not isinstance(value, Histogram):
        return export.NumberDataPoint(
            attributes=dict(labels), start_time_unix_nano=start, time_unix_nano=end, value=value
        )
    return export.HistogramDataPoint(
        attributes=dict(labels),
        start_time_unix_nano=start,
        time_unix_nano=end,
        count=value.count,
        sum=value.total,
        bucket_counts=[after - before for before, after in pairwise((0, *bucket_counts(value)))],
        explicit_bounds=BOUNDS,
        min=value.min or 0.0,
        max=value.max or 0.0,
    )


def _span(run: Run) -> _Span:
    """When a run took place; 0 if its start cannot be read."""
    start = start_timestamp(run.manifest.started)
    return round(start * 1e9), round((start + (run.end.seconds if run.end is not None else 0.0)) * 1e9)
