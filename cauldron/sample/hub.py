"""Writes the miniature hub: draws every source, plants what is to be planted, writes the files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cauldron.core import storage
from cauldron.core.errors import UsageError
from cauldron.sample import (
    publish_others,
    publish_text,
    rows_charts,
    rows_documents,
    rows_geometry,
    rows_pages,
    rows_pairs,
    rows_photos,
    rows_reasoning,
    rows_tables,
    rows_text,
)
from cauldron.sample.model import Item, Rng
from cauldron.sample.planted import extra_rows
from cauldron.sample.publish import Hub
from cauldron.sample.publish_cauldron import publish_coco, publish_config, write_readme
from cauldron.sample.studio import Studio
from cauldron.sample.truth import ground_truth

TRUTH = "ground_truth.json"
LEAST_ROWS = 6

Draw = Callable[[Studio, Rng], list[Item]]
Publish = Callable[[Hub, list[Item]], None]

CONFIGS: dict[str, Draw] = {
    "ai2d": rows_reasoning.ai2d,
    "aokvqa": rows_photos.aokvqa,
    "chart2text": rows_charts.chart2text,
    "chartqa": rows_charts.chartqa,
    "clevr": rows_reasoning.clevr,
    "clevr_math": rows_reasoning.clevr_math,
    "cocoqa": rows_photos.cocoqa,
    "datikz": rows_reasoning.datikz,
    "diagram_image_to_text": rows_reasoning.diagram_image_to_text,
    "docvqa": rows_pages.docvqa,
    "dvqa": rows_charts.dvqa,
    "figureqa": rows_charts.figureqa,
    "finqa": rows_tables.finqa,
    "geomverse": rows_geometry.geomverse,
    "hateful_memes": rows_photos.hateful_memes,
    "hitab": rows_tables.hitab,
    "iam": rows_pages.iam,
    "iconqa": rows_reasoning.iconqa,
    "infographic_vqa": rows_pages.infographic_vqa,
    "intergps": rows_geometry.intergps,
    "localized_narratives": rows_photos.localized_narratives,
    "mapqa": rows_charts.mapqa,
    "mimic_cgd": rows_pairs.mimic_cgd,
    "multihiertt": rows_tables.multihiertt,
    "nlvr2": rows_pairs.nlvr2,
    "ocrvqa": rows_pages.ocrvqa,
    "okvqa": rows_photos.okvqa,
    "plotqa": rows_charts.plotqa,
    "raven": rows_reasoning.raven,
    "rendered_text": rows_pages.rendered_text,
    "robut_sqa": rows_tables.robut_sqa,
    "robut_wikisql": rows_tables.robut_wikisql,
    "robut_wtq": rows_tables.robut_wtq,
    "scienceqa": rows_reasoning.scienceqa,
    "screen2words": rows_pages.screen2words,
    "spot_the_diff": rows_pairs.spot_the_diff,
    "st_vqa": rows_photos.st_vqa,
    "tabmwp": rows_tables.tabmwp,
    "tallyqa": rows_photos.tallyqa,
    "tat_qa": rows_tables.tat_qa,
    "textcaps": rows_photos.textcaps,
    "textvqa": rows_photos.textvqa,
    "tqa": rows_reasoning.tqa,
    "vistext": rows_charts.vistext,
    "visual7w": rows_photos.visual7w,
    "visualmrc": rows_pages.visualmrc,
    "vqarad": rows_photos.vqarad,
    "vqav2": rows_photos.vqav2,
    "vsr": rows_photos.vsr,
    "websight": rows_pages.websight,
}
OTHERS: dict[str, tuple[Draw, Publish]] = {
    "cord_v2": (rows_documents.cord_v2, publish_others.cord_v2),
    "lnqa": (rows_photos.lnqa, publish_others.lnqa),
    "sharegpt_4o": (rows_photos.sharegpt_4o, publish_others.sharegpt_4o),
    "iiw_400": (rows_photos.iiw_400, publish_others.iiw_400),
    "geo170k": (rows_geometry.geo170k, publish_others.geo170k),
    "docmatix": (rows_documents.docmatix, publish_others.docmatix),
    "orca_math": (rows_text.orca_math, publish_text.orca_math),
    "camel_ai_math": (rows_text.camel_ai_math, publish_text.camel_ai_math),
    **{
        name: (getattr(rows_text, name), partial(publish_text.publish_json_set, name))
        for name in publish_text.JSON_SETS
    },
}


def _drawn(studio: Studio) -> dict[str, list[Item]]:
    """The ordinary rows of every source."""
    cauldron = {f"the_cauldron/{name}": draw for name, draw in CONFIGS.items()}
    others = {name: draw for name, (draw, _) in OTHERS.items()}
    return {name: draw(studio, studio.rng(name)) for name, draw in {**cauldron, **others}.items()}


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


def write_sample_hub(folder: str, seed: int = 0, rows: int = 24) -> dict[str, Any]:
    """Write a miniature hub into `folder`: every source as published, with planted trouble.

    The same seed and number of rows give the same bytes. Below the folder lie
    ``<org>/<name>/…`` for every repository, ``coco/`` and ``docci/`` with the pictures that two
    of them do not ship, and ``ground_truth.json``, which says what a build should find.

    Args:
        rows: ordinary rows per source; what is planted comes on top. At least 6.

    Returns:
        What ``ground_truth.json`` holds.

    Raises:
        cauldron.core.errors.UsageError: fewer rows than 6, or a folder that holds something else.
    """
    if rows < LEAST_ROWS:
        raise UsageError(f"a sample hub needs at least {LEAST_ROWS} rows per source, not {rows}")
    _claim(folder, seed, rows)
    studio, hub = Studio(seed, rows), Hub(folder, seed)
    drawn = _drawn(studio)
    for name, items in drawn.items():
        planted = items + extra_rows(name, items, drawn)
        if name in OTHERS:
            OTHERS[name][1](hub, planted)
        else:
            publish_config(hub, name.removeprefix("the_cauldron/"), planted)
    publish_coco(hub, studio)
    write_readme(hub, list(CONFIGS))
    truth = ground_truth(hub, rows)
    storage.write_json(storage.join(folder, TRUTH), truth)
    return truth
