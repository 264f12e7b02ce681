"""A change of plan: another plan that replaced the first one during a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, cast

from chainproof.clock import Seconds
from chainproof.json_text import JSON
from chainproof.results.manifest import Manifest


class PlanChangeData(TypedDict):
    """One line of `plans.jsonl`."""

    from_s: float
    settings: dict[str, JSON]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """The start of another plan, and the settings from then on."""

    start: Seconds
    """Intended starts from this time on belong to the new plan."""
    settings: Mapping[str, JSON]
    """They replace those in the manifest. The phases are those of the entire run, one for each plan."""

    def to_json(self) -> PlanChangeData:
        """The new plan as JSON types."""
        return {"from_s": self.start, "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, data: PlanChangeData) -> PlanChange:
        """The new plan that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        return cls(start=float(data["from_s"]), settings=dict(data["settings"]))


def apply_plan_changes(manifest: Manifest, plan_changes: Sequence[PlanChange]) -> Manifest:
    """The manifest with the settings of the last plan, and with the times of all changes of plan."""
    if not plan_changes:
        return manifest
    settings = {**manifest.settings, **plan_changes[-1].settings}
    settings["replanned_at_s"] = cast(JSON, [each.start for each in plan_changes])
    return replace(manifest, settings=settings)
