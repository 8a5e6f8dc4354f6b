"""Plain English for pages, captions and questions: word lists and sentence patterns."""

from __future__ import annotations

from cauldron.sample.ink import pick, sample
from cauldron.sample.model import Rng


def words_of(text: str) -> list[str]:
    return text.split("|")


FIRST = words_of(
    "Anna|Bruno|Clara|David|Elena|Felix|Grace|Hassan|Irene|Jonas|Kavya|Liam|Mona|Nadia|Oscar|"
    "Paula|Quentin|Rosa|Simon|Tara|Umar|Vera|Walter|Xenia|Yusuf|Zoe"
)
LAST = words_of(
    "Abbott|Becker|Castillo|Dalton|Eriksen|Fontaine|Greco|Hughes|Ivanov|Jensen|Keller|"
    "Lindqvist|Moreau|Novak|Okafor|Petersen|Quinn|Rossi|Schmidt|Tanaka|Ueda|Vargas|Weber|Xu|"
    "Young|Zeller"
)
TOWNS = words_of(
    "Ashford|Brinton|Caldera|Dunmore|Eastvale|Fernhill|Glenrock|Harwick|Inverly|Jasperton|"
    "Kelso|Larkspur|Midhaven|Northgate|Oakridge|Pinecrest|Quarryville|Rosedale|Stonebridge|"
    "Thornbury"
)
FIRMS = words_of(
    "Alder Foods|Bluewater Shipping|Cobalt Energy|Delta Textiles|Evergreen Paper|"
    "Falcon Tools|Granite Insurance|Harbor Dairy|Ivory Ceramics|Juniper Press|Keystone Rail|"
    "Lantern Optics|Meridian Air|Nimbus Software|Orchard Health|Pioneer Seeds"
)
MONTHS = words_of(
    "January|February|March|April|May|June|July|August|September|October|November|December"
)
TOPICS: dict[str, tuple[str, ...]] = {
    "market": (
        "Sales of {noun} in {town} rose by {small} percent in {month}.",
        "The committee of {firm} met on {day} {month} to review the plan for {noun}.",
        "Costs stayed below the budget of {amount} dollars for the third quarter in a row.",
        "{person} told the members that demand for {noun} will grow slowly next year.",
        "A new warehouse near {town} should open before the end of {month}.",
        "Most customers said that delivery was on time and that prices were fair.",
        "The report recommends that the team hire {small} more people for the {town} office.",
    ),
    "nature": (
        "The river near {town} is home to {small} species of fish and many wading birds.",
        "In {month} the meadows are covered with wild flowers that attract bees and butterflies.",
        "{person} has counted the nests along the shore every spring for {small} years.",
        "Rain fell on {day} days of the month, which is more than usual for the season.",
        "Young trees need shade, water and loose soil during their first summer.",
        "Visitors are asked to stay on the marked path and to leave no litter behind.",
        "Fossils found in the limestone show that a warm sea once covered the whole valley.",
    ),
    "town": (
        "The library in {town} will stay open until eight in the evening during {month}.",
        "A tram line of {small} kilometres will connect the station with the old harbour.",
        "{person}, who teaches at the school, organised the fair together with her class.",
        "The bridge was built of stone and has carried traffic for more than a century.",
        "Residents may collect their permits at the counter on the ground floor.",
        "About {amount} people came to the square to listen to the concert on {day} {month}.",
        "The museum shows paintings, maps and tools from the time of the first settlers.",
    ),
}
NOUNS = words_of("coffee|tea|bicycles|lamps|furniture|paper|tiles|honey|wool|tools|books|boots")


def person(rng: Rng) -> str:
    return f"{pick(rng, FIRST)} {pick(rng, LAST)}"


def date(rng: Rng) -> str:
    return f"{pick(rng, MONTHS)} {int(rng.integers(1, 29))}, {int(rng.integers(1968, 2016))}"


def amount(rng: Rng, low: int, high: int) -> str:
    return f"{int(rng.integers(low, high)):,}"


def sentences(rng: Rng, count: int, topic: str = "") -> list[str]:
    """`count` sentences on one topic, without repeating a pattern before all were used."""
    patterns = TOPICS[topic or pick(rng, sorted(TOPICS))]
    order: list[str] = []
    while len(order) < count:
        order += sample(rng, patterns, len(patterns))
    return [
        pattern.format(
            noun=pick(rng, NOUNS),
            town=pick(rng, TOWNS),
            firm=pick(rng, FIRMS),
            month=pick(rng, MONTHS),
            person=person(rng),
            day=int(rng.integers(2, 28)),
            small=int(rng.integers(3, 40)),
            amount=amount(rng, 1200, 90000),
        )
        for pattern in order[:count]
    ]


def prose(rng: Rng, count: int, topic: str = "") -> str:
    return " ".join(sentences(rng, count, topic))


# Ways to ask for a short answer, appended to a question as the published sets do.
BRIEF = (
    "\nKeep the answer short.",
    "\nReply in a few words.",
    "\nA brief answer, please.",
    "\nJust the answer, nothing else.",
    "\nAnswer in one short phrase. ",
    "\nNo explanation needed.",
)
DESCRIBE = (
    "What do you see in this image?",
    "Give a short description of the picture.",
    "Write a caption for this photo.",
    "Sum up the image in one sentence.",
    "What is shown here?",
)
DETAIL = (
    "Describe everything visible in this image, in detail.",
    "Write a thorough description of the photo.",
    "Give a long and careful account of what the picture shows.",
    "Explain the image to somebody who cannot see it, leaving nothing out.",
)


def brief(rng: Rng, question: str) -> str:
    return question + pick(rng, BRIEF)


def closed(answer: str) -> str:
    """An answer as most sets have it: first letter a capital, a full stop at the end."""
    return f"{answer[:1].upper()}{answer[1:]}."


def yes_no(truth: bool) -> str:
    return "Yes." if truth else "No."


def choices(question: str, options: list[str], right: str) -> tuple[str, str]:
    """A multiple-choice turn: (question with lettered choices, ``Answer: B``)."""
    letters = "ABCDEFGH"
    lines = [f"{letters[i]}. {option}" for i, option in enumerate(options)]
    asked = "\n".join([f"Question: {question}", "Choices:", *lines, "Answer with the letter."])
    return asked, f"Answer: {letters[options.index(right)]}"


def listed(words: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
