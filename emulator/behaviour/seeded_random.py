"""
Random numbers as a function of seed, request number and purpose.

The n-th request gets the same numbers in every run with the same seed, regardless of the requests before it. The
generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), addressed by position: its state after n steps is the
seed plus n times a constant.
"""

from __future__ import annotations

from enum import IntEnum

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, made odd: its multiples visit every 64-bit number once."""


class DrawPurpose(IntEnum):
    """What a random number is used for. Each purpose has its own number for each request."""

    OUTCOME = 0
    COMPONENT = 1
    SERVICE_TIME = 2


_PURPOSES = 16
"""Numbers reserved for each request. More than there are purposes, so that a new purpose changes no other number."""


def mix64(value: int) -> int:
    """A bijective hash of a 64-bit number."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def uniform(seed: int, number: int, purpose: DrawPurpose) -> float:
    """A random number between 0 and 1, both excluded, for one purpose of one request."""
    # Hash the seed first: otherwise neighbouring seeds give shifted copies of one sequence.
    position = mix64(seed & _MASK) + (number * _PURPOSES + purpose) * _GAMMA
    return ((mix64(position & _MASK) >> 12) + 0.5) / (1 << 52)
