"""The Markdown report: text from a target never becomes markup."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.reports.formats import markdown

from ..sample_reports import SAMPLES, reports_of

CODE = re.compile(r"(?<![\\`])((?:\\\\)*)(`+)(?!`)(.+?)(?<!`)\2(?!`)", re.DOTALL)
"""A code span. A backtick after a backslash does not start one, after an escaped backslash it does."""


@pytest.mark.parametrize("name", SAMPLES)
def test_every_row_of_a_table_has_the_cells_of_its_header(name, tmp_path):
    """No error code adds a cell or ends a row."""
    cells = None
    for line in markdown.render(reports_of(name, tmp_path)).splitlines():
        if not line.startswith("| "):
            cells = None
            continue
        found = len(re.findall(r"(?<!\\)\|", line))
        assert cells in (None, found)
        cells = found


@pytest.mark.parametrize("name", SAMPLES)
def test_no_tag_is_outside_code(name, tmp_path):
    """Markup from a target is escaped or inside code."""
    text = markdown.render(reports_of(name, tmp_path))
    prose = CODE.sub(r"\1", text)

    assert [] == re.findall(r"(?<!\\)<[a-z/]", prose)
    assert len(text) < 60_000


@given(st.text(alphabet="`|a \\<", min_size=1))
def test_code_is_one_code_span(text):
    """Backticks in the text do not end the code span."""
    match = CODE.fullmatch(markdown.code(text))

    assert match is not None
    assert text.strip() == match[3].replace("\\|", "|").strip()


LINKS = re.compile(r"(?i)(?:https?|ftp)://\w|(?:mailto|xmpp):\w|(?<![a-z0-9])www\.\w|[\w.+-]+\\?@[\w-]+\.\w")


@given(
    st.lists(
        st.sampled_from(["https://", "HTTP://", "ftp://", "www.", "a", "b.example", "@", "/", "(", ".", ":", " ", "`"])
    ).map("".join)
)
def test_links_become_code(text):
    """Text that GitHub would turn into a link is inside code, where nothing is linked."""
    shown = markdown.plain(text).replace(
        "\\`", ""
    )  # an escaped backtick does not start code, and the texts contain no backslash

    assert [] == LINKS.findall(CODE.sub(r"\1 ", shown))


@pytest.mark.parametrize("name", SAMPLES)
def test_no_report_contains_a_link(name, tmp_path):
    """Neither the URL of the target nor a URL in an error message becomes a link."""
    text = re.sub(r"(?ms)^ *(`{3,})sh$.*?^ *\1$", "", markdown.render(reports_of(name, tmp_path)))

    assert [] == LINKS.findall(CODE.sub(r"\1 ", text))


@given(st.text())
def test_plain_text_is_one_line_without_markup(text):
    """Every special character of Markdown is escaped."""
    shown = CODE.sub(r"\1", markdown.plain(text))

    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_<>|\[\]]", shown)
