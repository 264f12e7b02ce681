"""A target for the tests of whole commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chainproof.endpoint import Endpoint, start_emulator


@pytest.fixture(scope="module")
def emulator() -> Iterator[Endpoint]:
    """One emulator for all tests of a file."""
    with start_emulator("instant") as endpoint:
        yield endpoint
