"""A finding as text for a terminal."""

from __future__ import annotations

from chainproof.results.finding import Finding
from chainproof.stored_text import escape_unprintable


def finding_text(found: Finding) -> str:
    """Clause, expected and actual, source with quotation, and how to reproduce it. A target controls no terminal with it."""
    times = "once" if found.count == 1 else f"{found.count} times"
    times += f" by {found.checks} checks" * (found.checks > 1)
    first = f"{found.clause} ({found.level}): expected {found.expected}, found {found.actual}; seen {times}"
    lines = [escape_unprintable(first), escape_unprintable(f"  {found.source}: {found.quotation}")]
    if found.reproduce:
        lines.append(f"  {found.reproduce}")
    details = [f"seed {found.seed}"]
    if found.request_id:
        details.append(f"request id {found.request_id}")
    if found.check:
        details.append(f"first seen by: {found.check}")
    lines.append(escape_unprintable("  " + ", ".join(details)))
    return "\n".join(lines)
