"""
Chance as a function: the number drawn depends on the seed and on what it is drawn for, and on nothing before it.

So the n-th request meets the same luck in every run with the same seed, however the requests before it were answered.
The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), addressed by position instead of stepped through: its
state after n steps is the seed plus n times a constant.
"""

from __future__ import annotations

from enum import IntEnum

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, odd: its multiples visit every 64-bit number once."""


class DrawPurpose(IntEnum):
    """
    What a number is drawn for: each purpose has its own draw for each request.
    """

    OUTCOME = 0
    COMPONENT = 1
    SERVICE_TIME = 2


_PURPOSES = 16
"""Draws set aside for each request: more than there are purposes, so that a new one leaves the others' draws alone."""


def mix64(value: int) -> int:
    """
    A 64-bit number for a 64-bit number, one to one, without visible order.
    """
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def uniform(seed: int, number: int, purpose: DrawPurpose) -> float:
    """
    A number between 0 and 1, both excluded, for one purpose of one request.
    """
    # The seed is mixed first: neighbouring seeds must not give the same sequence, shifted.
    position = mix64(seed & _MASK) + (number * _PURPOSES + purpose) * _GAMMA
    return ((mix64(position & _MASK) >> 12) + 0.5) / (1 << 52)
