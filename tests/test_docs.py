"""Tests of the generated pages of the documentation."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
SPECIFICATION = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
assert SPECIFICATION is not None
assert SPECIFICATION.loader is not None
GENERATE = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(GENERATE)


@pytest.mark.parametrize("name", GENERATE.PAGES)
def test_a_generated_page_is_up_to_date(name):
    """Each page is what docs/generate.py writes."""
    assert GENERATE.PAGES[name]() == (DOCS / name).read_text(encoding="utf-8")


def test_pages_name_tests_that_exist():
    """Every path of a test in a page of the project is there."""
    root = DOCS.parent
    pages = [*root.glob("*.md"), *DOCS.rglob("*.md"), root / "conformance" / "README.md"]
    named = {path for page in pages for path in re.findall(r"\btests/[\w/]+\.py", page.read_text(encoding="utf-8"))}

    assert named
    assert [] == [path for path in sorted(named) if not (root / path).exists()]
