"""The ordinary rows of the sets of pictures, from their descriptions in ``data/sets.yaml``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cauldron.sample import makers, makers_diagrams
from cauldron.sample.draw.ink import NAMED
from cauldron.sample.model import Item, Picture, Rng, Turn, load, pick, sample
from cauldron.sample.studio import Shown, Studio
from cauldron.sample.words import WORDS, filled

SETS = load("sets")
Make = Callable[[Studio, Rng, int, dict[str, Any]], Shown]
MAKERS: dict[str, Make] = {**makers.MAKERS, **makers_diagrams.MAKERS}
LETTERS = "ABCDEFGH"


def items(
    name: str, studio: Studio, rng: Rng, described: dict[str, dict[str, Any]] = SETS
) -> list[Item]:
    """The ordinary rows of a set. Args: described: the sets by name."""
    wanted = described[name]
    made: list[Item] = []
    shown = Shown([], {})
    for i in range(-(-studio.rows // wanted.get("share", 1))):
        again = "again" in wanted and i % 4 == 1
        if not again:
            shown = _shown(wanted, studio, rng, i)
        turns = turns_of({**wanted, "ask": wanted["again"]} if again else wanted, shown, rng, i)
        extra = dict(shown.extra)
        if "labels" in wanted:
            extra["source"] = wanted["labels"][i % len(wanted["labels"])]
        made.append(Item(shown.pictures, turns, extra))
    return made


def pool(name: str, studio: Studio) -> list[Shown]:
    """The pictures that several sets share, some times as many as a set has rows."""
    if name not in studio.pools:
        options, rng = WORDS["pools"][name], studio.rng(f"pool {name}")
        count = studio.rows * options["times"]
        studio.pools[name] = [makers.photo(studio, rng, i, options) for i in range(count)]
    return studio.pools[name]


def _shown(wanted: dict[str, Any], studio: Studio, rng: Rng, i: int) -> Shown:
    options = wanted["picture"]
    if "pool" not in options:
        kinds = options["kind"] if isinstance(options["kind"], list) else [options["kind"]]
        return MAKERS[kinds[i % len(kinds)]](studio, rng, i, options)
    shared = pool(options["pool"], studio)
    first = round(float(options.get("start", 0)) * len(shared))
    shown = shared[(first + i) % len(shared)]
    if "path" in wanted:  # only this path is published
        bare = [Picture(None, wanted["path"].format(path=p.path), p) for p in shown.pictures]
        return replace(shown, pictures=bare)
    if "paths" in options:
        return shown
    return replace(shown, pictures=[Picture(picture.data) for picture in shown.pictures])


def turns_of(wanted: dict[str, Any], shown: Shown, rng: Rng, i: int) -> list[Turn]:
    """What is asked about row `i` of a set."""
    many = wanted.get("turns")
    asked: list[Turn] = []
    for entry in wanted["ask"]:
        facts = shown.facts.get(entry["of"], [])
        if facts and i % entry.get("every", 1) == 0:
            style = entry.get("as", wanted.get("as", "brief"))
            chosen = facts if many else [pick(rng, facts)]
            asked += [_turn(entry, style, fact, rng) for fact in chosen]
    if isinstance(many, list):
        return sample(rng, asked, int(rng.integers(many[0], many[1] + 1)))
    return asked


def _turn(entry: dict[str, Any], style: str, fact: dict[str, Any], rng: Rng) -> Turn:
    template = pick(rng, entry["q"]) if isinstance(entry["q"], list) else entry["q"]
    question, answer = filled(template, fact), filled(entry["a"], fact)
    lead = entry.get("lead", "")
    if style == "plain":
        return question, answer
    if style == "brief":
        return question + pick(rng, WORDS["brief"]), closed(answer)
    if style == "yesno":
        return f"{question}\nAnswer yes or no.", closed(answer)
    options = options_for(answer, entry.get("others") or fact.get("others") or [], rng)
    if style == "choices":
        lines = [f"{LETTERS[i]}. {option}" for i, option in enumerate(options)]
        parts = [f"{lead}Question: {question}", "Choices:", *lines, "Answer with the letter."]
        return "\n".join(parts), f"Answer: {LETTERS[options.index(answer)]}"
    asked = f"{question}\nMake your choice from the options below.\nOptions: {', '.join(options)}."
    return asked, closed(answer)


def closed(answer: str) -> str:
    """An answer as most sets have it: first letter a capital, a full stop at the end."""
    return f"{answer[:1].upper()}{answer[1:]}."


def options_for(answer: str, others: list[str], rng: Rng) -> list[str]:
    """Up to four options of the answer's own kind, in random order."""
    if answer.isdigit():
        near = range(max(int(answer) - 5, 0), int(answer) + 6)
        others = [str(number) for number in near if str(number) != answer]
    elif answer in NAMED:
        others = list(NAMED)
    wrong = [other for other in others if other != answer]
    return sample(rng, [answer, *sample(rng, wrong, 3)], 4)
