"""Rows of the nine text-only sets; every question is made of its own numbers, so none repeats."""

from __future__ import annotations

from typing import Any

from cauldron.sample.model import Item, Rng, Turn, pick, sample
from cauldron.sample.studio import Studio
from cauldron.sample.words import FIRMS, TOPICS, TOWNS, WORDS, filled, person, prose, sentences

Made = tuple[list[Turn], dict[str, Any]]


def _story(rng: Rng) -> tuple[str, str, int]:
    """A word problem: (question, worked answer, result)."""
    boxes, each, gone = (int(rng.integers(*span)) for span in ((3, 40), (4, 60), (2, 12)))
    slots = {"who": person(rng).split()[0], "thing": pick(rng, WORDS["things"]), "gone": gone}
    slots |= {"boxes": boxes, "each": each, "first": boxes * each, "left": boxes * each - gone}
    question, steps = filled(WORDS["story"], slots)
    return question, steps, boxes * each - gone


def _equation(rng: Rng) -> tuple[str, str, int]:
    a, x, b = int(rng.integers(2, 30)), int(rng.integers(-40, 60)), int(rng.integers(1, 300))
    question = f"Solve {a}x + {b} = {a * x + b} for x."
    return question, f"Subtract {b} from both sides: {a}x = {a * x}. Divide by {a}: x = {x}.", x


def metamathqa(rng: Rng, i: int) -> Made:
    question, steps, result = _story(rng) if i % 2 else _equation(rng)
    kind = ("MATH_AnsAug", "GSM_Rephrased", "MATH_FOBAR", "GSM_SV")[i % 4]
    reply = f"{steps}\n#### {result}\nThe answer is: {result}"
    return [(question, reply)], {"type": kind, "original_question": question}


def math_instruct(rng: Rng, i: int) -> Made:
    question, steps, result = _story(rng)
    if i % 2:
        question = f"{question} Write a program that works it out."
        steps = f"start = {steps.split(' = ')[1].split()[0]}\nprint({result})"
    source = ("data/CoT/gsm_rft.json", "data/PoT/gsm_gpt4.json")[i % 2]
    return [(question, steps)], {"source": source}


def orca_math(rng: Rng, i: int) -> Made:
    return [_story(rng)[:2]], {}


def goat(rng: Rng, i: int) -> Made:
    a, b = int(rng.integers(100, 10**6)), int(rng.integers(10, 10**4))
    sign, result = (("+", a + b), ("-", a - b), ("*", a * b))[i % 3]
    asked = f"{a} {sign} {b}"
    question = pick(rng, (f"{asked} = ?", f"Compute {asked}.", f"What is {asked}?"))
    return [(question, f"{asked} = {result}")], {"input": asked, "answer": str(result)}


def atlas_math_sets(rng: Rng, i: int) -> Made:
    a, b = int(rng.integers(100, 10**6)), int(rng.integers(2, 10**4))
    sign, word, result = (("*", "product", a * b), ("+", "sum", a + b))[i % 2]
    return [(f"Find the {word}: {a} {sign} {b}", str(result))], {"answer": str(result)}


def camel_ai_math(rng: Rng, i: int) -> Made:
    question, steps, result = _equation(rng)
    file = f"{i % 5 + 1:03d}_{i // 5 + 1:03d}_{i:03d}.json"
    extra = {"topic;": "Algebra", "sub_topic": "Linear equations", "file": file}
    return [(question, f"{steps} We check: the value fits.\nHence x = {result}.")], extra


def dolly(rng: Rng, i: int) -> Made:
    """Every third row has a context, which belongs to the question."""
    told = sentences(rng, 4)
    if i % 3 == 0:
        question = "What does the first sentence of the text say?"
        return [(question, told[0])], {"context": " ".join(told), "category": "closed_qa"}
    about = f"{pick(rng, FIRMS)} in {pick(rng, TOWNS)}, edition {int(rng.integers(10**6))}"
    category = ("open_qa", "brainstorming")[i % 2]
    turn = (f"Write a few sentences about {about}.", " ".join(told))
    return [turn], {"context": "", "category": category}


def lima(rng: Rng, i: int) -> Made:
    """Mostly one exchange; every fifth row is a dialogue of three."""
    turns: list[Turn] = []
    for topic in sample(rng, sorted(TOPICS), 3 if i % 5 == 4 else 1):
        told = prose(rng, 5, topic)
        first = told.split(". ")[0]
        turns.append((f"I read this: {first}. What else should I know about it?", told))
    source = pick(rng, ("stackexchange", "wikihow", "authors"))
    return turns, {"source": "multi_turn" if len(turns) > 1 else source}


def openhermes_2_5(rng: Rng, i: int) -> Made:
    """Every fourth row has a system prompt."""
    turns: list[Turn] = [_story(rng)[:2]]
    if i % 3 == 0:
        turns.append(_equation(rng)[:2])
    extra = {"source": ("airoboros2.2", "CamelAI", "EvolInstruct_70k")[i % 3]}
    if i % 4 == 0:
        extra["system"] = f"You are a patient tutor from {pick(rng, TOWNS)}."
    return turns, extra


MADE = (
    *(openhermes_2_5, lima, dolly, metamathqa, math_instruct, goat, atlas_math_sets),
    *(orca_math, camel_ai_math),
)


def items(name: str, studio: Studio, rng: Rng) -> list[Item]:
    """The ordinary rows of a text-only set."""
    make = next(make for make in MADE if make.__name__ == name)
    made = [make(rng, i) for i in range(studio.rows)]
    return [Item([], turns, extra) for turns, extra in made]
