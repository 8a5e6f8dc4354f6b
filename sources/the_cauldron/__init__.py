"""The Cauldron: 50 vision-language sets in one layout, collected for Idefics2 (Hugging Face M4).

Where: ``HuggingFaceM4/the_cauldron``, one folder per configuration,
``<config>/train-<i>-of-<n>-<hash>.parquet``; each is the source ``the_cauldron/<config>``.
Licence: each set has its publisher's, in ``sources/data/the_cauldron.csv`` with where it is stated
or why it is unknown; often the pictures have other owners than the questions. The prompts of the
Cauldron's authors are CC-BY-4.0.
Size: 1.88 M rows, about 169 GB. ``sources/data/the_cauldron.csv`` has the rows of each set, from
the dataset's page (``page``) or as others report them (``reported``), and the bytes of its listed
files. If the bytes are missing, `published_bytes` is an estimate: rows times the mean of the rest.

A row is ``{images: [{bytes, path}], texts: [{user, assistant, source}]}``: one image (or tuple of
images) with all its questions. Quirks handled here:

- Images come as bytes, as bytes with a path, or, in ``clevr_math`` and ``okvqa``, only as a path
  on the authors' cluster. For those two see the modules of that name; such a row in any other
  configuration is ``image_not_shipped``. A path's extension says nothing about the format.
- Idefics3 trains on ``docvqa``, ``textvqa`` and ``chartqa`` with other prompts than the hub has:
  see the module ``new_prompts``.
- ``nlvr2``, ``mimic_cgd``, ``spot_the_diff``, ``raven`` and ``multihiertt`` have rows of several
  images, whose order is kept: questions speak of "the left image".
- The `source` of a turn has the publisher's spelling (``AI2D``, ``vismrc``, ``MIMIC-IT - SN``);
  turns get the name of their configuration instead.
- A revision may hold two sets of shards at once: see `cauldron.sources.formats.shards`.
- Before publication, rows were cut to 200,000 per set and those with a picture of MMBench,
  MathVista or MMMU removed, so counts are below the paper's.
- Questions of one row are independent of each other; they are not a dialogue.
"""

from __future__ import annotations

from cauldron.sources.tables import read_table
from cauldron.sources.the_cauldron.clevr_math import ClevrMath
from cauldron.sources.the_cauldron.new_prompts import INSTRUCTIONS, PUBLISHED, NewPrompts
from cauldron.sources.the_cauldron.okvqa import DEFAULT_IMAGES, OkVqa
from cauldron.sources.the_cauldron.reader import TheCauldron

REPO = "HuggingFaceM4/the_cauldron"
# 169 GB in all, less the 22.3 GB of the files whose sizes are known, over the other 1.52 M rows.
MEAN_ROW_BYTES = 96_800


_KINDS: dict[str, type[TheCauldron]] = {
    "clevr_math": ClevrMath,
    "okvqa": OkVqa,
    **dict.fromkeys(INSTRUCTIONS, NewPrompts),
}
_DEFAULT_OPTIONS = {
    "okvqa": {"coco_train2014": DEFAULT_IMAGES},
    **{config: {"prompt": PUBLISHED} for config in INSTRUCTIONS},
}


def _configuration(entry: dict[str, str]) -> TheCauldron:
    config = entry["config"]
    rows = int(entry["rows"])
    return _KINDS.get(config, TheCauldron)(
        name=f"the_cauldron/{config}",
        repo=REPO,
        title=entry["title"],
        license=entry["license"],
        license_note=entry["license_note"],
        published_rows=rows,
        published_bytes=int(entry["bytes"] or rows * MEAN_ROW_BYTES),
        ships_images=config not in ("clevr_math", "okvqa"),
        default_options=_DEFAULT_OPTIONS.get(config, {}),
        config=config,
    )


SOURCES = tuple(_configuration(entry) for entry in read_table("the_cauldron"))
