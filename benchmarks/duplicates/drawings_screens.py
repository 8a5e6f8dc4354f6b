"""Screenshots: desktop windows of 960 to 1440 pixels, and phones of 360 to 540.

Lists under a few figures. Negatives: one field (a value, a counter, a switch), one list entry,
and the same screen with other content.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image

from benchmarks.duplicates.drawn import Drawn, drawn_from
from benchmarks.duplicates.lettering import other_digit
from cauldron.sample.draw.chart import COLORS
from cauldron.sample.draw.ink import NAMED, WHITE, wrap
from cauldron.sample.draw.page import Block, Style, draw
from cauldron.sample.draw.texture import Textures
from cauldron.sample.model import Rng, pick, sample
from cauldron.sample.words import FIRMS, TOWNS, amount, date, person, sentences

PHONES = ((360, 780), (414, 896), (432, 960), (540, 1170), (375, 667))
DESKTOPS = ((960, 540), (1280, 720), (1366, 768), (1440, 900), (1152, 648))
TITLES = (
    "Inbox",
    "Orders",
    "Settings",
    "Messages",
    "Tasks",
    "Accounts",
    "Projects",
    "Library",
    "Contacts",
    "Files",
)
STATS = (
    "Open",
    "Closed",
    "Revenue",
    "Users",
    "Errors",
    "Pending",
    "Visits",
    "Balance",
)


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
    stats: tuple[tuple[str, str], ...]
    entries: tuple[Entry, ...]


def family(rng: Rng, textures: Textures) -> Drawn:
    style = _any_style(rng)
    screen = _any_screen(rng, style)

    def draw_screen(changed: Screen) -> Image.Image:
        return draw(_blocks(changed, style), style, textures)

    return drawn_from(screen, draw_screen, CHANGES, rng)


def _any_style(rng: Rng) -> Style:
    phone = bool(rng.integers(2))
    width, height = pick(rng, PHONES if phone else DESKTOPS)
    unit = width * float(rng.uniform(0.033, 0.042) if phone else rng.uniform(0.0105, 0.015))
    dark = rng.random() < 0.3
    paper, ink = ((30, 32, 38), (232, 234, 238)) if dark else (WHITE, (28, 30, 34))
    size = max(unit, 10.5)
    return Style(
        width,
        height,
        size=size,
        margin=size,
        paper=paper,
        ink=ink,
        accent=NAMED[pick(rng, COLORS)],
    )


def _any_screen(rng: Rng, style: Style) -> Screen:
    tall = style.height - 12 * style.size
    stats = tuple((name, amount(rng, 10, 9000)) for name in sample(rng, STATS, 2))
    switches = bool(rng.random() < 0.35)
    return Screen(
        pick(rng, TITLES),
        f"{int(rng.integers(24)):02d}:{int(rng.integers(60)):02d}",
        stats,
        tuple(_entry(rng, switches) for _ in range(max(int(tall / (4 * style.size)), 3))),
    )


def _entry(rng: Rng, switch: bool) -> Entry:
    name = person(rng) if rng.integers(2) else pick(rng, FIRMS)
    value = pick(rng, (f"${amount(rng, 5, 9000)}", date(rng).split(",")[0], pick(rng, TOWNS)))
    return Entry(name, sentences(rng, 1)[0], value, bool(rng.integers(2)) if switch else None)


def _blocks(screen: Screen, style: Style) -> tuple[Block, ...]:
    values = {None: "", True: "on", False: "off"}
    names, figures = zip(*screen.stats, strict=True)
    room = style.width - 2 * style.margin
    entries = (
        block
        for entry in screen.entries
        for block in (
            Block("line", ((entry.name, values[entry.on] or entry.value),), bold=True),
            Block("text", ((wrap(entry.detail, style.size, room)[0],),), 0.9, color="faint"),
        )
    )
    return (
        Block("band", ((screen.title, screen.clock),), 1.3),
        Block("line", (figures,), 1.6, bold=True),
        Block("line", (names,), color="faint"),
        Block("rule"),
        *entries,
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
