"""How may a correct endpoint differ from the emulator?"""

from __future__ import annotations

from . import framing, message, request  # noqa: F401  # each import registers the variants of one module
from .variant import VARIANTS, Variant

__all__ = ["VARIANTS", "Variant"]
