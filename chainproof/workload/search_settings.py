"""Settings of a search for the highest arrival rate that meets the objectives."""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.clock import PerSecond, Seconds

SATURATION = "saturation"
SEARCHES = (SATURATION,)
"""The kinds of search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """The range and precision of a search. It starts at the workload's own rate."""

    max_rate: PerSecond = 1000.0
    """The highest rate that is tried."""
    resolution: float = 0.06
    """The result lies this share below the lowest rate that missed the objectives."""
    verifications: int = 2
    """The number of runs at the resulting rate that together must show that the objectives are met."""
    max_requests: int | None = None
    """The number of requests for each rate after which it counts as undecided; None: as many as the objectives need."""
    max_duration: Seconds = 6 * 3600.0
    """The search ends after this time."""

    def errors(self, lowest: PerSecond) -> list[str]:
        """A message for every invalid setting."""
        checks = (
            (
                self.max_rate >= lowest,
                f"search: expected max_rate to be at least {lowest:g}, found {self.max_rate:g}",
            ),
            (
                0.005 <= self.resolution <= 1,
                f"search: expected a resolution from 0.5% to 100%, found {self.resolution:.3%}",
            ),
            (1 <= self.verifications <= 20, f"search: expected 1 to 20 verifications, found {self.verifications}"),
            (
                self.max_requests is None or self.max_requests >= 1,
                f"search: expected max_requests to be at least 1, found {self.max_requests}",
            ),
            (
                self.max_duration > 0,
                f"search: expected max_duration to be more than 0 s, found {self.max_duration:g} s",
            ),
        )
        return [message for is_valid, message in checks if not is_valid]


def parse_share(text: str) -> float:
    """
    The fraction in a percentage or a plain number.

    >>> (parse_share("5%"), parse_share("0.05"))
    (0.05, 0.05)

    Raises ValueError.
    """
    bare = text.strip()
    try:
        return float(bare.removesuffix("%")) / (100 if bare.endswith("%") else 1)
    except ValueError:
        raise ValueError(f"expected a share such as 5% or 0.05, found {text!r}") from None
