"""
The metrics of a report for an OpenTelemetry collector (OTLP over HTTP). They are those of the OpenMetrics report.

It needs the SDK of OpenTelemetry and its exporter. The exporter also reads the environment variables
`OTEL_EXPORTER_OTLP_…`, such as the one for headers.
"""

from __future__ import annotations

from datetime import datetime
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

from .open_metrics import families

# They are loaded by name because they are optional: neither mypy nor anything else of chainproof needs them.
export: Any = import_module("opentelemetry.sdk.metrics.export")
_exporter: Any = import_module("opentelemetry.exporter.otlp.proto.http.metric_exporter")
_resources: Any = import_module("opentelemetry.sdk.resources")
_instrumentation: Any = import_module("opentelemetry.sdk.util.instrumentation")

TIMEOUT: Seconds = 10.0
_CUMULATIVE = export.AggregationTemporality.CUMULATIVE
_Span = tuple[int, int]
"""Start and end of a run, in nanoseconds since the epoch."""


def send(report: Report, url: str) -> None:
    """Send the metrics to the collector at a URL, which ends in `/v1/metrics`. Raises UsageError if it does not take them."""
    exporter = _exporter.OTLPMetricExporter(endpoint=url, timeout=TIMEOUT)
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
    spans = {summary.run.path.name: _span(summary.run) for summary in report.summaries}
    scope = export.ScopeMetrics(
        scope=_instrumentation.InstrumentationScope("chainproof", __version__),
        metrics=[_metric(family, spans) for family in families(report) if family.samples],
        schema_url="",
    )
    resource = _resources.Resource({"service.name": "chainproof", "service.version": __version__})
    return export.MetricsData([export.ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])


def _metric(family: Family, spans: dict[str, _Span]) -> Any:
    """One metric."""
    points = [_point(value, labels, spans[labels["run"]]) for labels, value in family.samples]
    if family.kind == "histogram":
        data = export.Histogram(data_points=points, aggregation_temporality=_CUMULATIVE)
    elif family.kind == "counter":
        data = export.Sum(data_points=points, aggregation_temporality=_CUMULATIVE, is_monotonic=True)
    else:
        data = export.Gauge(data_points=points)
    return export.Metric(
        name=family.name, description=family.help, unit="s" if "_seconds" in family.name else "1", data=data
    )


def _point(value: float | Histogram, labels: Labels, span: _Span) -> Any:
    """One sample, at the end of its run."""
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
    try:
        start = datetime.fromisoformat(run.manifest.started).timestamp()
    except ValueError:
        start = 0.0
    return round(start * 1e9), round((start + (run.end.seconds if run.end is not None else 0.0)) * 1e9)
