"""Count the tokens of texts: by Mistral-7B's tokenizer, the recipe's own, or an estimate.

The default is the tokenizer that the published counts were made with, see
`cauldron.transforms.mistral`.

The estimate counts bytes by class. A letter is 0.16 tokens; a space 0.45, because it is mostly part
of the next word, and each text starts with one, as in SentencePiece; a byte of a non-ASCII
character 0.35; a digit, a line break or any other sign 1. A single ratio of bytes to tokens would
not do. Mistral-7B's tokenizer splits numbers into digits: the ratio is 4.27 in descriptions and
1.03 in sums.

Error of the estimate against that tokenizer (its SentencePiece model, no special tokens), on the
texts that the figures above were fitted to:

    IIW-400 descriptions    400 texts  102,624   -0.1 %
    TabMWP questions      2,000 texts   72,648   -0.6 %
    TabMWP solutions      1,000 texts   83,087   -0.2 %
    TabMWP short answers  1,000 texts    3,775  -10.6 %
    receipts as JSON         80 texts    9,645   +0.2 %
    sums like Goat's        300 texts    9,392   -3.2 %
    English Markdown         52 texts    2,484   +5.5 %
    Python source            10 texts    2,498  +13.6 %

The published counts include one BOS per answer: for IIW-400 102,624 + 400 = 103,024. So do the
counts of ``mistral-7b``; those of the estimate and of other tokenizers do not.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

from cauldron.transforms.mistral import mistral_digest, mistral_words
from tokenizers import Tokenizer

from cauldron.core import storage
from cauldron.core.fingerprints import file_digest
from cauldron.core.tokenizer import ESTIMATE, MISTRAL_7B, digest, open_tokenizer, tokenizer_file

_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NON_ASCII = bytes(range(128, 256))
_SPACE = b" "

# In thousandths of a token.
LETTER, SPACE, NON_ASCII, OTHER = 160, 450, 350, 1000


class TokenCounter(abc.ABC):
    """Counts the tokens of texts.

    Attributes:
        name: the recipe's name of the tokenizer.
        estimated: the counts are estimated.
        per_answer: special tokens that an answer has beside those of its text.
    """

    name: str
    estimated: bool
    per_answer: int = 0

    @abc.abstractmethod
    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens not included; an empty text has none."""

    def digest(self) -> str | None:
        """A digest that identifies the tokenizer under any name; None for the estimate."""
        return None


class ByteEstimate(TokenCounter):
    """The estimate described above. It uses integers only, so it is the same on every machine."""

    name = ESTIMATE
    estimated = True

    def count(self, texts: Sequence[str]) -> list[int]:
        return [_estimate(text) for text in texts]


class Mistral(TokenCounter):
    """The counter of the published table: Mistral-7B's tokenizer and one BOS an answer.

    Raises:
        UsageError: the package with the tokenizer is not installed.
    """

    name = MISTRAL_7B
    estimated = False
    per_answer = 1

    def __init__(self) -> None:
        self._words = mistral_words()

    def count(self, texts: Sequence[str]) -> list[int]:
        return [self._words.of(text) for text in texts]

    def digest(self) -> str:
        return mistral_digest()


class TokenizerFile(TokenCounter):
    """A tokenizer as ``tokenizer.json`` describes it."""

    estimated = False

    def __init__(self, name: str, tokenizer: Tokenizer) -> None:
        self.name = name
        self._tokenizer = tokenizer

    def count(self, texts: Sequence[str]) -> list[int]:
        # Not as a batch: that starts a thread per core in each worker, and a process forked after
        # that can hang. Without threads a batch would save 15 % of the time.
        return [len(self._tokenizer.encode(text, add_special_tokens=False)) for text in texts]

    def digest(self) -> str:
        return digest(self._tokenizer)


def token_counter(spec: str) -> TokenCounter:
    """The counter that a recipe asks for.

    Args:
        spec: ``mistral-7b`` or ``estimate``; else as for `cauldron.core.tokenizer.open_tokenizer`.

    Raises:
        UsageError: the tokenizer does not exist, cannot be fetched, or is not a tokenizer.
    """
    if spec == ESTIMATE:
        return ByteEstimate()
    return Mistral() if spec == MISTRAL_7B else TokenizerFile(spec, open_tokenizer(spec))


def counter_fingerprint(spec: str) -> str:
    """What identifies a counter in a corpus's fingerprint: a file by its content, not its path."""
    if spec == ESTIMATE:
        return ESTIMATE
    if spec == MISTRAL_7B:
        return f"{MISTRAL_7B} {mistral_digest()}"
    path = tokenizer_file(spec)
    return file_digest(path) if storage.exists(path) else path


def _estimate(text: str) -> int:
    """Tokens of a text, rounded; at least 1 unless it is empty."""
    data = text.encode("utf-8", "replace")
    if not data:
        return 0
    letters = len(data) - len(data.translate(None, _LETTERS))
    spaces = data.count(_SPACE)
    high = 0 if text.isascii() else len(data) - len(data.translate(None, _NON_ASCII))
    other = len(data) - letters - spaces - high
    thousandths = LETTER * letters + SPACE * (spaces + 1) + NON_ASCII * high + OTHER * other
    return max(1, (thousandths + 500) // 1000)
