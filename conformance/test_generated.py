"""
Whatever is generated from the document is answered as documented.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, openapi_document
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(openapi_document), indirect=True, ids=lambda check: check.name)
def test_the_document_holds(check_result: CheckResult) -> None:
    """
    Whatever is generated from the document is answered as documented.
    """
    check_result.assert_passed()
