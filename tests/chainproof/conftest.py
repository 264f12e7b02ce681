"""
Properties of the shared language are judged by what they find, not by how fast a busy machine finds it.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("language", deadline=None)
settings.load_profile("language")
