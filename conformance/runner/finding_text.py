"""A finding as text for a terminal."""

from __future__ import annotations

from chainproof.results.finding import Finding


def finding_text(found: Finding) -> str:
    """Clause, expected and actual, source with quotation, and how to reproduce it."""
    times = "once" if found.count == 1 else f"{found.count} times"
    times += f" by {found.checks} checks" * (found.checks > 1)
    lines = [
        f"{found.clause} ({found.level}): expected {found.expected}, found {found.actual}; seen {times}",
        f"  {found.source}: {found.quotation}",
    ]
    if found.reproduce:
        lines.append(f"  {found.reproduce}")
    details = [f"seed {found.seed}"]
    if found.request_id:
        details.append(f"request id {found.request_id}")
    if found.check:
        details.append(f"first seen by: {found.check}")
    lines.append("  " + ", ".join(details))
    return "\n".join(lines)
