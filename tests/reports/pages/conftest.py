"""A tab of a browser, for the tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .browser import Page, browser


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One tab for all tests of a file."""
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
