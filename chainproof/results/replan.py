"""
A plan that took the place of another while a run went on: from which instant, and what the settings are since then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, cast

from chainproof.clock import Seconds
from chainproof.json_text import JSON
from chainproof.results.manifest import Manifest


class ReplanData(TypedDict):
    """
    One line of `plans.jsonl`.
    """

    from_s: float
    settings: dict[str, JSON]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replan:
    """
    What was asked of a run after it had begun.
    """

    start: Seconds
    """Intended starts from this instant on are the new plan's; those before stay as they were."""
    settings: Mapping[str, JSON]
    """Those of the whole run in the manifest's place, its phases among them: each plan is one."""

    def to_json(self) -> ReplanData:
        """The new plan as JSON types."""
        return {"from_s": self.start, "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, data: ReplanData) -> Replan:
        """The new plan that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        return cls(start=float(data["from_s"]), settings=dict(data["settings"]))


def apply_replans(manifest: Manifest, replans: Sequence[Replan]) -> Manifest:
    """
    The manifest with what is known since the run began: the last plan's settings, and when there was a new one.
    """
    if not replans:
        return manifest
    settings = {**manifest.settings, **replans[-1].settings}
    settings["replanned_at_s"] = cast(JSON, [each.start for each in replans])
    return replace(manifest, settings=settings)
