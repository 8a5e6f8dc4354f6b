"""Clean pre-training documents: texts and images in the order of reading, without questions.

Texts are published writing, so only what cannot be stored is changed: line ends ``\\r\\n`` become
``\\n``, NUL characters are removed, a lone surrogate becomes U+FFFD. Blank texts are left out.
Texts that meet, because an image between them is left out, are joined by a blank line, as
paragraphs are in OBELICS. Refusal phrases and the clean-up of full stops are about answers and do
not apply.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cauldron.transforms.text import clean_text

from cauldron.core.errors import NotKept
from cauldron.core.schema import without_images
from cauldron.core.sections.rules import TextRules

# Decisions name the images to leave out by the bits of one number.
MAX_IMAGES = 64

Parts = list[str | None]


class DocumentProblem(NotKept):
    """A document that is not kept."""


def clean_document(parts: Sequence[str | None], rules: TextRules, images: int) -> Parts:
    """The cleaned parts of a document.

    Args:
        parts: as published; None stands for the next image.
        images: number of the row's images.

    Raises:
        DocumentProblem: ``image_placeholders``, ``too_many_images``, ``special_token``,
            ``long_turn``, or ``empty_document`` if no text is left.
    """
    placed = sum(part is None for part in parts)
    if placed != images:
        raise DocumentProblem("image_placeholders", f"{placed} places for {images} images")
    if images > MAX_IMAGES:
        raise DocumentProblem("too_many_images", f"{images} images, the limit is {MAX_IMAGES}")
    unchanged = rules.model_copy(update={"fix_punctuation": False})
    cleaned = [None if part is None else clean_text(part, unchanged) for part in parts]
    texts = [part for part in cleaned if part is not None]
    if not any(text.strip() for text in texts):
        raise DocumentProblem("empty_document", "no text")
    found = [token for token in rules.special_tokens if any(token in text for text in texts)]
    if found:
        raise DocumentProblem("special_token", f"the text contains {found[0]!r}")
    length = sum(map(len, texts))
    if rules.max_turn_chars is not None and length > rules.max_turn_chars:
        raise DocumentProblem("long_turn", f"{length} characters, limit {rules.max_turn_chars}")
    return without_images(cleaned, ())


def leave_out(parts: Sequence[str | None], failed: Collection[int]) -> Parts:
    """The parts without the images of these numbers.

    Raises:
        DocumentProblem: ``empty_document``, no image is left.
    """
    left = without_images(parts, failed)
    if failed and None not in left:
        raise DocumentProblem("empty_document", "no image is left")
    return left
