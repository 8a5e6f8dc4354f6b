"""Questions for sets that are published without questions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def draw(prompts: Sequence[str], key: str) -> str:
    """One of the prompts, always the same for a key, evenly over many keys."""
    digest = hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=8).digest()
    return prompts[int.from_bytes(digest) % len(prompts)]
