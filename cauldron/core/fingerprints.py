"""Fingerprints: hashes of inputs and settings, which name outputs so that they can be reused."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cauldron.core import storage


def fingerprint(value: Any) -> str:
    """The fingerprint of a JSON-like value, 16 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def file_digest(path: str) -> str:
    """SHA-256 of a small file, such as a tokenizer or a classifier."""
    return hashlib.sha256(storage.read_bytes(path)).hexdigest()
