"""
A finding in the words of a terminal.
"""

from __future__ import annotations

from chainproof.results.finding import Finding


def finding_text(found: Finding) -> str:
    """
    Clause, source, quotation, expected, actual, how to see it again.
    """
    times = "once" if found.count == 1 else f"{found.count} times"
    lines = [
        f"{found.clause} ({found.level}): expected {found.expected}, found {found.actual}; seen {times}",
        f"  {found.source}: {found.quotation}",
    ]
    if found.reproduce:
        lines.append(f"  {found.reproduce}")
    tail = [f"seed {found.seed}"]
    if found.request_id:
        tail.append(f"request id {found.request_id}")
    if found.check:
        tail.append(f"seen first by: {found.check}")
    lines.append("  " + ", ".join(tail))
    return "\n".join(lines)
