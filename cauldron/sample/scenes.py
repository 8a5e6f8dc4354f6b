"""What a photograph is to show: places with things in them, still lifes, flowers, a city."""

from __future__ import annotations

from dataclasses import dataclass, field

from cauldron.sample.ink import Color, pick, sample
from cauldron.sample.model import Rng
from cauldron.sample.scenery import Place, any_place
from cauldron.sample.solids import Solid
from cauldron.sample.sprites import SPRITES, Thing

SIZES = ((480, 360), (480, 320), (360, 480), (448, 336))
FRUIT: dict[str, tuple[str, Color]] = {
    "orange": ("orange", (236, 140, 40)),
    "apple": ("red", (190, 44, 40)),
    "lime": ("green", (104, 158, 52)),
    "plum": ("purple", (98, 50, 108)),
    "peach": ("pink", (236, 160, 130)),
}
AIRBORNE = ("bird", "balloon", "kite")


@dataclass(frozen=True)
class Scene:
    """A photograph and what can be said about it."""

    kind: str  # "outdoors", "still life", "flower" or "city"
    setting: str  # e.g. "a lake below snowy mountains"
    hour: str  # e.g. "at sunset"
    things: tuple[Thing, ...] = ()
    place: Place | None = None
    solids: tuple[Solid, ...] = ()
    size: tuple[int, int] = (480, 360)
    seed: int = 0
    detail: dict[str, str] = field(default_factory=dict)


SETTINGS = {
    "lake": "a calm lake",
    "meadow": "a green meadow",
    "beach": "a sandy beach",
    "snow": "a snow-covered field",
    "field": "a field of ripe wheat",
}
BEHIND = {
    "mountains": "snowy mountains",
    "hills": "green hills",
    "dunes": "low dunes",
    "forest": "a dark forest",
}
HOURS = {
    "clear": "on a sunny day",
    "cloudy": "under a partly cloudy sky",
    "overcast": "on an overcast day",
    "sunset": "at sunset",
    "dawn": "at dawn",
    "night": "at night",
}
FITTING = {
    "lake": ("boat",),
    "meadow": ("sheep", "house", "tree", "bench"),
    "beach": ("umbrella", "bench"),
    "snow": ("house", "car"),
    "field": ("tree", "house", "car"),
}
THING_COLORS = ("red", "blue", "yellow", "orange", "purple", "pink")


def any_outdoors(rng: Rng, things: int = -1) -> Scene:
    """A random outdoor scene with `things` kinds of objects, one or two by default."""
    place = any_place(rng)
    kinds = [pick(rng, FITTING[place.front])]
    if (things == 2) or (things < 0 and rng.integers(2)):
        kinds.append(pick(rng, AIRBORNE))
    placed = tuple(_place(rng, kind, place) for kind in kinds)
    setting = f"{SETTINGS[place.front]} in front of {BEHIND[place.land]}"
    return Scene(
        "outdoors",
        setting,
        HOURS[place.sky],
        placed,
        place,
        (),
        pick(rng, SIZES),
        int(rng.integers(1 << 31)),
    )


def _place(rng: Rng, kind: str, place: Place) -> Thing:
    count = int(rng.integers(1, 5))
    columns = sample(rng, [0.14, 0.32, 0.5, 0.68, 0.86], count)
    low = place.horizon
    spots = []
    for x in sorted(columns):
        if kind in AIRBORNE:
            y = float(rng.uniform(0.16, low - 0.14))
        else:
            start = 0.45 if place.front == "beach" else 0.12
            y = low + (1 - low) * float(rng.uniform(start, 0.8))
        spots.append((x + float(rng.uniform(-0.03, 0.03)), y))
    color = "none" if kind == "sheep" else pick(rng, THING_COLORS)
    color = "green" if kind == "tree" else color
    return Thing(kind, color, tuple(spots), float(rng.uniform(0.8, 1.15)))


def any_still_life(rng: Rng) -> Scene:
    fruit = sample(rng, sorted(FRUIT), int(rng.integers(1, 4)))
    solids: list[Solid] = []
    names: dict[str, str] = {}
    spots = sample(rng, [0.14, 0.3, 0.46, 0.62, 0.78, 0.9], 5)
    if rng.integers(2):
        color = pick(rng, ("blue", "yellow", "grey", "brown"))
        solids.append(Solid("cylinder", color, "rubber", "large", spots.pop(), 0.74, 0.085))
        names["cup"] = color
    for i, x in enumerate(spots[: int(rng.integers(2, 5))]):
        name = fruit[i % len(fruit)]
        radius = float(rng.uniform(0.055, 0.075))
        solids.append(Solid("sphere", name, "rubber", "small", x, 0.7 + 0.2 * (i % 3) / 2, radius))
    solids.sort(key=lambda solid: solid.y)
    wood = pick(rng, ("light", "dark"))
    wall = pick(rng, ("grey", "blue", "green", "yellow", "brown"))
    return Scene(
        "still life",
        f"a {wood} wooden table",
        "indoors",
        (),
        None,
        tuple(solids),
        pick(rng, SIZES[:2]),
        int(rng.integers(1 << 31)),
        {"wood": wood, "wall": wall, **names},
    )


def any_flower(rng: Rng) -> Scene:
    color = pick(rng, ("pink", "yellow", "orange", "purple", "red", "blue"))
    petals = int(rng.integers(5, 10))
    detail = {"color": color, "petals": str(petals)}
    return Scene(
        "flower",
        f"a {color} flower with {petals} petals",
        "in close-up",
        size=pick(rng, SIZES),
        seed=int(rng.integers(1 << 31)),
        detail=detail,
    )


def any_city(rng: Rng) -> Scene:
    hour = pick(rng, ("sunset", "night", "overcast", "clear"))
    place = Place(hour, "hills", "lake", 0.62)
    towers = int(rng.integers(5, 9))
    return Scene(
        "city",
        "a city skyline by the water",
        HOURS[hour],
        (),
        place,
        (),
        pick(rng, SIZES[:2]),
        int(rng.integers(1 << 31)),
        {"towers": str(towers)},
    )


def any_photo(rng: Rng) -> Scene:
    makers = (any_outdoors, any_outdoors, any_still_life, any_flower, any_city)
    return pick(rng, makers)(rng)


def things_in(scene: Scene) -> list[Thing]:
    """What a question may count: sprites outdoors, fruit and cups on a table."""
    if scene.kind != "still life":
        return [thing for thing in scene.things if thing.name in SPRITES]
    found: dict[str, list[tuple[float, float]]] = {}
    for solid in scene.solids:
        name = solid.color if solid.shape == "sphere" else "cup"
        found.setdefault(name, []).append((solid.x, solid.y))
    colors = {name: FRUIT[name][0] if name in FRUIT else scene.detail[name] for name in found}
    return [
        Thing(name, "none" if name == "orange" else colors[name], tuple(sorted(spots)))
        for name, spots in found.items()
    ]
