"""Seeds of everything random in a step, from what it is for and where it stands.

No generator is carried from step to step: a resumed run, or one on other ranks, draws the same.
"""

from __future__ import annotations

_MASK = 2**64 - 1


def seed_of(*parts: int) -> int:
    """A seed of 63 bits; different parts give unrelated ones (SplitMix64 over the parts)."""
    state = 0
    for part in parts:
        state = (state ^ (part & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1
