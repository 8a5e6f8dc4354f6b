"""Screenshots: desktop windows of 960 to 1440 pixels, and phones of 360 to 540.

Mail lists, settings, dashboards and forms. Negatives: one field (a value, a counter, a switch),
one list entry, and the same screen with other content.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from benchmarks.duplicates.drawn import Drawn, drawn_from
from benchmarks.duplicates.lettering import Face, any_face, other_digit, width_of, write
from cauldron.sample.ink import BLACK, NAMED, WHITE, Color, mix, pick, sample
from cauldron.sample.model import Rng
from cauldron.sample.texture import Textures
from cauldron.sample.words import FIRMS, TOWNS, amount, date, person, sentences, words_of

PHONES = ((360, 780), (414, 896), (432, 960), (540, 1170), (375, 667))
DESKTOPS = ((960, 540), (1280, 720), (1366, 768), (1440, 900), (1152, 648))
TITLES = words_of("Inbox|Orders|Settings|Messages|Tasks|Accounts|Projects|Library|Contacts|Files")
MENU = words_of("Home|Search|Reports|Teams|Calendar|Archive|Drafts|Help|Trash|Favourites|Shared")
STATS = words_of("Open|Closed|Revenue|Users|Errors|Pending|Visits|Balance")


@dataclass(frozen=True)
class Entry:
    """A row of a list: two lines of text, a value on the right, perhaps a switch."""

    name: str
    detail: str
    value: str
    on: bool | None


@dataclass(frozen=True)
class Screen:
    """What is shown."""

    title: str
    clock: str
    menu: tuple[str, ...]
    stats: tuple[tuple[str, str], ...]
    entries: tuple[Entry, ...]
    selected: int


@dataclass(frozen=True)
class Theme:
    """How; `unit` is the height of small text in pixels."""

    size: tuple[int, int]
    unit: float
    face: Face
    paper: Color
    ink: Color
    faint: Color
    accent: Color
    row: float
    badges: bool


def family(rng: Rng, textures: Textures) -> Drawn:
    theme = _any_theme(rng)
    screen = _any_screen(rng, theme)
    return drawn_from(screen, lambda changed: _draw(changed, theme), CHANGES, rng)


def _any_theme(rng: Rng) -> Theme:
    phone = bool(rng.integers(2))
    size = pick(rng, PHONES if phone else DESKTOPS)
    unit = size[0] * float(rng.uniform(0.033, 0.042) if phone else rng.uniform(0.0105, 0.015))
    dark = rng.random() < 0.3
    paper, ink = ((30, 32, 38), (232, 234, 238)) if dark else (WHITE, (28, 30, 34))
    accent = NAMED[pick(rng, sorted(NAMED))]
    row = unit * float(rng.uniform(2.9, 4.2))
    face = any_face(rng, fixed=0.05)
    return Theme(
        size,
        max(unit, 10.5),
        face,
        paper,
        ink,
        mix(ink, paper, 0.45),
        accent,
        row,
        bool(rng.integers(2)),
    )


def _any_screen(rng: Rng, theme: Theme) -> Screen:
    tall = theme.size[1] - 12 * theme.unit
    stats = tuple((name, amount(rng, 10, 9000)) for name in sample(rng, STATS, 3))
    switches = bool(rng.random() < 0.35)
    return Screen(
        pick(rng, TITLES),
        f"{int(rng.integers(24)):02d}:{int(rng.integers(60)):02d}",
        tuple(sample(rng, MENU, int(rng.integers(5, 9)))),
        stats,
        tuple(_entry(rng, switches) for _ in range(max(int(tall / theme.row), 3))),
        int(rng.integers(5)),
    )


def _entry(rng: Rng, switch: bool) -> Entry:
    name = person(rng) if rng.integers(2) else pick(rng, FIRMS)
    value = pick(rng, (f"${amount(rng, 5, 9000)}", date(rng).split(",")[0], pick(rng, TOWNS)))
    return Entry(name, sentences(rng, 1)[0], value, bool(rng.integers(2)) if switch else None)


def _draw(screen: Screen, theme: Theme) -> Image.Image:
    width, height = theme.size
    image = Image.new("RGB", theme.size, theme.paper)
    draw = ImageDraw.Draw(image)
    unit, phone = theme.unit, height > width
    bar = unit * 2.6
    draw.rectangle((0, 0, width, bar), fill=theme.accent)
    write(draw, (unit, unit * 0.6), screen.title, unit * 1.3, theme.face.bold(), WHITE)
    write(draw, (width - unit, unit * 0.7), screen.clock, unit, theme.face, WHITE, "r")
    left = 0.0
    if not phone:
        left = unit * 11
        _menu(draw, screen, theme, bar, left)
    y = _stats(draw, screen, theme, left, bar + unit)
    for i, entry in enumerate(screen.entries):
        if y + theme.row > height - unit * 0.5:
            break
        _row(draw, entry, theme, (left, y), i)
        y += theme.row
    return image


def _menu(draw: ImageDraw.ImageDraw, screen: Screen, theme: Theme, top: float, wide: float) -> None:
    side = mix(theme.paper, theme.ink, 0.06)
    draw.rectangle((0, top, wide, theme.size[1]), fill=side)
    for i, name in enumerate(screen.menu):
        y = top + theme.unit * (1 + 2.2 * i)
        if i == screen.selected:
            box = (0, y - theme.unit * 0.4, wide, y + theme.unit * 1.6)
            draw.rectangle(box, fill=mix(theme.accent, theme.paper, 0.65))
        write(draw, (theme.unit, y), name, theme.unit, theme.face, theme.ink)


def _stats(
    draw: ImageDraw.ImageDraw, screen: Screen, theme: Theme, left: float, top: float
) -> float:
    """Boxes with a figure each; returns the y below them."""
    unit = theme.unit
    share = (theme.size[0] - left - unit) / len(screen.stats)
    for i, (name, value) in enumerate(screen.stats):
        x = left + unit + share * i
        box = (x, top, x + share - unit, top + unit * 4.6)
        draw.rounded_rectangle(box, unit * 0.4, outline=mix(theme.faint, theme.paper, 0.5))
        write(draw, (x + unit * 0.6, top + unit * 0.5), name, unit * 0.9, theme.face, theme.faint)
        at = (x + unit * 0.6, top + unit * 1.9)
        write(draw, at, value, unit * 1.6, theme.face.bold(), theme.ink)
    return top + unit * 5.6


def _row(
    draw: ImageDraw.ImageDraw, entry: Entry, theme: Theme, at: tuple[float, float], number: int
) -> None:
    unit, (x, y) = theme.unit, at
    right = theme.size[0] - unit
    left = x + unit
    if theme.badges:
        round_ = (left, y + unit * 0.3, left + unit * 2, y + unit * 2.3)
        draw.ellipse(round_, fill=mix(theme.accent, theme.paper, 0.15 + 0.12 * (number % 5)))
        letter = (left + unit, y + unit * 0.6)
        write(draw, letter, entry.name[0], unit * 1.1, theme.face.bold(), WHITE, "m")
        left += unit * 2.8
    write(draw, (left, y + unit * 0.2), entry.name, unit * 1.1, theme.face.bold(), theme.ink)
    if entry.on is None:
        write(draw, (right, y + unit * 0.2), entry.value, unit, theme.face, theme.ink, "r")
    else:
        _switch(draw, entry.on, theme, right - unit * 2.6, y + unit * 0.3)
    detail = entry.detail
    while detail and width_of(detail, unit * 0.9, theme.face) > right - left:
        detail = detail[: -max(len(detail) // 12, 1)]
    write(draw, (left, y + unit * 1.6), detail, unit * 0.9, theme.face, theme.faint)
    line = mix(theme.faint, theme.paper, 0.7)
    draw.line([(x, y + theme.row - 2), (theme.size[0], y + theme.row - 2)], fill=line)


def _switch(draw: ImageDraw.ImageDraw, on: bool, theme: Theme, x: float, y: float) -> None:
    unit = theme.unit
    fill = theme.accent if on else mix(theme.faint, theme.paper, 0.4)
    draw.rounded_rectangle((x, y, x + unit * 2.6, y + unit * 1.4), unit * 0.7, fill=fill)
    knob = x + unit * (1.3 if on else 0.1)
    draw.ellipse(
        (knob, y + unit * 0.1, knob + unit * 1.2, y + unit * 1.3), fill=mix(WHITE, BLACK, 0.04)
    )


def _with_entry(screen: Screen, at: int, entry: Entry) -> Screen:
    entries = (*screen.entries[:at], entry, *screen.entries[at + 1 :])
    return replace(screen, entries=entries)


def _one_field(screen: Screen, rng: Rng) -> Screen:
    """A figure's digit, an entry's value, or its switch."""
    at = int(rng.integers(len(screen.entries)))
    entry = screen.entries[at]
    if rng.integers(2):
        which = int(rng.integers(len(screen.stats)))
        name, value = screen.stats[which]
        stats = (*screen.stats[:which], (name, other_digit(value, rng)), *screen.stats[which + 1 :])
        return replace(screen, stats=stats)
    if entry.on is not None:
        return _with_entry(screen, at, replace(entry, on=not entry.on))
    value = pick(rng, (f"${amount(rng, 5, 9000)}", date(rng).split(",")[0], pick(rng, TOWNS)))
    return _with_entry(screen, at, replace(entry, value=value))


def _one_entry(screen: Screen, rng: Rng) -> Screen:
    at = int(rng.integers(len(screen.entries)))
    return _with_entry(screen, at, _entry(rng, screen.entries[at].on is not None))


def _other_content(screen: Screen, rng: Rng) -> Screen:
    switches = screen.entries[0].on is not None
    entries = tuple(_entry(rng, switches) for _ in screen.entries)
    stats = tuple((name, amount(rng, 10, 9000)) for name, _ in screen.stats)
    return replace(screen, entries=entries, stats=stats)


CHANGES: dict[str, Callable[[Screen, Rng], Screen]] = {
    "one field": _one_field,
    "one entry": _one_entry,
    "other content": _other_content,
}
