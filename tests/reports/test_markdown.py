"""
The job summary: tables that stay tables whatever stands in them.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.reports.formats import markdown

from .sample_reports import SAMPLES, reports_of

CODE = re.compile(r"(?<![\\`])((?:\\\\)*)(`+)(?!`)(.+?)(?<!`)\2(?!`)", re.DOTALL)
"""A code span; a backtick behind a backslash opens none, behind an escaped backslash it does."""


@pytest.mark.parametrize("name", SAMPLES)
def test_every_row_of_a_table_has_the_cells_of_its_header(name, tmp_path):
    """
    No error code, however it is spelled, adds a cell or ends a row.
    """
    cells = None
    for line in markdown.render(reports_of(name, tmp_path)).splitlines():
        if not line.startswith("| "):
            cells = None
            continue
        found = len(re.findall(r"(?<!\\)\|", line))
        assert cells in (None, found)
        cells = found


@pytest.mark.parametrize("name", SAMPLES)
def test_no_tag_stands_outside_code(name, tmp_path):
    """
    Markup that a target writes is escaped or stands in code.
    """
    text = markdown.render(reports_of(name, tmp_path))
    prose = CODE.sub(r"\1", text)

    assert [] == re.findall(r"(?<!\\)<[a-z/]", prose)
    assert len(text) < 60_000


@given(st.text(alphabet="`|a \\<", min_size=1))
def test_code_is_one_code_span(text):
    """
    Backticks within never end the code they stand in.
    """
    match = CODE.fullmatch(markdown.code(text))

    assert match is not None
    assert text.strip() == match[3].replace("\\|", "|").strip()


LINKS = re.compile(r"(?i)(?:https?|ftp)://\w|(?:mailto|xmpp):\w|(?<![a-z0-9])www\.\w|[\w.+-]+\\?@[\w-]+\.\w")


@given(
    st.lists(
        st.sampled_from(["https://", "HTTP://", "ftp://", "www.", "a", "b.example", "@", "/", "(", ".", ":", " ", "`"])
    ).map("".join)
)
def test_nothing_becomes_a_link_by_itself(text):
    """
    What GitHub would link unasked, a host of the target's choosing, stands in code, where nothing is linked.
    """
    shown = markdown.plain(text).replace("\\`", "")  # an escaped backtick opens no code; the texts hold no backslash

    assert [] == LINKS.findall(CODE.sub(r"\1 ", shown))


@pytest.mark.parametrize("name", SAMPLES)
def test_no_report_links_anywhere(name, tmp_path):
    """
    The whole summary holds no link: not the target's URL, not one in an error message.
    """
    text = re.sub(r"(?ms)^ *(`{3,})sh$.*?^ *\1$", "", markdown.render(reports_of(name, tmp_path)))

    assert [] == LINKS.findall(CODE.sub(r"\1 ", text))


@given(st.text())
def test_plain_text_is_one_line_without_markup(text):
    """
    Every character that Markdown could take for its own has a backslash before it.
    """
    shown = CODE.sub(r"\1", markdown.plain(text))

    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_<>|\[\]]", shown)
