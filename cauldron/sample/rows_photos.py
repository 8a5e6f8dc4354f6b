"""Rows of the sets about single photographs: VQA, counting, captions, memes, radiology."""

from __future__ import annotations

from cauldron.sample import draw_pages, draw_photos, scenes, talk
from cauldron.sample.draw_signs import Sign
from cauldron.sample.draw_xray import draw_xray
from cauldron.sample.ink import jpeg, pick, png, sample
from cauldron.sample.model import Item, Picture, Rng, Turn
from cauldron.sample.scenes import Scene
from cauldron.sample.studio import Studio
from cauldron.sample.words import DESCRIBE, DETAIL, brief, choices, closed, yes_no

POOL = {
    "vqav2": 0.0,
    "cocoqa": 0.22,
    "okvqa": 0.44,
    "aokvqa": 0.66,
    "visual7w": 0.85,
    "tallyqa": 0.1,
    "vsr": 0.35,
    "localized_narratives": 0.55,
}


def vqav2(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for scene, picture in studio.coco_window(POOL["vqav2"]):
        told = talk.facts(scene, rng)[: int(rng.integers(3, 6))]
        items.append(Item([bare(picture)], [(brief(rng, q), closed(a)) for q, a in told]))
    return items


def cocoqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for scene, picture in studio.coco_window(POOL["cocoqa"]):
        told = [fact for fact in talk.facts(scene, rng) if fact[1] not in ("yes", "no")][:2]
        items.append(Item([bare(picture)], [(brief(rng, q), closed(a)) for q, a in told]))
    return items


USES = {
    "lake": ("What hobby could somebody practise here with a rod?", "fishing"),
    "meadow": ("Which farm animals would like to eat here?", "cows"),
    "beach": ("What should visitors put on their skin here in summer?", "sunscreen"),
    "snow": ("What sport needs the white stuff seen here?", "skiing"),
    "field": ("What food is baked from the crop shown here?", "bread"),
    "still life": ("Which vitamin does fresh fruit provide?", "vitamin c"),
    "flower": ("Which insect makes honey from this kind of plant?", "bee"),
    "city": ("What is a very tall building called?", "skyscraper"),
}


def okvqa(studio: Studio, rng: Rng) -> list[Item]:
    """Only the path is published; the bytes lie in COCO's own archive."""
    items = []
    for scene, picture in studio.coco_window(POOL["okvqa"]):
        question, answer = USES[
            scene.place.front if scene.kind == "outdoors" and scene.place else scene.kind
        ]
        path = f"/fsx/data/downloads/extracted/train2014/{picture.path}"
        items.append(Item([Picture(None, path, picture)], [(brief(rng, question), closed(answer))]))
    return items


COLORS = ("red", "blue", "yellow", "orange", "purple", "pink", "green", "white")
PLACES = ("lake", "city", "meadow", "beach", "kitchen", "desert", "airport", "snow field")


def options_for(answer: str, rng: Rng) -> list[str]:
    """Four options of the answer's own kind, in random order."""
    if answer.isdigit():
        near = [str(n) for n in range(max(int(answer) - 3, 0), int(answer) + 5) if str(n) != answer]
    elif answer in COLORS or answer in ("grey", "brown"):
        near = [color for color in COLORS if color != answer]
    else:
        near = [word for word in ("glass", "stone", *PLACES, "forest", "hills") if word != answer]
    return sample(rng, [answer, *sample(rng, near, 3)], 4)


def aokvqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for scene, picture in studio.coco_window(POOL["aokvqa"]):
        question, answer = _open_fact(scene, rng)
        options = ", ".join(options_for(answer, rng))
        if rng.integers(2):
            asked = (
                f"{question}\nPick one of the options below and justify it.\nOptions: {options}."
            )
            reply = f"Answer: {answer}.\nRationale: {closed(talk.caption(scene))}"
        else:
            asked = f"{question}\nMake your choice from the options below.\nOptions: {options}."
            reply = closed(answer)
        items.append(Item([bare(picture)], [(asked, reply)]))
    return items


def visual7w(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for scene, picture in studio.coco_window(POOL["visual7w"]):
        turns: list[Turn] = []
        for question, answer in talk.facts(scene, rng)[:4]:
            if answer not in ("yes", "no"):
                turns.append(choices(question, options_for(answer, rng), answer))
        question, answer = _open_fact(scene, rng)
        items.append(
            Item([bare(picture)], turns or [choices(question, options_for(answer, rng), answer)])
        )
    return items


def _open_fact(scene: Scene, rng: Rng) -> talk.Fact:
    return next(fact for fact in talk.facts(scene, rng) if fact[1] not in ("yes", "no"))


def tallyqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for scene, picture in studio.coco_window(POOL["tallyqa"]):
        counts = [fact for fact in talk.facts(scene, rng) if fact[1].isdigit()]
        counts.append(
            (f"How many {pick(rng, ('trains', 'elephants', 'bicycles'))} are there?", "0")
        )
        items.append(Item([bare(picture)], [(brief(rng, q), closed(a)) for q, a in counts]))
    return items


def vsr(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for scene, picture in studio.coco_window(POOL["vsr"]):
        turns: list[Turn] = []
        for thing in scenes.things_in(scene):
            side = talk.side_of(thing)
            if side is None:
                claim, truth = f"The {talk.noun(thing)} can be seen on the ceiling.", False
            else:
                said = pick(rng, ("left", "right"))
                verb = "is" if thing.count == 1 else "are"
                claim = f"The {talk.noun(thing)} {verb} in the {said} half of the picture."
                truth = said == side
            turns.append(
                (f"Does this statement fit the image? {claim}\nAnswer yes or no.", yes_no(truth))
            )
        if not turns:
            claim = pick(rng, ("The sky is below the ground.", "A cat sits on the table."))
            turns = [(f"Does this statement fit the image? {claim}\nAnswer yes or no.", "No.")]
        items.append(Item([bare(picture)], turns))
    return items


def localized_narratives(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for scene, picture in studio.coco_window(POOL["localized_narratives"]):
        things = [thing.called() for thing in scenes.things_in(scene)]
        seen = f" We can see {', '.join(things)}." if things else ""
        text = f"In this picture there is {scene.setting} {scene.hour}.{seen} The photo is clear."
        items.append(Item([bare(picture)], [(pick(rng, DETAIL), text)]))
    return items


def _sign_facts(sign: Sign) -> list[talk.Fact]:
    if sign.kind == "shop":
        return [
            ("What is the name of the shop?", sign.lines[0]),
            ("Since which year does it exist?", sign.lines[1].removeprefix("since ")),
        ]
    if sign.kind == "road":
        name, distance = sign.lines[0].split("  ")
        other = sign.lines[1].split("  ")[0]
        return [(f"How far is it to {name}?", distance), ("Which town is farther away?", other)]
    if sign.kind == "bottle":
        return [
            ("What is in the bottle?", sign.lines[1]),
            ("How much does the bottle hold?", sign.lines[2]),
            ("Which brand is this?", sign.lines[0]),
        ]
    author, title = sign.lines[0].split(": ")
    return [("What is the title of the top book?", title), ("Who wrote the top book?", author)]


def textvqa(studio: Studio, rng: Rng) -> list[Item]:
    return [
        Item([bare(picture)], [(brief(rng, q), closed(a)) for q, a in _sign_facts(sign)])
        for sign, picture in studio.signs
    ]


def st_vqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        sign, picture = studio.sign(rng)
        told = _sign_facts(sign)[:1]
        items.append(Item([picture], [(brief(rng, q), closed(a)) for q, a in told]))
    return items


def textcaps(studio: Studio, rng: Rng) -> list[Item]:
    what = {
        "shop": "A shop front with a sign that reads {}",
        "road": "A road sign that points to {}",
        "bottle": "A bottle with a label that says {}",
        "spines": "A stack of books, the top one of which is {}",
    }
    items = []
    for sign, picture in studio.signs:
        text = what[sign.kind].format(" and ".join(sign.lines[: 1 if sign.kind == "spines" else 2]))
        items.append(Item([bare(picture)], [(pick(rng, DESCRIBE), f"{text}.")]))
    return items


JOKES = (
    ("when the train", "is on time for once"),
    ("me on monday", "me on friday"),
    ("they said it would rain", "they lied"),
    ("five more minutes", "said no morning ever"),
    ("packed sunscreen", "forgot the tent"),
    ("the map says left", "the map is wrong"),
    ("out of office", "and out of signal"),
    ("nice view", "no coffee"),
)


def hateful_memes(studio: Studio, rng: Rng) -> list[Item]:
    """Every meme here is harmless, so every answer is no."""
    items = []
    for i in range(studio.rows):
        top, bottom = JOKES[i % len(JOKES)]
        photo = draw_photos.draw_photo(scenes.any_outdoors(rng), studio.textures)
        question = pick(rng, ("Is this meme hateful?", "Does this meme insult anybody?"))
        picture = jpeg(draw_pages.draw_meme(photo, top, bottom), 84)
        items.append(Item([picture], [(f"{question}\nAnswer yes or no.", "No.")]))
    return items


def vqarad(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        opaque, large = bool(rng.integers(2)), bool(rng.integers(2))
        image = draw_xray(studio.textures, rng, opaque, large)
        turns: list[Turn] = [
            (brief(rng, "Is the heart enlarged?"), yes_no(large)),
            (brief(rng, "Is there an opacity in the left lung?"), yes_no(opaque)),
            (brief(rng, "Which part of the body is shown?"), "Chest."),
        ]
        items.append(Item([png(image) if i % 3 == 0 else jpeg(image, 90)], turns))
    return items


def lnqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        scene, picture = studio.photo(scenes.any_photo(rng))
        turns: list[Turn] = [
            ("What does the image show?", f"The image shows {talk.caption(scene)}.")
        ]
        for question, answer in talk.facts(scene, rng)[: int(rng.integers(2, 6))]:
            turns.append((question, f"The answer is {answer}, as the picture shows."))
        items.append(Item([picture], turns))
    return items


def sharegpt_4o(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        scene, picture = studio.photo(scenes.any_photo(rng), f"{i * 37 % 1000:03d}{i:05d}.jpg")
        prompt = pick(rng, DETAIL)
        items.append(Item([picture], [(f"<image>\n{prompt}", talk.description(scene, rng))]))
    return items


def iiw_400(studio: Studio, rng: Rng) -> list[Item]:
    """The published file has no question; the reader draws one."""
    items = []
    for i in range(studio.rows):
        scene, picture = studio.photo(scenes.any_photo(rng), f"aar_test_{4600 + i:05d}")
        boxes = [
            (thing.name, [min(max(round(999 * v), 0), 999) for v in (y - 0.2, x - 0.1, y, x + 0.1)])
            for thing in scenes.things_in(scene)
            for x, y in thing.spots
        ]
        text = talk.description(scene, rng)
        items.append(
            Item([picture], [(None, text)], {"objects": boxes, "draft": talk.caption(scene)})
        )
    return items


def bare(picture: Picture) -> Picture:
    """The same bytes, without the path: most sets publish none."""
    return Picture(picture.data, None)
