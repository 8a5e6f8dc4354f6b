"""Rows of the nine text-only sets; every question is made of its own numbers, so none repeats."""

from __future__ import annotations

from cauldron.sample.ink import pick, sample
from cauldron.sample.model import Item, Rng, Turn
from cauldron.sample.studio import Studio
from cauldron.sample.words import FIRMS, TOWNS, person, prose, sentences

GOODS = ("pencils", "apples", "marbles", "stamps", "books", "buttons", "shells", "cards")


def _story(rng: Rng) -> tuple[str, str, int]:
    """A word problem: (question, worked answer, result)."""
    who, thing = person(rng).split()[0], pick(rng, GOODS)
    boxes, each, gone = (int(rng.integers(*span)) for span in ((3, 40), (4, 60), (2, 12)))
    result = boxes * each - gone
    question = (
        f"{who} has {boxes} boxes with {each} {thing} in each box. {who} gives {gone} {thing} "
        f"away. How many {thing} are left?"
    )
    steps = (
        f"There are {boxes} * {each} = {boxes * each} {thing} at first. After giving away {gone}, "
        f"{boxes * each} - {gone} = {result} {thing} are left."
    )
    return question, steps, result


def _equation(rng: Rng) -> tuple[str, str, int]:
    a, x, b = int(rng.integers(2, 30)), int(rng.integers(-40, 60)), int(rng.integers(1, 300))
    question = f"Solve {a}x + {b} = {a * x + b} for x."
    return question, f"Subtract {b} from both sides: {a}x = {a * x}. Divide by {a}: x = {x}.", x


def metamathqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        question, steps, result = _story(rng) if i % 2 else _equation(rng)
        kind = ("MATH_AnsAug", "GSM_Rephrased", "MATH_FOBAR", "GSM_SV")[i % 4]
        reply = f"{steps}\n#### {result}\nThe answer is: {result}"
        items.append(Item([], [(question, reply)], {"type": kind, "original_question": question}))
    return items


def math_instruct(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        question, steps, result = _story(rng)
        if i % 2:
            question = f"{question} Write a program that works it out."
            steps = f"start = {steps.split(' = ')[1].split()[0]}\nprint({result})"
        source = ("data/CoT/gsm_rft.json", "data/PoT/gsm_gpt4.json")[i % 2]
        items.append(Item([], [(question, steps)], {"source": source}))
    return items


def orca_math(studio: Studio, rng: Rng) -> list[Item]:
    return [Item([], [_story(rng)[:2]]) for _ in range(studio.rows)]


def goat(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        a, b = int(rng.integers(100, 10**6)), int(rng.integers(10, 10**4))
        sign, result = (("+", a + b), ("-", a - b), ("*", a * b))[i % 3]
        ask = pick(rng, ("{} {} {} = ?", "Compute {} {} {}.", "What is {} {} {}?"))
        question, answer = ask.format(a, sign, b), f"{a} {sign} {b} = {result}"
        items.append(
            Item([], [(question, answer)], {"input": f"{a} {sign} {b}", "answer": str(result)})
        )
    return items


def atlas_math_sets(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        a, b = int(rng.integers(100, 10**6)), int(rng.integers(2, 10**4))
        sign, word, result = (("*", "product", a * b), ("+", "sum", a + b))[i % 2]
        question = f"Find the {word}: {a} {sign} {b}"
        items.append(Item([], [(question, str(result))], {"answer": str(result)}))
    return items


def camel_ai_math(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        question, steps, result = _equation(rng)
        place = {
            "topic;": "Algebra",
            "sub_topic": "Linear equations",
            "file": f"{i % 5 + 1:03d}_{i // 5 + 1:03d}_{i:03d}.json",
        }
        items.append(
            Item([], [(question, f"{steps} We check: the value fits.\nHence x = {result}.")], place)
        )
    return items


def dolly(studio: Studio, rng: Rng) -> list[Item]:
    """Every third row has a context, which belongs to the question."""
    items = []
    for i in range(studio.rows):
        told = sentences(rng, 4)
        if i % 3 == 0:
            extra = {"context": " ".join(told), "category": "closed_qa"}
            turn: Turn = ("What does the first sentence of the text say?", told[0])
        else:
            town, firm = pick(rng, TOWNS), pick(rng, FIRMS)
            extra = {"context": "", "category": ("open_qa", "brainstorming")[i % 2]}
            question = (
                f"Write a few sentences about {firm} in {town}, edition {int(rng.integers(10**6))}."
            )
            turn = (question, " ".join(told))
        items.append(Item([], [turn], extra))
    return items


def lima(studio: Studio, rng: Rng) -> list[Item]:
    """Mostly one exchange; every fifth row is a dialogue of three."""
    items = []
    for i in range(studio.rows):
        turns: list[Turn] = []
        for topic in sample(rng, ("market", "nature", "town"), 3 if i % 5 == 4 else 1):
            told = prose(rng, 5, topic)
            turns.append(
                (f"I read this: {told.split('. ')[0]}. What else should I know about it?", told)
            )
        source = (
            "multi_turn" if len(turns) > 1 else pick(rng, ("stackexchange", "wikihow", "authors"))
        )
        items.append(Item([], turns, {"source": source}))
    return items


def openhermes_2_5(studio: Studio, rng: Rng) -> list[Item]:
    """Every fourth row has a system prompt."""
    items = []
    for i in range(studio.rows):
        question, steps, _ = _story(rng)
        turns: list[Turn] = [(question, steps)]
        if i % 3 == 0:
            follow, more, _ = _equation(rng)
            turns.append((follow, more))
        extra = {"source": ("airoboros2.2", "CamelAI", "EvolInstruct_70k")[i % 3]}
        if i % 4 == 0:
            extra["system"] = f"You are a patient tutor from {pick(rng, TOWNS)}."
        items.append(Item([], turns, extra))
    return items
