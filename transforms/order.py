"""Hashes in place of randomness: every choice and order follows from seed, sample id and pass.

Hashes decide which rows a fractional epoch takes, the position of a copy in the mixture, and the
order and number of its turns. They need no state and are the same on every runner. The hash
function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), vectorised.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Purpose = Literal["select", "position", "turns", "cap"]

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_PURPOSES: dict[Purpose, int] = {"select": 1, "position": 2, "turns": 3, "cap": 4}


def _finalise(z: U64) -> U64:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def mix64(ids: U64, seed: int, purpose: Purpose, number: int | U64) -> U64:
    """Hash ids to 64 bits.

    Args:
        ids: shape (n, 2), the two halves of each 128-bit id, high half first.
        number: the pass, or the number of a turn; one for all ids, or one for each.

    Returns:
        shape (n,).
    """
    key = (seed * 8 + _PURPOSES[purpose]) * _GOLDEN & _MASK
    numbers = np.asarray(number, dtype=np.uint64) * np.uint64(_GOLDEN)
    with np.errstate(over="ignore"):
        state = _finalise(ids[:, 1] ^ np.uint64(key))
        state = _finalise(state ^ ids[:, 0])
        return _finalise(state + numbers)


def id_halves(ids: list[str]) -> U64:
    """Hex ids as an array of shape (n, 2), for `mix64`."""
    data = bytes.fromhex("".join(ids))
    return np.frombuffer(data, dtype=">u8").astype(np.uint64).reshape(-1, 2)


def turn_order(sample_id: str, seed: int, epoch: int, turns: int) -> list[int]:
    """The order of a copy's turns, a permutation of ``range(turns)``."""
    ids = np.repeat(id_halves([sample_id]), turns, axis=0)
    numbers = np.arange(turns, dtype=np.uint64) + (np.uint64(epoch) << np.uint64(32))
    keys = mix64(ids, seed, "turns", numbers)
    return [int(i) for i in np.argsort(keys, kind="stable")]


def most_turns(sample_id: str, seed: int, epoch: int, cap: float | None) -> int | None:
    """The most turns of a copy; None: all.

    Args:
        cap: of the stage. Of a fraction, as large a part of the copies has one turn more.
    """
    if cap is None:
        return None
    whole = int(cap)
    if whole == cap:
        return whole
    (place,) = mix64(id_halves([sample_id]), seed, "cap", epoch)
    return whole + (float(place) < (cap - whole) * 2.0**64)
