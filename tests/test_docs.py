"""
What the documentation says is what the code does.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_contract_page_is_the_contract():
    """
    docs/contract.md is what docs/generate.py makes of the clauses, tables and waivers.
    """
    specification = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert specification is not None
    assert specification.loader is not None
    generate = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(generate)

    assert generate.page() == (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
