"""Writes the miniature hub: draws every source, plants what is to be planted, writes the files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cauldron.core import storage
from cauldron.core.errors import UsageError
from cauldron.core.progress import Track, silent
from cauldron.sample import pretraining, texts
from cauldron.sample.model import Item, load
from cauldron.sample.planted import extra_rows
from cauldron.sample.publish import others, text_only
from cauldron.sample.publish import pretraining as pretraining_files
from cauldron.sample.publish.hub import Hub, card
from cauldron.sample.publish.obelics import obelics
from cauldron.sample.publish.pdfa import pdfa
from cauldron.sample.publish.the_cauldron import publish_coco, publish_config, write_readme
from cauldron.sample.receipts import cord_v2
from cauldron.sample.rows import SETS, items, pool
from cauldron.sample.studio import Studio
from cauldron.sample.truth import ground_truth

TRUTH = "ground_truth.json"
LEAST_ROWS = 6

Publish = Callable[[Hub, list[Item]], None]
OTHERS: dict[str, Publish] = {
    "cord_v2": others.cord_v2,
    "lnqa": others.lnqa,
    "sharegpt_4o": others.sharegpt_4o,
    "iiw_400": others.iiw_400,
    "geo170k": others.geo170k,
    "docmatix": others.docmatix,
    "orca_math": text_only.orca_math,
    "camel_ai_math": text_only.camel_ai_math,
    **{name: partial(text_only.json_set, name) for name in text_only.JSON_SETS},
}
PRETRAINING: dict[str, Publish] = {
    "laion_coco": pretraining_files.laion_coco,
    "pdfa": pdfa,
    "rendered_text_full": pretraining_files.rendered_text_full,
    "websight": pretraining_files.websight,
    "pixelprose": pretraining_files.pixelprose,
    "chartgemma": pretraining_files.chartgemma,
    "obelics": obelics,
}
CONFIGS = tuple(name for name in SETS if name not in OTHERS)


def _ordinary(source: str, studio: Studio) -> list[Item]:
    """The ordinary rows of a source."""
    name, rng = source.removeprefix("the_cauldron/"), studio.rng(source)
    if source in PRETRAINING:
        return pretraining.items(source, studio, rng)
    draw = items if name in SETS else texts.items if name in texts.SETS else cord_v2
    return draw(name, studio, rng)


def _publish(source: str, hub: Hub, rows: list[Item]) -> None:
    publish = {**OTHERS, **PRETRAINING}.get(source)
    if publish is not None:
        publish(hub, rows)
    else:
        publish_config(hub, source.removeprefix("the_cauldron/"), rows)


def _claim(folder: str, seed: int, rows: int) -> None:
    """Make sure that nothing but the same hub is in the folder: other shards would be read too."""
    claim, path = {"seed": seed, "rows": rows}, storage.join(folder, TRUTH)
    if storage.exists(path):
        found = storage.read_json(path)
        if {key: found.get(key) for key in claim} == claim:
            return
        what = f"a hub of seed {found.get('seed')} and {found.get('rows')} rows"
    elif storage.list_files(folder) or storage.list_folders(folder):
        what = "other files"
    else:
        storage.write_json(path, claim)
        return
    raise UsageError(f"{folder} holds {what}; name an empty or new folder")


def write_sample_hub(
    folder: str, seed: int = 0, rows: int = 24, track: Track = silent
) -> dict[str, Any]:
    """Write a miniature hub into `folder`: every source as published, with planted trouble.

    The same seed and number of rows give the same bytes. Below the folder lie
    ``<org>/<name>/…`` for every repository, ``coco/`` and ``docci/`` with the pictures that two
    of them do not ship, ``_images/`` with those that are published as URLs, and
    ``ground_truth.json``, which says what a build should find.

    Args:
        rows: ordinary rows per source; what is planted comes on top. At least 6.
        track: is told how many sources are drawn and written.

    Returns:
        What ``ground_truth.json`` holds.

    Raises:
        cauldron.core.errors.UsageError: fewer rows than 6, or a folder that holds something else.
    """
    if rows < LEAST_ROWS:
        raise UsageError(f"a sample hub needs at least {LEAST_ROWS} rows per source, not {rows}")
    _claim(folder, seed, rows)
    studio, hub = Studio(seed, rows), Hub(folder, seed)
    names = [*(f"the_cauldron/{name}" for name in CONFIGS), *OTHERS, *PRETRAINING]
    with track("sample", 2 * len(names)) as move:
        drawn = {}
        for number, name in enumerate(names, 1):
            drawn[name] = _ordinary(name, studio)
            move(number)
        for number, (name, ordinary) in enumerate(drawn.items(), len(names) + 1):
            _publish(name, hub, ordinary + extra_rows(name, ordinary, drawn))
            move(number)
    publish_coco(hub, pool("coco", studio))
    write_readme(hub, list(CONFIGS))
    for repo, header in load("cards").items():
        hub.put(f"{repo}/README.md", card(repo, header))
    truth = ground_truth(hub, rows)
    storage.write_json(storage.join(folder, TRUTH), truth)
    return truth
