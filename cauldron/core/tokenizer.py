"""Tokenizers by their ``tokenizer.json``: how they are opened, and whether two are the same.

One tokenizer has many names: Llama's repository, Idefics3's and the folder of a finished stage hold
the same one. A manifest therefore stores a digest of its output on a fixed text.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re

import huggingface_hub
from huggingface_hub.errors import LocalEntryNotFoundError
from tokenizers import Tokenizer

from cauldron.core import storage
from cauldron.core.errors import UsageError
from cauldron.core.hub.calls import HubError, patiently

# Names that a recipe may give instead of a file: counters that are no ``tokenizer.json``.
MISTRAL_7B = "mistral-7b"  # the counter of the published table, `cauldron.transforms.mistral`
ESTIMATE = "estimate"  # from bytes, `cauldron.transforms.tokens`

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

# Text that tokenizers treat differently: scripts, composed and decomposed letters, numbers, signs,
# code, white space at both ends. It has no special tokens, which do not matter here. Never change
# it: digests in existing manifests would no longer match.
PROBE = (
    "The quick brown fox doesn't jump; it's over-exposed, isn't it?  Yes!!",
    "Question: Which bar is largest?\nAnswer: B (2019), 1,234,567.89 or 3.5e-7; 007, 42%, £9.",
    "McDonald's iPhone-15 HTTPServer antidisestablishmentarianism ÉLÈVE e\u0301te\u0301 straße",
    "Ελληνικά, русский язык, עברית, العربية ١٢٣, हिन्दी १२३",
    "ภาษาไทย, 한국어, 日本語のテキスト, 中文文本。",
    "def f(x):\n    return x ** 2  # squared\n\n\tif (a != b) { c += d[0]; } // ok\r\n",
    "<td>&nbsp;</td>",
    "\\frac{a^2+b_1}{\\sqrt{x}} \\leq \\alpha \u2211 \u222b \u2200x\u2208\u211d | 1 |\n|---|",
    "  two  spaces   three\t\ttabs\n\n\nlines   ",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2603\ufe0f \u00a0\u3000\ufeff",
    "\u201cquoted\u201d \u2014 \u2026",
)


def open_tokenizer(spec: str) -> Tokenizer:
    """Open the tokenizer of a recipe or a model.

    Args:
        spec: path or URL of a ``tokenizer.json`` or of its folder; or a hub id, ``org/name`` or
            ``org/name@revision``, whose ``tokenizer.json`` is downloaded (with ``HF_ENDPOINT``
            and ``HF_TOKEN``).

    Raises:
        UsageError: the file does not exist, cannot be fetched, or is not a tokenizer.
    """
    content = _content(spec)
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises bare Exception for any invalid content
        reason = str(error).partition("\n")[0]
        raise UsageError(f"tokenizer {spec} is not a tokenizer.json: {reason}") from None
    # The file may switch these on; they would change counts.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def tokenizer_file(spec: str) -> str:
    """The ``tokenizer.json`` of a path or a folder; a hub id is returned unchanged."""
    inside = storage.join(spec, "tokenizer.json")
    return inside if not spec.endswith(".json") and storage.exists(inside) else spec


def split_revision(spec: str) -> tuple[str, str | None]:
    """A hub id and the revision after its ``@``, or None; a folder stays as it is."""
    if os.path.isdir(spec):
        return spec, None
    repo, _, revision = spec.partition("@")
    return repo, revision or None


def digest(tokenizer: Tokenizer) -> str:
    """16 hex digits that identify a tokenizer by its ids of `PROBE`, without special tokens."""
    # Not as a batch, which starts threads: a process forked after that can hang.
    return digest_of([tokenizer.encode(text, add_special_tokens=False).ids for text in PROBE])


def digest_of(ids: list[list[int]]) -> str:
    """The digest of a tokenizer that gives these ids for the texts of `PROBE`."""
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()[:16]


def _content(spec: str) -> bytes:
    try:
        path = tokenizer_file(spec)
        if path.endswith(".json"):
            return storage.read_bytes(path)
        repo, revision = split_revision(spec)
        if not _HUB_ID.fullmatch(repo):
            return storage.read_bytes(storage.join(spec, "tokenizer.json"))
        return storage.read_bytes(_download(repo, revision))
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"tokenizer {spec} cannot be read: {reason}") from None


def _download(repo: str, revision: str | None) -> str:
    """The path of the hub's file in the cache of huggingface_hub."""

    def fetch(only_local: bool = False) -> str:
        return huggingface_hub.hf_hub_download(
            repo,
            "tokenizer.json",
            revision=revision,
            # The library itself reads it only once, at import.
            endpoint=os.environ.get("HF_ENDPOINT"),
            local_files_only=only_local,
        )

    try:
        return patiently(fetch)
    except HubError:
        with contextlib.suppress(LocalEntryNotFoundError):
            return fetch(only_local=True)
        raise
