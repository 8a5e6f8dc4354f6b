"""Rows of the sets about two photographs: NLVR2, Spot-the-diff, general scene differences."""

from __future__ import annotations

from dataclasses import replace

from cauldron.sample import scenes, talk
from cauldron.sample.ink import pick
from cauldron.sample.model import Item, Rng, Turn
from cauldron.sample.scenes import Scene
from cauldron.sample.sprites import Thing
from cauldron.sample.studio import Studio
from cauldron.sample.words import yes_no

SMALL = (400, 300)


def nlvr2(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        left, right = (replace(scenes.any_outdoors(rng), size=SMALL) for _ in range(2))
        pictures = [studio.photo(scene)[1] for scene in (left, right)]
        first, second = scenes.things_in(left)[0], scenes.things_in(right)[0]
        said = int(rng.integers(max(first.count - 1, 1), first.count + 2))
        word = "is" if said == 1 else "are"
        name = first.name if said == 1 else first.plural
        claim = f"In the left image there {word} exactly {talk.NUMBERS[said]} {name}."
        turns: list[Turn] = [(_judge(claim), yes_no(said == first.count))]
        both = f"Both images contain at least one {first.name}."
        turns.append(
            (_judge(both), yes_no(any(t.name == first.name for t in scenes.things_in(right))))
        )
        more = f"The right image shows more {second.plural} than the left one."
        on_left = sum(t.count for t in scenes.things_in(left) if t.name == second.name)
        turns.append((_judge(more), yes_no(second.count > on_left)))
        items.append(Item(pictures, turns))
    return items


def _judge(claim: str) -> str:
    return f"Look at the two images and judge this sentence: {claim}\nAnswer yes or no."


def _one_less(rng: Rng, scene: Scene) -> tuple[Scene, Thing]:
    """The scene with one copy of one thing removed, and that thing with only that copy."""
    index = int(rng.integers(len(scene.things)))
    thing = scene.things[index]
    gone = int(rng.integers(thing.count))
    left = thing.spots[:gone] + thing.spots[gone + 1 :]
    kept = (replace(thing, spots=left),) if left else ()
    things = scene.things[:index] + kept + scene.things[index + 1 :]
    return replace(scene, things=things), replace(thing, spots=(thing.spots[gone],))


def spot_the_diff(studio: Studio, rng: Rng) -> list[Item]:
    """The same place twice; one thing is gone in the second picture."""
    items = []
    for _ in range(studio.rows):
        scene = replace(scenes.any_outdoors(rng), size=SMALL)
        after, thing = _one_less(rng, scene)
        pictures = [studio.photo(scene)[1], studio.photo(after)[1]]
        side = "left" if thing.spots[0][0] < 0.5 else "right"
        question = pick(rng, ("What has changed between the two images?", "Find the difference."))
        answer = f"The {thing.called().split(' ', 1)[1]} on the {side} is no longer there."
        items.append(Item(pictures, [(question, answer)]))
    return items


def mimic_cgd(studio: Studio, rng: Rng) -> list[Item]:
    """Two similar scenes that differ as a whole."""
    items = []
    for _ in range(studio.rows):
        first, second = (replace(scenes.any_outdoors(rng, 1), size=SMALL) for _ in range(2))
        pictures = [studio.photo(scene)[1] for scene in (first, second)]
        a, b = scenes.things_in(first)[0], scenes.things_in(second)[0]
        turns: list[Turn] = [
            (
                "How do the settings of the two images differ?",
                f"The first image shows {first.setting} {first.hour}, "
                f"the second one {second.setting} {second.hour}.",
            ),
            (
                "Compare the objects in the two images.",
                f"There is {a.called()} in the first image and {b.called()} in the second."
                if a.count == 1
                else f"There are {a.called()} in the first image and {b.called()} in the second.",
            ),
        ]
        items.append(Item(pictures, turns))
    return items
