"""Manifests of runs that tests make by hand."""

from __future__ import annotations

from chainproof.results.manifest import Manifest, RunKind

STARTED = "2026-11-22T13:27:00.250Z"


def load_manifest(**facts: object) -> Manifest:
    """The manifest of a load run with these facts."""
    usual = {"kind": RunKind.LOAD, "name": "steady", "started": STARTED, "target": "http://127.0.0.1/"}
    return Manifest(**{**usual, **facts})  # type: ignore[arg-type]  # by name
