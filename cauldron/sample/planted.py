"""What is planted where: copies, near duplicates, odd pictures and broken rows.

Everything planted comes after a source's ordinary rows and on top of their number. A row number
here is that of an ordinary row, taken modulo how many there are.
"""

from __future__ import annotations

from dataclasses import replace

from cauldron.sample import poison
from cauldron.sample.model import Fate, Item, Turn

CAULDRON = "the_cauldron/"
_JPEG, _PNG, _SMALL, _BRIGHT, _CROP = poison.ALTERATIONS

# Rows published once more, byte for byte.
COPIES: dict[str, tuple[int, ...]] = {
    "the_cauldron/vqav2": (0, 5, 5),
    "the_cauldron/chartqa": (2,),
    "the_cauldron/docvqa": (1,),
    "the_cauldron/nlvr2": (3,),
    "the_cauldron/robut_wtq": (4, 7),
    "the_cauldron/clevr_math": (0,),
    "the_cauldron/okvqa": (1,),
    "cord_v2": (3,),
    "lnqa": (0, 2),
    "sharegpt_4o": (1,),
    "docmatix": (0,),
    "openhermes_2_5": (0, 4),
    "lima": (2,),
    "dolly": (0, 1),
    "metamathqa": (1, 1),
    "math_instruct": (2,),
    "orca_math": (0,),
    "camel_ai_math": (3,),
    "atlas_math_sets": (0, 1, 2),
    "goat": (5,),
}
# Rows published once more with a slip of punctuation that cleaning removes.
SLIPS: dict[str, tuple[int, ...]] = {"the_cauldron/cocoqa": (0,), "the_cauldron/textvqa": (1,)}

# (row, how its picture is altered): a further row of the same source with the same turns.
NEAR: dict[str, tuple[tuple[int, str], ...]] = {
    "the_cauldron/vqav2": ((1, _JPEG), (2, _SMALL), (3, _BRIGHT), (4, _CROP)),
    "the_cauldron/docvqa": ((2, _SMALL), (3, _JPEG)),
    "the_cauldron/chartqa": ((3, _JPEG), (4, _CROP)),
    "the_cauldron/websight": ((0, _CROP),),
    "the_cauldron/raven": ((1, _PNG),),
    "the_cauldron/ocrvqa": ((0, _BRIGHT), (0, _SMALL)),
    "the_cauldron/textcaps": ((2, _JPEG),),
    "cord_v2": ((0, _BRIGHT), (1, _CROP)),
    "lnqa": ((1, _PNG), (3, _BRIGHT)),
    "sharegpt_4o": ((0, _SMALL), (2, _CROP)),
    "docmatix": ((1, _SMALL),),
}
# (source, row, other source, how): the other source gets a row with the altered picture.
ACROSS: tuple[tuple[str, int, str, str], ...] = (
    ("the_cauldron/vqav2", 6, "lnqa", _SMALL),
    ("the_cauldron/vqav2", 7, "lnqa", _JPEG),
    ("the_cauldron/cocoqa", 2, "the_cauldron/tallyqa", _CROP),
    ("the_cauldron/localized_narratives", 0, "sharegpt_4o", _BRIGHT),
    ("the_cauldron/localized_narratives", 1, "sharegpt_4o", _JPEG),
    ("the_cauldron/textvqa", 3, "the_cauldron/st_vqa", _BRIGHT),
    ("the_cauldron/textvqa", 4, "the_cauldron/st_vqa", _PNG),
    ("the_cauldron/docvqa", 4, "docmatix", _SMALL),
    ("the_cauldron/chart2text", 0, "the_cauldron/vistext", _JPEG),
    ("the_cauldron/chartqa", 5, "the_cauldron/chart2text", _CROP),
    ("the_cauldron/robut_wtq", 0, "the_cauldron/robut_wikisql", _SMALL),
    ("the_cauldron/geomverse", 0, "the_cauldron/intergps", _PNG),
    ("the_cauldron/ai2d", 0, "the_cauldron/tqa", _JPEG),
    ("the_cauldron/rendered_text", 0, "the_cauldron/iam", _BRIGHT),
)

_BAD_IMAGES = ("image bytes are not an image", "image cut in half", "60,000 x 60,000 PNG of 1 kB")
_MODEL = ("one refusal", "nothing but a refusal", "one special token")
_DIALOGUE = (
    "a dialogue with one refusal",
    "nothing but a refusal",
    "a dialogue with one special token",
)
ROWS: dict[str, tuple[str, ...]] = {
    "the_cauldron/vqav2": (
        "one empty answer",
        "one empty question",
        "every answer is empty",
        "no turns",
    ),
    "the_cauldron/cocoqa": ('endings "?." and "!."',),
    "the_cauldron/ai2d": ("no images", "images are null", "turns are null"),
    "the_cauldron/aokvqa": ("image bytes are null", "image bytes are empty"),
    "the_cauldron/textcaps": _BAD_IMAGES,
    "the_cauldron/localized_narratives": ("mojibake",),
    "the_cauldron/mapqa": ("10,000 turns",),
    "the_cauldron/nlvr2": ("image cut in half",),
    "the_cauldron/scienceqa": ("no turns",),
    "cord_v2": ("image bytes are null", *_BAD_IMAGES),
    "lnqa": ("image bytes are null", "no turns", "questions are null", "one empty answer"),
    "sharegpt_4o": (*_MODEL, "image bytes are not an image"),
    "docmatix": (
        "an answer of over 500 characters",
        "five pages",
        "no images",
        "image cut in half",
    ),
    "the_cauldron/clevr_math": ("the path of a picture that is nowhere",),
    "the_cauldron/okvqa": ("the path of a picture that is nowhere",),
    "the_cauldron/vistext": ("the path of a picture that is nowhere",),
    "iiw_400": ("image cut in half",),
    "openhermes_2_5": _DIALOGUE,
    "lima": _DIALOGUE,
    "dolly": ("the answer is empty",),
    "orca_math": ("the answer is empty",),
}
ODD: dict[str, tuple[str, ...]] = {
    "the_cauldron/textvqa": (
        "EXIF says it lies on its side",
        "CMYK JPEG",
        "animated GIF named .jpg",
    ),
    "the_cauldron/iconqa": (
        "PNG with alpha (RGBA)",
        "PNG with a palette and a transparent colour (P)",
        "grey PNG with alpha (LA)",
    ),
    "the_cauldron/docvqa": ("16-bit grey PNG (I;16)", "1-bit PNG"),
    "the_cauldron/hateful_memes": ("TIFF", "WebP", "BMP"),
    "lnqa": ("animated GIF named .jpg",),
}


def extra_rows(source: str, items: list[Item], every: dict[str, list[Item]]) -> list[Item]:
    """The planted rows of a source.

    Args:
        items: its ordinary rows.
        every: the ordinary rows of all sources.
    """
    planted = [_copy(items, row) for row in COPIES.get(source, ())]
    planted += [_slip(items, row) for row in SLIPS.get(source, ())]
    for row, change in NEAR.get(source, ()):
        planted.append(_near(items[row % len(items)], change))
    for origin, row, target, change in ACROSS:
        if target == source:
            planted.append(_near(every[origin][row % len(every[origin])], change))
    for number, what in enumerate(ODD.get(source, ())):
        planted.append(poison.odd(items[(number + 8) % len(items)], what))
    for number, what in enumerate(ROWS.get(source, ())):
        planted.append(poison.spoiled(_one_turn(items[(number + 12) % len(items)]), what))
    return planted


def _copy(items: list[Item], row: int) -> Item:
    return replace(items[row % len(items)], fate=Fate("merged", "exact_copy"), plant="exact copy")


def _slip(items: list[Item], row: int) -> Item:
    item = items[row % len(items)]
    turns: list[Turn] = [
        ((user or "").replace("?", "?.", 1), answer) for user, answer in item.turns
    ]
    return replace(item, turns=turns, fate=Fate("merged", "exact_copy"), plant='copy with "?."')


def _near(item: Item, change: str) -> Item:
    first = poison.altered(item.pictures[0], change)
    return replace(item, pictures=[first, *item.pictures[1:]], plant=f"near duplicate: {change}")


def _one_turn(item: Item) -> Item:
    """Spoiled rows stay small, and never equal an ordinary one."""
    if not item.turns:
        return item
    user, answer = item.turns[0]
    return replace(item, turns=[(f"{user} Please check." if user else user, answer)])
