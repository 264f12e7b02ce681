"""
What every test has around it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def alone() -> Iterator[None]:
    """
    What tests run does not know that they have neighbours: under pytest-xdist a conformance run has a share of a folder.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_XDIST_WORKER", raising=False)
        yield
