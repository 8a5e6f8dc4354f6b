"""Rows of the document sets: pages, covers, infographics, screens, handwriting, receipts."""

from __future__ import annotations

from cauldron.sample import draw_screens as screens
from cauldron.sample.draw_handwriting import draw_handwriting
from cauldron.sample.draw_pages import (
    Cover,
    Infographic,
    Page,
    draw_cover,
    draw_infographic,
    draw_page,
    draw_words,
    scan,
)
from cauldron.sample.draw_signs import TITLES
from cauldron.sample.ink import NAMED, jpeg, pick, png, sample
from cauldron.sample.model import Item, Rng, Turn
from cauldron.sample.studio import Studio
from cauldron.sample.words import (
    FIRMS,
    LAST,
    TOWNS,
    amount,
    brief,
    closed,
    date,
    person,
    prose,
    sentences,
)


def any_page(rng: Rng, paragraphs: int = 3) -> Page:
    firm = pick(rng, FIRMS)
    return Page(
        pick(
            rng, ("Minutes of the meeting", "Progress report", "Request for approval", "Memorandum")
        ),
        tuple(prose(rng, int(rng.integers(3, 6))) for _ in range(paragraphs)),
        firm,
        (
            ("Date", date(rng)),
            ("To", person(rng)),
            ("From", person(rng)),
            ("Amount", f"${amount(rng, 90, 9000)}"),
        ),
        (
            ("Item", "Units", "Cost"),
            *(
                (name.capitalize(), str(int(rng.integers(2, 90))), f"${amount(rng, 20, 2000)}")
                for name in sample(rng, ("paper", "lamps", "chairs", "tools", "tiles"), 3)
            ),
        ),
        person(rng),
        str(int(rng.integers(1, 40))),
    )


def _page_facts(page: Page) -> list[tuple[str, str]]:
    return [
        ("What is the date on this document?", page.fields[0][1]),
        ("To whom is it addressed?", page.fields[1][1]),
        ("Who sent it?", page.fields[2][1]),
        ("Which amount is given?", page.fields[3][1]),
        ("Which company's letterhead is used?", page.letterhead),
        (f"How many units of {page.table[1][0].lower()} are listed?", page.table[1][1]),
        ("Who signed the document?", page.signature),
        ("What is the page number?", page.number),
    ]


def docvqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        page = any_page(rng)
        image = scan(draw_page(page, 700), studio.textures, rng)
        told = sample(rng, _page_facts(page), int(rng.integers(2, 5)))
        items.append(Item([png(image)], [(brief(rng, q), closed(a)) for q, a in told]))
    return items


def visualmrc(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        topic = pick(rng, ("market", "nature", "town"))
        body = sentences(rng, 7, topic)
        author = person(rng)
        heading = pick(
            rng, ("What changed this year", "A walk through the valley", "News from the square")
        )
        article = screens.Article(
            f"{pick(rng, TOWNS)} Post",
            heading,
            f"By {author}, {date(rng)}",
            (" ".join(body[:4]), " ".join(body[4:])),
            ("Home", "News", "Culture", "Sport"),
        )
        image = screens.draw_article(article, pick(rng, ("green", "blue", "red", "purple")))
        turns: list[Turn] = [
            ("Who wrote the article?", f"The article was written by {author}."),
            ("What does the second paragraph say first?", body[4]),
        ]
        items.append(Item([png(image)], turns))
    return items


def infographic_vqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        subject = ("Coffee", "Cycling", "Sleep", "Recycling", "Libraries", "Bees")[i % 6]
        info = Infographic(
            f"{subject} in {pick(rng, TOWNS)}: the facts",
            (
                (f"{amount(rng, 2, 90)} M", "euros spent every year"),
                (f"{int(rng.integers(12, 90))}%", "of people take part"),
                (f"{int(rng.integers(2, 12))} of 12", "months with growth"),
                (amount(rng, 300, 9000), "volunteers in total"),
            ),
            tuple(
                (town, int(v))
                for town, v in zip(
                    sample(rng, TOWNS, 4), rng.choice(range(9, 95), 4, False), strict=True
                )
            ),
            pick(rng, FIRMS),
        )
        best = max(info.bars, key=lambda bar: bar[1])
        turns: list[Turn] = [
            (brief(rng, "Which town has the highest percentage?"), closed(best[0])),
            (brief(rng, "How many volunteers are there in total?"), f"{info.facts[3][0]}."),
            (brief(rng, "What percentage of people take part?"), f"{info.facts[1][0]}."),
        ]
        items.append(Item([png(draw_infographic(info, rng))], turns))
    return items


def ocrvqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        title = f"{pick(rng, TITLES)} {pick(rng, ('of', 'near', 'beyond'))} {pick(rng, TOWNS)}"
        genre = pick(rng, ("Travel", "Cookbooks", "History", "Mystery", "Science"))
        cover = Cover(
            title, person(rng), genre, f"{pick(rng, LAST)} Press", int(rng.integers(1960, 2016))
        )
        turns: list[Turn] = [
            (brief(rng, "Who is the author of this book?"), closed(cover.author)),
            (brief(rng, "What is the title of this book?"), closed(cover.title)),
            (brief(rng, "What is the genre of this book?"), closed(cover.genre)),
            (brief(rng, f"Is this book about {genre.lower()}?"), "Yes."),
        ]
        items.append(Item([jpeg(draw_cover(cover, rng), 88)], turns))
    return items


def rendered_text(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        text = prose(rng, int(rng.integers(1, 4)))
        image = draw_words(text, studio.textures, rng)
        items.append(Item([jpeg(image, 86)], [("What is written in this image?", text)]))
    return items


def iam(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        text = prose(rng, int(rng.integers(1, 3)))
        question = pick(
            rng, ("Read the handwriting.", "Transcribe this note.", "What did they write?")
        )
        items.append(Item([png(draw_handwriting(text, studio.textures, rng))], [(question, text)]))
    return items


APPS = (
    (
        "form",
        "Sign up",
        ("Name", "Email", "Password", "Phone"),
        "CREATE ACCOUNT",
        "a form to create an account",
    ),
    (
        "settings",
        "Settings",
        ("Sound", "Dark mode", "Alerts", "Location", "Backup"),
        "SAVE",
        "the settings page of an app",
    ),
    (
        "list",
        "Inbox",
        ("Mona", "Oscar", "Rosa", "Felix", "Tara"),
        "NEW MESSAGE",
        "a list of messages",
    ),
    (
        "list",
        "Recipes",
        ("Soup", "Salad", "Pancakes", "Stew", "Pie"),
        "ADD RECIPE",
        "a list of recipes",
    ),
    (
        "list",
        "Stations",
        ("Jazz", "News", "Rock", "Folk", "Classic"),
        "PLAY",
        "a list of radio stations",
    ),
    (
        "form",
        "Search flights",
        ("From", "To", "Date", "Travellers"),
        "SEARCH",
        "a page to search for flights",
    ),
)


def screen2words(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        kind, title, entries, button, what = APPS[i % len(APPS)]
        app = screens.App(
            kind, title, tuple(sample(rng, entries, len(entries))), button, pick(rng, sorted(NAMED))
        )
        question = pick(
            rng, ("What is this screen for?", "Describe this app screen in a few words.")
        )
        items.append(Item([png(screens.draw_app(app, rng))], [(question, f"Screen shows {what}.")]))
    return items


def websight(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        name = pick(rng, FIRMS)
        cards = sample(
            rng,
            (
                ("Fast", "Orders leave our house within a day."),
                ("Safe", "Every parcel is insured."),
                ("Fair", "One price, no hidden fees."),
                ("Local", "Made by people you can meet."),
                ("Green", "Packed without any plastic."),
            ),
            3,
        )
        claim = pick(rng, ("Made with care", "Built to last", "Closer to you", "Simple by design"))
        links = tuple(sample(rng, ("Home", "Shop", "About", "Team", "Contact", "Prices"), 4))
        site = screens.Site(
            name,
            links,
            claim,
            f"From {pick(rng, TOWNS)} since {int(rng.integers(1950, 2015))}.",
            tuple(cards),
            pick(rng, ("blue", "green", "red", "purple", "orange", "brown")),
        )
        question = pick(
            rng, ("Write the HTML code of this page.", "Rebuild this screenshot in HTML and CSS.")
        )
        items.append(Item([png(screens.draw_site(site))], [(question, screens.html_of(site))]))
    return items
