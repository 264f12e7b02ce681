"""
What a search asks of a workload: the highest arrival rate that still meets its objectives, and how closely to look.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.clock import PerSecond, Seconds

SATURATION = "saturation"
SEARCHES = (SATURATION,)
"""What can be searched for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """
    From where to where a rate is searched for, and when it counts as found. The workload's own rate is the lowest.
    """

    max_rate: PerSecond = 1000.0
    """No rate above it is asked for."""
    resolution: float = 0.05
    """How far above the answer, as a share of it, the objectives may be missed."""
    verifications: int = 3
    """How many more runs at the answer must meet the objectives."""
    max_probe_duration: Seconds = 60.0
    """How long a probe may become that has not come to its verdict."""

    def errors(self, lowest: PerSecond) -> list[str]:
        """
        Everything that makes it impossible to search, in words.
        """
        checks = (
            (
                self.max_rate >= lowest,
                f"search: expected a highest rate of at least {lowest:g}, found {self.max_rate:g}",
            ),
            (
                0.005 <= self.resolution <= 1,
                f"search: expected a resolution from 0.5% to 100%, found {self.resolution:.3%}",
            ),
            (1 <= self.verifications <= 20, f"search: expected 1 to 20 verifications, found {self.verifications}"),
            (
                self.max_probe_duration > 0,
                f"search: expected a longest probe of more than 0 s, found {self.max_probe_duration:g} s",
            ),
        )
        return [mistake for fine, mistake in checks if not fine]


def parse_share(text: str) -> float:
    """
    A share, as a percentage or a fraction.

    >>> (parse_share("5%"), parse_share("0.05"))
    (0.05, 0.05)

    Raises ValueError.
    """
    bare = text.strip()
    try:
        return float(bare.removesuffix("%")) / (100 if bare.endswith("%") else 1)
    except ValueError:
        raise ValueError(f"expected a share such as 5% or 0.05, found {text!r}") from None
