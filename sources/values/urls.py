"""Images that are known by their URL only; `cauldron.transforms` fetches them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from cauldron.sources.base import RawImage
from cauldron.sources.values.rows import RowProblem

# Longer than any address that servers accept; some rows hold a whole picture as a data URL.
MAX_URL_CHARS = 8192
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SCHEMES = ("http", "https")


def image_at(url: Any, sha256: Any = None) -> RawImage:
    """An image behind an http or https address. Whether the address may be asked is not judged.

    Args:
        sha256: the published digest of the bytes there; anything but 64 hex digits counts as none.

    Raises:
        RowProblem: ``bad_url``, null, empty, of another scheme, without a host, or no URL at all.
    """
    if not isinstance(url, str) or not url.strip():
        what = "empty" if isinstance(url, str) else "null" if url is None else type(url).__name__
        raise RowProblem("bad_url", f"the URL is {what}")
    address = url.strip()
    if not _is_web_address(address):
        raise RowProblem("bad_url", f"not an http or https URL: {address[:200]!r}")
    digest = sha256.lower() if isinstance(sha256, str) else ""
    return RawImage(b"", url=address, sha256=digest if _SHA256.fullmatch(digest) else None)


def _is_web_address(address: str) -> bool:
    if len(address) > MAX_URL_CHARS or any(sign.isspace() or sign < " " for sign in address):
        return False
    try:
        address.encode()  # half of a surrogate pair cannot be sent
        parts = urlsplit(address)
        _ = parts.port  # raises if it is not a number
        return parts.scheme.lower() in _SCHEMES and bool(parts.hostname)
    except ValueError:
        return False
