"""
Whatever is generated from the document is answered as documented.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, openapi_document
from chainproof.conformance.runner.run import Observed

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("observed", checks_in(openapi_document), indirect=True, ids=lambda check: check.name)
def test_the_document_holds(observed: Observed) -> None:
    """
    Whatever is generated from the document is answered as documented.
    """
    observed.stands()
