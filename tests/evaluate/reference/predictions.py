"""Predictions made for the metrics: right, nearly right, odd, and wrong. Nothing here is random.

A case is what a reference implementation and ours are both given. `make.py` adds the reference's
result.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

Case = dict[str, Any]

CASES = 1_500
SUBJECTS = (
    *("Art", "Art_Theory", "Music", "Economics", "Manage", "Biology", "Math", "Physics"),
    *("Diagnostics_and_Laboratory_Medicine", "Public_Health", "History", "Sociology"),
    *("Architecture_and_Engineering", "Energy_and_Power", "Materials"),
)
LETTERS = "ABCDEFGHI"
WORDS = (
    *("yes", "no", "red", "Blue", "the dog", "a cat", "an apple", "Coca-Cola", "stop", "exit"),
    *("New York", "it's", "dont", "can't", "whats up", "o'clock", "she's", "Philip Morris"),
    *("R.J. Reynolds", "1/8/93", "January 8, 1993", "10:45", "3 p.m.", "50%", "$4.50", "3/11"),
    *("mother's day", "rock 'n' roll", "u.s.a.", "left; right", "(none)", "none", "zero", "two"),
    *("twenty one", "item_7", "a-b", "x > y", "e=mc", "what?", "wow!", "@home", "`code`", "[1, 2]"),
    *(
        "Straße",
        "weiß",
        "Fuß",
        "STRASSE",
        "naïve",
        "İstanbul",
        "日本語",
        "正解は",
        "한국어",
        "да",
        "ﬁne",
        "x²",
        "١٢",
    ),
    *("DNA", "vitamin B", "Plan A", "Type C", "ADHD", "C major", "is", "so", "A", "e", "=", "nan"),
)
SENTENCES = (
    "The answer is {}.",
    "The answer is {}",
    'The answer is "{}".',
    "answer: {}",
    "Answer: {}",
    "It could be {} or something else.",
    "So the result is {}, I think",
    "Looking at the picture, I would say that it shows {} and nothing else.",
    "Therefore, the final answer is {}\nThus {}",
    "x = {}",
    "First, we add 3 and 4.\nSo it is 7. The result is {}.",
    "{} because that is what can be seen in the image here",
    "I'm not sure, but {}",
    "Let us see: 12 - 5 = 7, hence\n\nfinal {}",
    "Is it {}? Yes, it is {}.",
    "The answer is :\n{}",
    "There are too many to count, so {}",
    "So the answer is\n: {}",
)
LETTER_FORMS = (
    *(
        "{}",
        "{}.",
        "({})",
        "{})",
        "{}:",
        "**{}**",
        "[{}]",
        "'{}'",
        " {} ",
        "{}. some words",
        "{}\n",
    ),
    *("({}).", "{},", ":{}", "Option {}", "option {}.", "{} is right", "It is {}", "It's ({})"),
    *(
        "I choose {}",
        "My answer is {}",
        "the correct option is {}",
        "答案是{}",
        "정답은 {}",
        "答えは{}",
    ),
    *("Answer: {}", "answer {}", "A thing that is {} of course", "Both {} and {}", "{} or {}"),
    *("({}) or ({})", "not {}, but {}", "{}{}", "{}, {}, {}", "Not ({}). The answer is {}."),
    *("The answer is {}, not {}.", "{}: yes; {}: no", "{}) first\n{}) second", "\\boxed{{{}}}"),
    *(
        "I choose {} or {} or {}. or so",
        "Say {}. or {}: or {}) here",
        "{}. or ({}) or so",
        "({}) or {}. or so",
        "{}. and {}: and {}) and so on",
    ),
    *("I think that the best answer is {} here", "Is it {}? No: {}!", "Choice {}; {}."),
)
ODD = (
    "",
    " ",
    ".",
    "...",
    "?!",
    "\n",
    "I don't know",
    "Sorry.",
    "?",
    "''",
    "...A",
    "\tB\t",
    "\uff21",
    "\u0430",
)
NUMBERS = (
    "0",
    "1",
    "-3",
    "7",
    "12",
    "2.5",
    "0.25",
    "1000",
    "1234567",
    "3.14159",
    "-0.5",
    "100",
    "99",
)


def cases() -> dict[str, list[Case]]:
    """Cases by metric."""
    makers: dict[str, Callable[[random.Random], Case]] = {
        "mmmu_choice": _mmmu_choice,
        "mmmu_open": _mmmu_open,
        "mathvista": _mathvista,
        "mmstar": _mmstar,
        "mmbench": _mmbench,
        "ai2d": _ai2d,
        "anls": _anls,
        "vqa": _vqa,
        "chartqa": _chartqa,
    }
    made = {name: list(_different(name, make)) for name, make in makers.items()}
    draw = random.Random("mmmu_scores 2026")
    return {**made, "mmmu_scores": [_mmmu_scores(draw) for _ in range(20)]}


def _mmmu_scores(draw: random.Random) -> Case:
    """Which items of some subjects are right."""
    subjects = draw.sample(SUBJECTS, draw.randint(1, len(SUBJECTS)))
    names = [f"validation_{name}_{i}" for name in subjects for i in range(draw.randint(1, 30))]
    return {"right": {name: draw.random() < 0.45 for name in names}}


def _different(name: str, make: Callable[[random.Random], Case]) -> Iterator[Case]:
    draw = random.Random(f"{name} 2026")
    seen: set[str] = set()
    while len(seen) < CASES:
        case = make(draw)
        if repr(case) not in seen:
            seen.add(repr(case))
            yield case


def _choices(draw: random.Random, most: int = 6) -> list[str]:
    pool = draw.choice(
        (WORDS, NUMBERS, tuple(f"{word} {number}" for word in WORDS for number in "12"))
    )
    return draw.sample(pool, draw.randint(2, most))


def _letter_text(draw: random.Random, choices: list[str]) -> str:
    letters = LETTERS[: len(choices)]
    kind = draw.random()
    if kind < 0.1:
        return draw.choice(ODD)
    if kind < 0.3:
        return _sentence(draw, draw.choice(choices))
    if kind < 0.4:
        return f"{draw.choice(letters)}. {draw.choice(choices)}"
    form = draw.choice(LETTER_FORMS)
    drawn = [draw.choice(letters + "EZ" * (draw.random() < 0.1)) for _ in range(4)]
    text = form.format(*drawn)
    if draw.random() < 0.15:
        text = draw.choice((text.lower(), text.upper(), text.swapcase()))
    if draw.random() < 0.1:
        text = f"{text} {draw.choice(WORDS)}"
    return text


def _sentence(draw: random.Random, answer: str) -> str:
    text = draw.choice(SENTENCES)
    return text.replace("{}", answer)


def _number(draw: random.Random) -> str:
    plain = draw.choice((*NUMBERS, str(draw.randint(-50, 5_000)), f"{draw.uniform(-9, 999):.3f}"))
    return draw.choice((plain, plain, _reformatted(draw, plain)))


def _reformatted(draw: random.Random, plain: str) -> str:
    value = float(plain)
    forms = (
        f"{value:,.2f}",
        f"{value:e}",
        f"{value:.1f}",
        f"{value:,.0f}",
        f"{value:g}%",
        f"${plain}",
    )
    return draw.choice(
        (*forms, f"+{plain}", f"{plain}.", f" {plain} ", f"{plain} cm", f"_{plain}_")
    )


def _varied(draw: random.Random, answer: str) -> str:
    """An answer that is right, nearly right or wrong."""
    if draw.random() < 0.06:
        return draw.choice((*ODD, "inf", "nan", "1_000", "1e400"))
    for _ in range(draw.randint(0, 2)):
        answer = draw.choice(_CHANGES)(draw, answer)
    return answer


def _edited(draw: random.Random, text: str) -> str:
    at = draw.randint(0, len(text))
    cut = text[at + draw.randint(0, 2) :]
    return text[:at] + draw.choice(("", "x", "e", " ", ".", "1")) + cut


_CHANGES: tuple[Callable[[random.Random, str], str], ...] = (
    _edited,
    _edited,
    _sentence,
    lambda draw, text: draw.choice((text.upper(), text.lower(), text.title(), text.capitalize())),
    lambda draw, text: (
        f"{draw.choice(('', ' ', '(', chr(34), 'the '))}{text}{draw.choice('.!?,;) ')}"
    ),
    lambda draw, text: text.replace(" ", draw.choice(("  ", "\n", "\t", "", "-"))),
    lambda draw, text: f"{text}{draw.choice((' ', ', ', ' and ', chr(10)))}{draw.choice(WORDS)}",
    lambda draw, text: draw.choice(WORDS),
    lambda draw, text: _number(draw),
)


def _answer(draw: random.Random) -> str:
    return _number(draw) if draw.random() < 0.4 else draw.choice(WORDS)


def _mmmu_choice(draw: random.Random) -> Case:
    choices = _choices(draw)
    return {"text": _letter_text(draw, choices), "choices": choices}


def _mmmu_open(draw: random.Random) -> Case:
    answers = [_answer(draw) for _ in range(draw.choice((1, 1, 2)))]
    return {"text": _varied(draw, draw.choice(answers)), "answers": answers}


def _mathvista(draw: random.Random) -> Case:
    """`found` is what is normalised: extracted from a text by rules or by another model."""
    answer_type = draw.choice(("text", "text", "integer", "float", "list"))
    case: Case = {"answer_type": answer_type, "precision": draw.choice((1, 2)), "choices": []}
    if answer_type == "text":
        choices = _choices(draw, 8)
        answer = draw.choice(choices)
        letter = LETTERS[choices.index(answer)]
        case |= {"question_type": "multi_choice", "choices": choices}
        made = (letter, f"({letter})", f"({letter.lower()}) {answer}", letter.lower(), answer)
        texts = [*made, _letter_text(draw, choices), _varied(draw, answer)]
    else:
        case["question_type"] = "free_form"
        number = round(draw.uniform(-20, 2_000), case["precision"])
        listed = [draw.randint(0, 9) for _ in range(draw.randint(1, 3))]
        answer = {"integer": str(round(number)), "float": str(number)}.get(answer_type, str(listed))
        texts = [answer, _varied(draw, answer), _number(draw), f"{number}", f"{number:.3f}"]
    return {**case, "answer": answer, "text": draw.choice(texts), "found": draw.choice(texts)}


def _mmstar(draw: random.Random) -> Case:
    choices = draw.sample(WORDS, 4)
    return {"text": _letter_text(draw, choices)}


def _mmbench(draw: random.Random) -> Case:
    """The same question once or more, its choices rotated."""
    choices = draw.sample(WORDS, draw.randint(2, 4))
    right = draw.choice(choices)
    rows = []
    for _ in range(draw.choice((1, 1, 2, len(choices)))):
        choices = choices[1:] + choices[:1]
        answer = LETTERS[choices.index(right)]
        text = (
            _letter_text(draw, choices)
            if draw.random() < 0.4
            else draw.choice(
                (answer, f"{answer}.", f"({answer})", f"Answer: {answer}", right, f"It is {right}")
            )
        )
        rows.append({"text": text, "choices": choices, "answer": answer})
    return {"rows": rows}


def _ai2d(draw: random.Random) -> Case:
    choices = _choices(draw, 4)
    answer = draw.choice(LETTERS[: len(choices)])
    forms = (
        answer,
        f"{answer}.",
        f"({answer})",
        f" {answer}. {choices[0]}",
        answer.lower(),
        f"{answer}!",
    )
    text = draw.choice(forms) if draw.random() < 0.6 else _letter_text(draw, choices)
    return {"text": text, "answer": answer, "choices": choices}


def _anls(draw: random.Random) -> Case:
    answers = [_answer(draw) for _ in range(draw.choice((1, 1, 2, 3)))]
    return {"text": _varied(draw, draw.choice(answers)), "answers": answers}


def _vqa(draw: random.Random) -> Case:
    right = _answer(draw)
    answers = [right if draw.random() < 0.5 else _varied(draw, right) for _ in range(10)]
    return {"text": _varied(draw, draw.choice((right, *answers))), "answers": answers}


def _chartqa(draw: random.Random) -> Case:
    answer = _answer(draw)
    if draw.random() < 0.3 and answer in NUMBERS:
        return {"text": f"{float(answer) * draw.uniform(0.9, 1.1):.6g}", "answer": answer}
    return {"text": _varied(draw, answer), "answer": answer}
