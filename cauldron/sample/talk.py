"""What can be said about a photograph whose scene is known."""

from __future__ import annotations

from cauldron.sample.ink import pick, sample
from cauldron.sample.model import Rng
from cauldron.sample.scenes import AIRBORNE, Scene, things_in
from cauldron.sample.sprites import Thing
from cauldron.sample.words import listed

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")
Fact = tuple[str, str]  # question, short answer without a full stop


def noun(thing: Thing) -> str:
    return thing.name if thing.count == 1 else thing.plural


def facts(scene: Scene, rng: Rng) -> list[Fact]:
    """Questions with short answers, in random order; at least three."""
    told: list[Fact] = []
    for thing in things_in(scene):
        told.append((f"How many {thing.plural} are there?", str(thing.count)))
        verb = "is" if thing.count == 1 else "are"
        if thing.color != "none":
            told.append((f"What color {verb} the {noun(thing)}?", thing.color))
        told.append((f"Is there a {thing.name} in the picture?", "yes"))
    told += _setting_facts(scene)
    names = {thing.name for thing in things_in(scene)}
    absent = pick(rng, [n for n in ("boat", "sheep", "car", "kite", "bench") if n not in names])
    told.append((f"Is there a {absent} in the picture?", "no"))
    return sample(rng, told, len(told))


def _setting_facts(scene: Scene) -> list[Fact]:
    if scene.kind == "outdoors" and scene.place is not None:
        place = scene.place
        front = {
            "lake": "water",
            "meadow": "grass",
            "beach": "sand",
            "snow": "snow",
            "field": "wheat",
        }
        behind = {"mountains": "mountains", "hills": "hills", "dunes": "dunes", "forest": "forest"}
        return [
            ("What covers the ground in front?", front[place.front]),
            ("What is in the background?", behind[place.land]),
            ("Was this taken at night?", "yes" if place.sky == "night" else "no"),
        ]
    if scene.kind == "still life":
        return [
            ("What is the table made of?", "wood"),
            ("What color is the wall?", scene.detail["wall"]),
            ("Is this indoors or outdoors?", "indoors"),
        ]
    if scene.kind == "flower":
        return [
            ("What color is the flower?", scene.detail["color"]),
            ("How many petals does it have?", scene.detail["petals"]),
            ("What is in focus?", "flower"),
        ]
    return [
        ("What kind of place is this?", "city"),
        ("What do the buildings stand next to?", "water"),
        ("Was this taken at night?", "yes" if scene.hour == "at night" else "no"),
    ]


def caption(scene: Scene) -> str:
    """One sentence, no full stop."""
    things = listed([thing.called() for thing in things_in(scene)])
    if scene.kind == "outdoors":
        return f"{things} by {scene.setting} {scene.hour}"
    if scene.kind == "still life":
        return f"{things} on {scene.setting}"
    return f"{scene.setting} {scene.hour}"


def description(scene: Scene, rng: Rng) -> str:
    """Several sentences."""
    medium = pick(rng, ("This photograph", "The image", "The picture"))
    if scene.kind == "flower":
        color, petals = scene.detail["color"], scene.detail["petals"]
        return (
            f"{medium} is a close-up of a single {color} flower. Its {petals} petals are spread "
            "around a golden, grainy centre, and each of them is lighter at the tip than at the "
            "base. A thin green stem runs down to the lower edge. The background is completely "
            "out of focus, a soft pattern of round patches of light, so that nothing distracts "
            "from the flower."
        )
    if scene.kind == "city":
        return (
            f"{medium} shows a city skyline {scene.hour}. Tall, plain towers with rows of small "
            "windows stand side by side along the shore, their right-hand sides in shadow. In the "
            "foreground lies calm water, in which the towers are reflected, broken up by small "
            "waves. Low green hills can be made out behind the buildings, and the sky takes up "
            "the upper part of the frame."
        )
    parts = [_where(thing) for thing in things_in(scene)]
    if scene.kind == "still life":
        return (
            f"{medium} shows a still life on {scene.setting}. {' '.join(parts)} The light comes "
            "from the upper left and throws soft shadows to the right. The grain of the wood is "
            f"clearly visible, and the wall behind is {scene.detail['wall']}, darker towards "
            "the right. It was taken indoors."
        )
    return (
        f"{medium} shows {scene.setting} {scene.hour}. {' '.join(parts)} In the distance the land "
        "fades into haze where it meets the sky. No people are in sight, and the mood is quiet."
    )


def _where(thing: Thing) -> str:
    x = sum(spot[0] for spot in thing.spots) / thing.count
    side = "on the left" if x < 0.4 else "on the right" if x > 0.6 else "near the middle"
    text = thing.called()
    verb = "is" if thing.count == 1 else "are"
    if thing.name in AIRBORNE:
        return f"In the sky there {verb} {text}, {side}."
    return f"There {verb} {text} {side}."


def side_of(thing: Thing) -> str | None:
    """``left`` or ``right`` when every copy is clearly on that side."""
    if all(x < 0.44 for x, _ in thing.spots):
        return "left"
    if all(x > 0.56 for x, _ in thing.spots):
        return "right"
    return None
