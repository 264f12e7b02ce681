"""
The metrics of a report for an OpenTelemetry collector (OTLP over HTTP). They are those of the OpenMetrics report.

It needs the SDK of OpenTelemetry and its exporter. The exporter also reads the environment variables
`OTEL_EXPORTER_OTLP_…`, such as the one for headers.
"""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from typing import Any

from chainproof import __version__
from chainproof.clock import Seconds
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
)
"""Modules that are loaded when metrics are sent: they are optional."""

TIMEOUT: Seconds = 10.0
_Span = tuple[int, int]
"""Start and end of a run, in nanoseconds since the epoch."""


def send(report: Report, url: str) -> None:
    """Send the metrics to the collector at a URL, which ends in `/v1/metrics`. Raises UsageError if it does not take them."""
    export, *_, exporters = map(import_module, REQUIRED)
    exporter = exporters.OTLPMetricExporter(endpoint=url, timeout=TIMEOUT)
    try:
        result = exporter.export(metrics(report), timeout_millis=TIMEOUT * 1e3)
    except Exception as error:  # whatever the exporter raises: the collector is not reached
        raise UsageError(f"--otlp {url}: {type(error).__name__}: {error}") from error
    finally:
        exporter.shutdown()
    if result is not export.MetricExportResult.SUCCESS:
        raise UsageError(f"--otlp {url}: the collector did not take the metrics; see the message of the exporter above")


def metrics(report: Report) -> Any:
    """The metrics of a report in the data model of OpenTelemetry."""
    export, resources, instrumentation, _ = map(import_module, REQUIRED)
    spans = {summary.run.path.name: _span(summary.run) for summary in report.summaries}
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
