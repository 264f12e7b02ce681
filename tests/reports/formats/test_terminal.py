"""The terminal summary: at most 100 columns, plain by default, with commands that can be copied."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.conformance.runner.finding_text import finding_text
from chainproof.judgement.summary import report
from chainproof.reports.formats import html, markdown, terminal
from chainproof.reports.formatting import quantities, safe_text
from chainproof.reports.formatting.terminal_text import wrapped
from chainproof.results.coverage import Coverage
from chainproof.results.folder import read_run
from chainproof.results.shell_command import request_command, variable_secret

from ..sample_reports import SAMPLES, reports_of
from ..sample_runs import a_finding, write_conformance

COMMAND = re.compile(r"^ +(?:curl|printf|--data-binary|'|-H)")


@pytest.mark.parametrize("name", SAMPLES)
def test_no_line_has_more_than_100_columns(name, tmp_path):
    """Only a word of a shell command may be longer than a line."""
    lines = terminal.render(reports_of(name, tmp_path)).splitlines()

    assert [] == [line for line in lines if len(line) > terminal.WIDTH and not COMMAND.match(line)]


@pytest.mark.parametrize("name", SAMPLES)
def test_colour_changes_nothing_else(name, tmp_path):
    """Without colour there are no control characters; with colour the text is the same."""
    found = reports_of(name, tmp_path)
    plain = terminal.render(found)

    assert [] == [character for character in plain if not character.isprintable() and character != "\n"]
    assert plain == re.sub(r"\x1b\[[\d;]*m", "", terminal.render(found, colour=True))


@pytest.mark.parametrize(("name", "word"), [("both", "FAIL"), ("unfinished", "INVALID"), ("broken", "ERROR")])
def test_the_verdict_comes_first(name, word, tmp_path):
    """The first line starts with the verdict."""
    first = terminal.render(reports_of(name, tmp_path)).splitlines()[0]

    assert first.startswith(word + "  ")


@pytest.mark.parametrize(
    "command", ["::error file=a,line=1::", "::Stop-Commands::", "##vso[task.setvariable]", "##[error]"]
)
@pytest.mark.parametrize("between", ["", " "])
def test_a_target_gives_no_commands_to_a_ci_service(between, command, tmp_path):
    """GitHub and others obey a line of output that begins with a command; wherever lines are wrapped, none does."""
    for length in range(60, 101):
        found = a_finding(actual=f"{'y' * length}{between}{command}boom", request_id=command, cases=(command,))
        lines = wrapped(safe_text.escape_unprintable(found.actual), "    ", "      ") + finding_text(found).splitlines()

        assert not [line for line in lines if re.match(r" *(::[A-Za-z-]+[ :]|##)", line)]
    path = write_conformance(tmp_path / "a", findings=[found])
    assert command not in terminal.render(report([read_run(path)]))


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z-]{1,20}", fullmatch=True),
            st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=80),
        ),
        max_size=5,
    ),
    st.none() | st.binary(max_size=300),
)
def test_a_wrapped_curl_command_is_the_same_command(headers, body):
    """A curl command on several lines has the same words for a shell."""
    url, secret = "https://a.example/x?y=1", variable_secret("secret", "KEY")
    line = request_command(method="POST", url=url, headers=headers, body=body, secret=secret)
    shown = "\n".join(terminal._shell_line(line))

    assert shlex.split(line, comments=False) == shlex.split(shown.replace("\\\n", " "), comments=False)


def test_the_comment_of_a_wrapped_command_is_a_line_of_its_own():
    """A backslash at the end of a comment does not continue it, so the rest would be another command."""
    line = f"chainproof conformance -k {'x' * 40} --seed 1  # one request alone does not show it"

    assert ["      # one request alone does not show it", f"      chainproof conformance -k {'x' * 40} --seed 1"] == (
        terminal._shell_line(line)
    )


@given(st.text())
def test_escaped_text_is_printable(text):
    """Escaped text is printable, and printable text is not changed."""
    shown = safe_text.escape_unprintable(text)

    assert shown.isprintable()
    assert shown == (text if text.isprintable() else shown)


@given(st.floats(0, 1))
def test_a_share_is_not_rounded_to_0_or_100_percent(share):
    """One failure in a million remains visible."""
    text = quantities.percent(share)

    if 1e-8 < share < 1 - 1e-8:
        assert text not in ("0 %", "100 %")
        assert float(text.removesuffix(" %")) not in (0.0, 100.0)
    assert abs(float(text.removesuffix(" %")) - share * 100) <= 0.051


@pytest.mark.parametrize(("requests", "explained"), [(49, ""), (139, "the answers leave out 90, which")])
def test_requests_that_are_in_no_count_of_answers_are_explained(requests, explained, tmp_path):
    """The answers add up to fewer than the requests: those to other paths, and others, are not counted."""
    report = reports_of("both", tmp_path)
    place, summary = next((n, each) for n, each in enumerate(report.summaries) if hasattr(each, "clauses"))
    run = replace(summary.run, coverage=Coverage(requests=requests, statuses={200: 40, 400: 9}))
    changed = replace(
        report,
        summaries=tuple(replace(summary, run=run) if n == place else each for n, each in enumerate(report.summaries)),
    )

    for render in (terminal.render, html.render, markdown.render):
        text = " ".join(render(changed).split())
        assert explained in text
        assert ("the answers leave out" in text) == bool(explained)


@pytest.mark.parametrize("server", ["nginx/1.24.0", ""])
def test_the_terminal_has_the_remedies_for_the_server_of_the_answer(server, tmp_path):
    """The others are named only; without a known server there are all."""
    report = reports_of("both", tmp_path)
    place, summary = next((n, each) for n, each in enumerate(report.summaries) if hasattr(each, "clauses"))
    actual = "status 400 with Content-Type text/html"
    found = replace(summary.findings[0], clause="error-media-type", actual=actual, server=server)
    changed = replace(summary, findings=(found,))
    summaries = tuple(changed if n == place else each for n, each in enumerate(report.summaries))
    text = terminal.render(replace(report, summaries=summaries))
    shown = re.findall(r"^ +remedy +(\w+):", text, re.MULTILINE)

    assert shown == ["nginx"] if server else {"Flask", "Express"} < set(shown)
    assert ("otherwise   Flask" in text) == bool(server)


def test_what_is_left_out_is_shown_by_a_command_that_can_be_pasted(tmp_path):
    """The command names the run folder, quoted for a shell."""
    folder = tmp_path / "a run"
    findings = [replace(a_finding(), expected=f"status {number}") for number in range(terminal.MAX_FINDINGS + 3)]
    write_conformance(folder, findings=findings)

    text = " ".join(terminal.render(report([read_run(folder)])).split())

    assert f"… and 3 more: see `chainproof reports {shlex.quote(str(folder))} --html FILE`" in text
    assert "reports RUN" not in text
