"""Screens: mobile apps, web pages to read, and simple sites with the HTML that makes them."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from cauldron.sample.ink import BLACK, NAMED, WHITE, Color, canvas, mix, paragraph, width_of, write
from cauldron.sample.model import Rng

GREY: Color = (120, 124, 130)
PALE: Color = (242, 243, 246)


@dataclass(frozen=True)
class App:
    """A mobile screen: a list, a form, a settings page or a player."""

    kind: str
    title: str
    entries: tuple[str, ...]
    button: str
    color: str


def draw_app(app: App, rng: Rng) -> Image.Image:
    width, height = 324, 576
    base = NAMED[app.color]
    image, draw = canvas(width, height, WHITE)
    draw.rectangle((0, 0, width, 20), fill=mix(base, BLACK, 0.35))
    write(draw, (width - 8, 10), "12:30", 11, WHITE, "rm")
    draw.rectangle((0, 20, width, 72), fill=base)
    for i in range(3):
        draw.rectangle((16, 38 + i * 7, 36, 40 + i * 7), fill=WHITE)
    write(draw, (54, 46), app.title, 19, WHITE, "lm", True)
    y = 92
    for i, entry in enumerate(app.entries):
        if app.kind == "form":
            write(draw, (20, y), entry, 13, GREY)
            draw.rectangle((20, y + 20, width - 20, y + 52), outline=(190, 190, 196))
        else:
            tone = mix(base, WHITE, 0.3 + 0.1 * (i % 4))
            _entry(draw, entry, y, tone, int(rng.integers(80, 190)))
            draw.line([(16, y + 48), (width - 16, y + 48)], fill=(230, 230, 234))
        if app.kind == "settings":
            _switch(draw, y + 8, base, bool(rng.integers(2)))
        y += 66
    draw.rounded_rectangle((40, height - 74, width - 40, height - 30), 8, fill=base)
    write(draw, (width / 2, height - 52), app.button, 17, WHITE, "mm", True)
    return image


def _entry(draw: ImageDraw.ImageDraw, text: str, y: float, tone: Color, more: int) -> None:
    """A list entry: a round badge, its name, and a grey bar in place of smaller print."""
    draw.ellipse((18, y, 54, y + 36), fill=tone)
    write(draw, (36, y + 18), text[0], 17, WHITE, "mm", True)
    write(draw, (68, y + 8), text, 15)
    draw.rectangle((68, y + 28, 68 + more, y + 33), fill=(222, 224, 228))


def _switch(draw: ImageDraw.ImageDraw, y: float, base: Color, on: bool) -> None:
    draw.rounded_rectangle((270, y, 304, y + 18), 9, fill=base if on else (200, 200, 204))
    x = 287 if on else 271
    draw.ellipse((x, y + 1, x + 16, y + 17), fill=WHITE)


@dataclass(frozen=True)
class Article:
    """A web page to read."""

    site: str
    heading: str
    byline: str
    paragraphs: tuple[str, ...]
    menu: tuple[str, ...]


def draw_article(article: Article, color: str) -> Image.Image:
    width = 760
    image, draw = canvas(width, 900, WHITE)
    base = NAMED[color]
    draw.rectangle((0, 0, width, 54), fill=base)
    write(draw, (24, 27), article.site, 24, WHITE, "lm", True)
    x = width - 20.0
    for entry in reversed(article.menu):
        write(draw, (x, 28), entry, 14, WHITE, "rm")
        x -= width_of(entry, 14) + 22
    y = paragraph(draw, (24, 76), article.heading, 30, width - 48, bold=True, leading=1.25)
    write(draw, (24, y + 4), article.byline, 14, GREY)
    draw.rectangle((540, y + 40, 736, y + 178), fill=mix(base, WHITE, 0.6))
    draw.polygon(
        [(540, y + 178), (606, y + 84), (656, y + 140), (690, y + 106), (736, y + 178)],
        fill=mix(base, BLACK, 0.15),
    )
    draw.ellipse((676, y + 54, 706, y + 84), fill=(250, 226, 140))
    y += 36
    for text in article.paragraphs:
        y = paragraph(draw, (24, y), text, 17, 490, (40, 40, 44), 1.5) + 12
    return image.crop((0, 0, width, min(round(y) + 30, 900)))


@dataclass(frozen=True)
class Site:
    """A one-page site as WebSight has them: a bar, a hero, cards, a footer."""

    name: str
    links: tuple[str, ...]
    claim: str
    text: str
    cards: tuple[tuple[str, str], ...]
    color: str


def draw_site(site: Site) -> Image.Image:
    width, height = 720, 520
    base = NAMED[site.color]
    image, draw = canvas(width, height, PALE)
    draw.rectangle((0, 0, width, 56), fill=WHITE)
    write(draw, (28, 28), site.name, 22, base, "lm", True)
    x = width - 28.0
    for link in reversed(site.links):
        write(draw, (x, 28), link, 15, GREY, "rm")
        x -= width_of(link, 15) + 24
    draw.rectangle((0, 56, width, 236), fill=base)
    write(draw, (width / 2, 110), site.claim, 32, WHITE, "mm", True)
    write(draw, (width / 2, 152), site.text, 16, WHITE, "mm")
    draw.rounded_rectangle((width / 2 - 70, 176, width / 2 + 70, 214), 6, fill=WHITE)
    write(draw, (width / 2, 195), "Get started", 16, base, "mm", True)
    share = (width - 56) / len(site.cards)
    for i, (title, text) in enumerate(site.cards):
        left = 28 + share * i
        draw.rounded_rectangle(
            (left + 6, 262, left + share - 6, 440), 8, fill=WHITE, outline=(226, 228, 232)
        )
        write(draw, (left + 22, 280), title, 18, bold=True)
        paragraph(draw, (left + 22, 312), text, 14, share - 46, GREY)
    draw.rectangle((0, height - 48, width, height), fill=(40, 44, 52))
    write(
        draw,
        (width / 2, height - 24),
        f"© 2023 {site.name}. All rights reserved.",
        13,
        (200, 200, 206),
        "mm",
    )
    return image


def html_of(site: Site) -> str:
    """The page that `draw_site` draws, as a model should write it."""
    css = "#{:02x}{:02x}{:02x}".format(*NAMED[site.color])
    links = "\n".join(f'    <a href="#">{link}</a>' for link in site.links)
    cards = "\n".join(
        f'  <div class="card">\n    <h2>{title}</h2>\n    <p>{text}</p>\n  </div>'
        for title, text in site.cards
    )
    return f"""<html>
<style>
body {{ margin: 0; font-family: sans-serif; background: #f2f3f6; }}
nav {{ display: flex; justify-content: space-between; background: white; padding: 16px 28px; }}
nav b {{ color: {css}; font-size: 22px; }}
nav a {{ color: #787c82; margin-left: 24px; }}
.hero {{ background: {css}; color: white; text-align: center; padding: 36px; }}
.hero button {{ background: white; color: {css}; border: 0; padding: 10px 24px; }}
.cards {{ display: flex; gap: 12px; padding: 26px 28px; }}
.card {{ flex: 1; background: white; border-radius: 8px; padding: 16px; }}
footer {{ background: #282c34; color: #c8c8ce; text-align: center; padding: 16px; }}
</style>
<body>
<nav>
  <b>{site.name}</b>
  <div>
{links}
  </div>
</nav>
<div class="hero">
  <h1>{site.claim}</h1>
  <p>{site.text}</p>
  <button>Get started</button>
</div>
<div class="cards">
{cards}
</div>
<footer>&copy; 2023 {site.name}. All rights reserved.</footer>
</body>
</html>"""
