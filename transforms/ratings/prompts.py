"""What a model is asked about a turn, and which of its answers is a rating."""

from __future__ import annotations

from cauldron.core.sections.ratings import Scale

# Part of every fingerprint of ratings. Raise it if a prompt or the rule for an answer changes.
RATING_VERSION = 1

NOT_A_RATING = "not_a_rating"

_TASK = (
    "You check training data for a vision-language model. Below are a question about {seen} and "
    "its answer. {asked}\n\n{levels}\n\n"
    "Reply with the rating alone: one digit from 1 to 5, nothing else.\n\n"
    "Question:\n{question}\n\nAnswer:\n{answer}"
)

_ASKED: dict[Scale, str] = {
    "relevance": "Rate how well the answer does what the question asks for.",
    "formatting": "Rate how well both are written: language, spelling, structure, completeness.",
    "visual_dependency": "Rate how much one must see the images to answer the question.",
    "image_correspondence": "Rate how well question and answer agree with what the images show.",
}
_LEVELS: dict[Scale, tuple[str, ...]] = {
    "relevance": (
        "it has nothing to do with the question",
        "it touches the subject and leaves the question open",
        "it answers a part, or much beside the point",
        "it answers the question with small gaps or extras",
        "it answers exactly what is asked",
    ),
    "formatting": (
        "unreadable, or cut off",
        "many mistakes, or remains of markup",
        "understandable, with clear mistakes",
        "well written, with small flaws",
        "without fault",
    ),
    "visual_dependency": (
        "the question can be answered without the images",
        "common knowledge most often gives the answer",
        "the text narrows the answer down, the images decide",
        "the images are needed, the text helps a little",
        "only the images give the answer",
    ),
    "image_correspondence": (
        "they speak of something that the images do not show",
        "most of what they say is not in the images",
        "a part is in the images, a part is not",
        "they agree, except for details",
        "all that they say is in the images",
    ),
}


def prompt(scale: Scale, question: str, answer: str, images: int) -> str:
    """The text that asks for a rating.

    Args:
        images: of the row. Only the vision scales show them to the model.
    """
    seen = "images that you do not see" if scale in ("relevance", "formatting") else "the images"
    if images == 0:
        seen = "a text"
    levels = "\n".join(f"{number}: {said}" for number, said in enumerate(_LEVELS[scale], 1))
    return _TASK.format(
        seen=seen, asked=_ASKED[scale], levels=levels, question=question, answer=answer
    )


def parse_rating(text: str) -> int | None:
    """The rating in a model's answer: one digit from 1 to 5, and space around it. Else None."""
    digit = text.strip()
    return int(digit) if digit in ("1", "2", "3", "4", "5") else None
