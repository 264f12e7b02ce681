"""`--record-requests`: one row for each request up to a limit, and the counts of the rows are those of the run."""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.contract.levels import Contract
from chainproof.judgement.summary import report
from chainproof.loadtests.client.reply import Reply
from chainproof.loadtests.recording.assessment import Assessment
from chainproof.loadtests.recording.in_flight_request import InFlightRequest
from chainproof.loadtests.recording.recorder import Recorder
from chainproof.reports.formats import request_csv
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.folder import REQUESTS, Run, read_run
from chainproof.results.manifest import Ending
from chainproof.results.run_writer import RunWriter

from ...manifests import load_manifest

OUTCOMES = (
    Outcome(Transport.ANSWERED, 200, None, Result.OK),
    Outcome(Transport.ANSWERED, 429, 'rate"limited",\r\n=1', Result.FAILED),
    Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT),
)


def recorded(
    requests: list[tuple[float, Outcome | NotSent]], limit: int, request_id: bytes = b"id", redact: str = ""
) -> tuple[Run, list[dict[str, str]]]:
    """The run with these requests, of which so many are recorded, and their rows in the export."""
    manifest = load_manifest(name="test", settings={"record_requests": limit})
    with tempfile.TemporaryDirectory() as folder, RunWriter(Path(folder) / "run", manifest) as writer:
        recorder = Recorder(writer, contract=Contract.STRICT, seed=0, record_requests=limit)
        if redact:
            recorder.redact = lambda text: text.replace(redact, "[removed]")
        recorder.plan(start for start, _ in requests)
        for number, (start, what) in enumerate(sorted(requests, key=lambda each: each[0])):
            if isinstance(what, NotSent):
                recorder.count_not_sent(start, what)
                continue
            request = InFlightRequest(number, start, None, start, end=start + 0.1)
            request.reply = Reply(what.transport, start + 0.1, read_at=start + 0.1, request_id=request_id)
            recorder.count_sent(request)
            recorder.count_settled(request, Assessment(what), start + 0.1)
        recorder.finish(20.0, Ending.COMPLETED, "")
        run = read_run(writer.path)
        return run, list(csv.DictReader(io.StringIO(request_csv.render(report([run])), newline="")))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 9), st.sampled_from((*OUTCOMES, *NotSent))), max_size=30),
    st.integers(1, 40),
    st.text(max_size=20),
)
def test_the_rows_are_the_requests_up_to_the_limit(
    requests: list[tuple[float, Outcome | NotSent]], limit: int, request_id: str
) -> None:
    """Whatever the target sends; a run that recorded all its requests has the results of its accounting."""
    run, rows = recorded(requests, limit, request_id.encode("utf-8", "surrogatepass"))

    assert {} == run.damage
    assert min(len(requests), limit) == len(rows) == (run.recorded_requests or 0)
    assert all(None not in row and None not in row.values() for row in rows)
    if len(requests) <= limit:
        results = Counter("not_sent" if isinstance(what, NotSent) else what.result.value for _, what in requests)
        assert results == Counter(row["result"] for row in rows)
        assert run.end is not None
        assert +results == +Counter({name: run.end.accounting[name] for name in (*results, "not_sent")})


@settings(max_examples=25, deadline=None)
@given(st.sampled_from("=+-@\t\r"), st.text(max_size=5))
def test_no_field_is_a_formula_or_controls_a_terminal(sign: str, rest: str) -> None:
    """A spreadsheet program shows what a target sent as text; the same holds for what it would not show at all."""
    _, (row,) = recorded([(1.0, OUTCOMES[0])], 1, f"{sign}{rest}\x9b\u202e".encode("utf-8", "surrogatepass"))

    assert row["request_id"][:1] not in {"=", "+", "-", "@", "\t", "\r"}
    assert row["request_id"].isprintable()


def test_times_and_secrets_of_a_row() -> None:
    """Times are seconds of the run; what a target repeats of a secret is removed."""
    _, (row,) = recorded([(1.25, OUTCOMES[0])], 5, b"an-api-key", redact="api-key")

    assert ("1.250000000", "1.250000000", "1.350000000") == (row["intended_start_s"], row["start_s"], row["end_s"])
    assert ("200", "ok", "an-[removed]") == (row["status"], row["result"], row["request_id"])


def test_without_the_option_nothing_is_recorded() -> None:
    """There is no file, and the export has only its header."""
    run, rows = recorded([(1.0, OUTCOMES[0])], 0)

    assert (None, []) == (run.recorded_requests, rows)
    assert not (run.path / REQUESTS).exists()
