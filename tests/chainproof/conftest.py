"""Hypothesis settings: no deadline, because a busy machine may be slow."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
