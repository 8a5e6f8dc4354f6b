"""Normalise: from a published row to a sample with its stored images, or to a rejected row.

One image that cannot be stored costs a conversation its row: its questions are about that image. A
document is read on without it, so the image is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cauldron.sources.base import BadRow, Row
from cauldron.transforms.documents import DocumentProblem, clean_document, leave_out
from cauldron.transforms.language import TextClassifier, default_model_path, identify
from cauldron.transforms.pictures.opening import ImageProblem
from cauldron.transforms.pictures.prepare import StoredImage, prepare_image
from cauldron.transforms.pictures.signatures import Signature
from cauldron.transforms.text import clean_text, clean_turns
from cauldron.transforms.tokens import TokenCounter, token_counter

from cauldron.core.errors import CauldronError
from cauldron.core.reasons import outcome_of
from cauldron.core.schema import Document, Sample, Turn, content_id, document_id
from cauldron.core.sections.rules import ClassifierRules, ImageRules, LanguageRules, TextRules

# The mix holds a whole record in memory.
MAX_RECORD_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class SourceSettings:
    """All settings that affect the samples of one source. Sent to workers, so plain values."""

    source: str
    license: str
    images: ImageRules
    text: TextRules
    language: LanguageRules
    classifiers: tuple[ClassifierRules, ...]
    tokenizer: str
    options: Mapping[str, Any]
    dialogue: bool = False


@dataclass(slots=True)
class Kept:
    """A sample, with the bytes and signatures of its images, in order.

    Attributes:
        images_dropped: images left out of a document, by code.
    """

    sample: Sample
    images: list[bytes]
    signatures: list[Signature]
    turns_dropped: Counter[str] = field(default_factory=Counter)
    images_dropped: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Rejected:
    """A row that is not kept, with a code from `cauldron.core.reasons`."""

    row: BadRow
    turns_dropped: Counter[str] = field(default_factory=Counter)

    @property
    def outcome(self) -> str:
        return outcome_of(self.row.reason)


def normalise(row: Row, settings: SourceSettings) -> Kept | Rejected:
    """Clean the text, prepare the images, count tokens, identify the language.

    Problems of the row's content are outcomes, never exceptions. Errors of the machine (no memory,
    no model file) are raised.
    """
    try:
        return _normalise(row, settings)
    except (OSError, MemoryError, CauldronError):
        raise
    except Exception as error:
        # A pure function of the row: any exception is caused by the row, and one bad row must not
        # stop the build.
        message = f"{type(error).__name__}: {error}"
        return Rejected(BadRow(row.origin, "processing_error", message[:500], row.rows))


def _normalise(row: Row, settings: SourceSettings) -> Kept | Rejected:
    if row.document is not None:
        return _normalise_document(row, row.document, settings)
    clean = clean_turns(row.turns, settings.text, len(row.images), dialogue=settings.dialogue)

    def reject(reason: str, message: str) -> Rejected:
        return Rejected(BadRow(row.origin, reason, message[:500], row.rows), clean.dropped)

    if clean.problem is not None:
        return reject(*clean.problem)
    system = clean_text(row.system, settings.text).strip() if row.system else None
    questions = [user for user, _, _ in clean.turns]
    answers = [assistant for _, assistant, _ in clean.turns]
    language, verdict = _judge(questions, answers, settings)
    if verdict is not None:
        return reject(*verdict)
    try:
        stored = [prepare_image(image, settings.images) for image in row.images]
    except ImageProblem as problem:
        return reject(problem.reason, str(problem))
    if too_large := _too_large(stored):
        return reject("row_too_large", too_large)
    half = len(questions)
    counter = _counter(settings.tokenizer)
    counts = counter.count([*questions, *answers, system or ""])
    sample = Sample(
        id=content_id(
            settings.source,
            [image.digest for image in stored],
            system or None,
            list(zip(questions, answers, strict=True)),
        ),
        source=settings.source,
        system=system or None,
        turns=tuple(
            Turn(
                user=user,
                assistant=answer,
                source=origin,
                user_tokens=asked,
                answer_tokens=said + counter.per_answer,
            )
            for (user, answer, origin), asked, said in zip(
                clean.turns, counts[:half], counts[half:-1], strict=True
            )
        ),
        images=tuple(image.info for image in stored),
        origin=row.origin,
        license=settings.license,
        language=language,
        system_tokens=counts[-1],
    )
    data = [image.data for image in stored]
    return Kept(sample, data, [image.signature for image in stored], clean.dropped)


def _normalise_document(
    row: Row, parts: Sequence[str | None], settings: SourceSettings
) -> Kept | Rejected:
    def reject(reason: str, message: str) -> Rejected:
        return Rejected(BadRow(row.origin, reason, message[:500], row.rows))

    problems: dict[int, ImageProblem] = {}
    try:
        clean = clean_document(parts, settings.text, len(row.images))
        language, verdict = _judge([], [part for part in clean if part is not None], settings)
        if verdict is not None:
            return reject(*verdict)
        stored = _usable(row, settings, problems)
        if problems and not stored:
            first = problems[0]
            return reject(first.reason, f"no image is left; the first: {first}")
        clean = leave_out(clean, problems)
    except DocumentProblem as problem:
        return reject(problem.reason, str(problem))
    if too_large := _too_large(stored):
        return reject("row_too_large", too_large)
    counter = _counter(settings.tokenizer)
    tokens = sum(counter.count([part for part in clean if part is not None]))
    sample = Sample(
        id=document_id(settings.source, [image.digest for image in stored], clean),
        source=settings.source,
        system=None,
        turns=(),
        images=tuple(image.info for image in stored),
        origin=row.origin,
        license=settings.license,
        language=language,
        document=Document(parts=tuple(clean), tokens=tokens + counter.per_answer),
    )
    data, signatures = [image.data for image in stored], [image.signature for image in stored]
    lost = Counter(problem.reason for problem in problems.values())
    return Kept(sample, data, signatures, images_dropped=lost)


def _usable(
    row: Row, settings: SourceSettings, problems: dict[int, ImageProblem]
) -> list[StoredImage]:
    """The images that can be stored; what is wrong with others is added to `problems`."""
    stored = []
    for number, image in enumerate(row.images):
        try:
            stored.append(prepare_image(image, settings.images))
        except ImageProblem as problem:
            problems[number] = problem
    return stored


def _too_large(stored: Sequence[StoredImage]) -> str | None:
    size = sum(len(image.data) for image in stored)
    return f"{size} bytes of images, over {MAX_RECORD_BYTES}" if size > MAX_RECORD_BYTES else None


def _judge(
    questions: list[str], answers: list[str], settings: SourceSettings
) -> tuple[str | None, tuple[str, str] | None]:
    """The row's language; and a reason and message if language or a classifier drop the row.

    Args:
        questions: empty for a document, which no filter on questions can judge.
    """
    rules = settings.language
    language = None
    texts = {"questions": questions, "answers": answers, "all": questions + answers}
    if rules.identify:
        found = identify(_classifier(rules.model or default_model_path()), "\n".join(texts["all"]))
        if found is not None:
            language, score = found
            if rules.keep and language not in rules.keep and score >= rules.min_score:
                return language, ("language", f"{language} with probability {score:.2f}")
    for classifier in settings.classifiers:
        if not texts[classifier.on]:
            continue
        score = _classifier(classifier.model).score(
            "\n".join(texts[classifier.on]), classifier.label
        )
        if score < classifier.min_score:
            return language, ("classifier", f"{classifier.label} {score:.3f} in {classifier.model}")
    return language, None


# Models are loaded once per process, when a row first needs them.
@lru_cache(maxsize=8)
def _classifier(path: str) -> TextClassifier:
    return TextClassifier(path)


@lru_cache(maxsize=8)
def _counter(spec: str) -> TokenCounter:
    return token_counter(spec)
