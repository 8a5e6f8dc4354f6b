"""Tokenizers by their ``tokenizer.json``: where they lie, and whether two do the same.

Whoever counts a mixture's tokens and whoever trains on it seldom name a tokenizer alike: Llama's
repository, Idefics3's and the folder that a stage left hold the same one under three names. So a
manifest keeps what it makes of a fixed text.
"""

from __future__ import annotations

import hashlib
import json
import os
import re

import huggingface_hub
from tokenizers import Tokenizer

from cauldron.core import storage
from cauldron.core.errors import UsageError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

# What tokenizers treat differently: scripts, letters that can be composed or not, numbers, signs,
# code, white space at both ends. No special token: those differ without a text's being cut
# otherwise. Never to be changed: every digest in a manifest would be another.
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
    """The tokenizer of a recipe or a model.

    Args:
        spec: the path of a ``tokenizer.json`` or of the folder that holds it, local or a URL; or a
            hub id, ``org/name`` or ``org/name@revision``, whose ``tokenizer.json`` is downloaded
            (``HF_ENDPOINT``, ``HF_TOKEN``).

    Raises:
        UsageError: there is no such file, it cannot be fetched, or it is no tokenizer.
    """
    content = _content(spec)
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises bare Exception for whatever is wrong inside
        reason = str(error).partition("\n")[0]
        raise UsageError(f"tokenizer {spec} is not a tokenizer.json: {reason}") from None
    # Both may be switched on inside the file, and would change counts.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def tokenizer_file(spec: str) -> str:
    """The file that a path or a folder means; a hub id as it is."""
    packed = storage.join(spec, "tokenizer.json")
    return packed if not spec.endswith(".json") and storage.exists(packed) else spec


def split_revision(spec: str) -> tuple[str, str | None]:
    """A hub id and the revision after its ``@``, or None; a folder stays as it is."""
    if os.path.isdir(spec):
        return spec, None
    repo, _, revision = spec.partition("@")
    return repo, revision or None


def digest(tokenizer: Tokenizer) -> str:
    """16 hex digits over the ids that it makes of `PROBE`, special tokens not included."""
    # One by one: a batch starts threads, and a process forked after that can hang in them.
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in PROBE]
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()[:16]


def _content(spec: str) -> bytes:
    try:
        path = tokenizer_file(spec)
        if path.endswith(".json"):
            return storage.read_bytes(path)
        repo, revision = split_revision(spec)
        if not _HUB_ID.fullmatch(repo):
            return storage.read_bytes(storage.join(spec, "tokenizer.json"))
        return storage.read_bytes(
            huggingface_hub.hf_hub_download(
                repo,
                "tokenizer.json",
                revision=revision,
                # Read here, because the library reads it only once, when it is imported.
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
        )
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"tokenizer {spec} cannot be read: {reason}") from None
