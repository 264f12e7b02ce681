"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def without_xdist_worker() -> Iterator[None]:
    """Runs that tests start ignore pytest-xdist: a conformance run in an xdist worker would use a worker folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_XDIST_WORKER", raising=False)
        yield
