"""The dataset card of a mixture: its ``README.md``, with the YAML header that the hub reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import yaml

from cauldron.core.output.manifests import MixtureManifest, SourceInMixture
from cauldron.core.reviews import reviews_told
from cauldron.core.tokenizer import ESTIMATE, MISTRAL_7B
from cauldron.inspect.left_out import REPEATED, images_left_out, limits_told
from cauldron.inspect.views import mixture_view

# The hub's size categories, by rows.
_SIZES = [
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
]


def write_card(manifest: MixtureManifest) -> str:
    """The card as Markdown with a YAML header, made from the manifest alone."""
    sections = [
        f"# {_inline(manifest.recipe_name)}: {_inline(manifest.stage)} mixture",
        _summary(manifest),
        "## How to load it",
        _loading(manifest),
        "## Composition",
        _composition(manifest),
        *_not_in_it(manifest),
        "## What became of the published rows",
        _accounting(manifest),
        *_merged_apart(manifest),
        *_limits(manifest),
        *_images_left_out(manifest),
        *_reviews(manifest),
        *_notes(manifest),
        "## Licences",
        _licences(manifest),
        "## Where it comes from",
        _provenance(manifest),
    ]
    return f"---\n{_header(manifest)}---\n\n" + "\n\n".join(sections) + "\n"


def _header(manifest: MixtureManifest) -> str:
    fields = {
        # On one line: a line of three hyphens in the name would end the header.
        "pretty_name": " ".join(f"{manifest.recipe_name} {manifest.stage}".split()),
        "license": "other",
        "license_name": "per-source",
        "license_details": "each row names its licence; see Licences below",
        "task_categories": ["image-text-to-text", "visual-question-answering"],
        "tags": ["cauldron", "vision-language", "mixture", manifest.stage],
        "size_categories": [_size_class(manifest.totals.rows)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": f"{manifest.data}/train-*.parquet"}],
            }
        ],
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=10_000)


def _size_class(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "n>1B")


def _summary(manifest: MixtureManifest) -> str:
    totals = manifest.totals
    tokens = (
        "Token counts are **estimated** from the text's bytes, without special tokens."
        if manifest.tokenizer.estimated
        else f"Text tokens are counted with `{manifest.tokenizer.name}`, {_special(manifest)}."
    )
    return (
        f"{totals.rows:,} rows from {_present(manifest)} sources, shuffled, ready to train a "
        f"vision-language model on: {totals.images:,} images, "
        f"{totals.answer_tokens:,} answer tokens, {totals.text_tokens:,} text tokens (answers "
        f"included) and {totals.image_tokens:,} image tokens, in {len(manifest.shards):,} "
        f"parquet files of {totals.bytes / 1e6:,.1f} MB in all. {tokens}"
    )


def _special(manifest: MixtureManifest) -> str:
    """Which special tokens are counted."""
    if manifest.tokenizer.name == MISTRAL_7B:
        return "with one BOS for each answer, as the published counts are"
    return "without special tokens"


def _present(manifest: MixtureManifest) -> int:
    return sum(source.rows > 0 for source in manifest.sources.values())


def _loading(manifest: MixtureManifest) -> str:
    view = mixture_view(manifest).sql.replace('"', '\\"')
    return f"""\
With `datasets`; `images` are decoded, and `messages` go into `apply_chat_template` as they are:

```python
from datasets import load_dataset

rows = load_dataset("path/to/{manifest.folder}", split="train")
prompt = processor.apply_chat_template(rows[0]["messages"])
inputs = processor(text=prompt, images=rows[0]["images"] or None)
```

With DuckDB, without reading an image:

```sql
SELECT source, count(*) AS rows, sum(tokens.answer) AS answer_tokens
FROM 'path/to/{manifest.folder}/{manifest.data}/train-*.parquet' GROUP BY 1 ORDER BY 2 DESC;
```

With Cauldron, from the build's output folder:

```sh
cauldron query OUT "SELECT * EXCLUDE images FROM {view} LIMIT 5"
```"""


def _composition(manifest: MixtureManifest) -> str:
    estimated = " (est.)" if manifest.tokenizer.estimated else ""
    header = ["Source", "Rows", f"Answer tokens{estimated}", "Images", "Weight"]
    header += ["Share published", "Share asked", "Share reached", "Epochs", "Licence"]
    ordered = sorted(manifest.sources.items(), key=lambda item: (-item[1].share_reached, item[0]))
    rows = [_composition_row(name, source) for name, source in ordered]
    totals = manifest.totals
    total = [f"{totals.rows:,}", f"{totals.answer_tokens:,}", f"{totals.images:,}"]
    rows.append(["**all**", *(f"**{value}**" for value in total), *[""] * 6])
    notes = "Shares are of answer tokens. A source's epochs say how often its rows are passed over."
    if sum(source.rows for source in manifest.sources.values()) > totals.rows:
        notes += (
            " A row with turns of several sources counts for each of them, once in all; its images"
            " count for the source in the column `source`."
        )
    if manifest.empty:
        notes += f" {nothing_left(manifest)}"
    composed = f"{notes}\n\n" + _table(header, rows, numbers=range(1, 9))
    short = [[name, why] for name, why in reasons(manifest).items()]
    if not short:
        return composed
    return f"{composed}\n\n{REASONS}:\n\n" + _table(["Source", "Why"], short)


REASONS = "Below 90 % of the published or asked share, or below 95 % because of a cap"


def reasons(manifest: MixtureManifest) -> dict[str, str]:
    """Sources that are capped or reach less than 90 % of their share, and why."""
    return {name: source.reason for name, source in manifest.sources.items() if source.reason}


def nothing_left(manifest: MixtureManifest) -> str:
    """Names the sources of which no turn is left."""
    return (
        f"No turn is left of {', '.join(sorted(manifest.empty))}: all rows were merged into rows "
        "that ask the same, dropped or quarantined."
    )


def _composition_row(name: str, source: SourceInMixture) -> list[str]:
    return [
        name,
        f"{source.rows:,}",
        f"{source.answer_tokens:,}",
        f"{source.images:,}",
        "" if source.weight is None else f"{source.weight:g}",
        "" if source.share_published is None else f"{source.share_published:.2%}",
        f"{source.share_asked:.2%}",
        f"{source.share_reached:.2%}",
        f"{source.epochs:.3f}",
        source.license,
    ]


def _not_in_it(manifest: MixtureManifest) -> list[str]:
    if not manifest.unavailable:
        return []
    rows = [[item.source, item.why, item.remedy] for item in manifest.unavailable]
    return [
        "## Not in it",
        "The recipe names these sources too.\n\n" + _table(["Source", "Why", "What to do"], rows),
    ]


def _accounting(manifest: MixtureManifest) -> str:
    header = ["Source", "Rows read", "Kept", "Merged", "Dropped", "Quarantined", "Reasons"]
    rows = []
    for name, source in sorted(manifest.sources.items()):
        counts = source.counts
        lost = [counts.merged, counts.dropped, counts.quarantined]
        reasons = (f"{reason} {n:,}" for part in lost for reason, n in sorted(part.items()))
        rows.append([name, *(f"{n:,}" for n in counts.totals.values()), ", ".join(reasons)])
    return _table(header, rows, numbers=range(1, 6))


def _merged_apart(manifest: MixtureManifest) -> list[str]:
    """What was merged though its colours, or a character, may differ."""
    sections = (
        (
            "Pictures in other colours",
            "The recipe takes a picture in other colours (in grey, with fewer colours, or more or "
            "less saturated) for the same picture (`duplicates: {other_colours: true}`).",
            manifest.recoloured,
        ),
        (
            "Pages in another rendering",
            "The recipe takes a page rendered at another resolution for the same page "
            "(`duplicates: {other_rendering: true}`). A page with one other character may be among "
            "them.",
            manifest.rerendered,
        ),
    )
    return [
        part
        for head, rule, images in sections
        if images is not None
        for part in (
            f"## {head}",
            f"{rule} Images of the sources that are in a cluster for this reason: {images:,}.",
        )
    ]


def _limits(manifest: MixtureManifest) -> list[str]:
    rows = [[name, told] for name, told in limits_told(manifest).items()]
    if not rows:
        return []
    note = (
        "Of these sources only the first rows were read. The figures above are of those; the rows"
        " after them are neither dropped nor quarantined."
    )
    return ["## Sources with a limit", f"{note}\n\n" + _table(["Source", "Rows"], rows)]


def _images_left_out(manifest: MixtureManifest) -> list[str]:
    """Images that documents are without. The documents are kept, so no row above counts them."""
    rows = [
        [name, f"{sum(counts.values()):,}", ", ".join(f"{why} {n:,}" for why, n in counts.items())]
        for name, counts in images_left_out(manifest).items()
    ]
    if not rows:
        return []
    note = (
        "The documents were kept without them, in one pass over the source."
        f" `{REPEATED}`: a picture in more documents than `duplicates.max_documents` allows."
    )
    header = ["Source", "Images", "Reasons"]
    return [
        "## Images left out of documents",
        f"{note}\n\n" + _table(header, rows, numbers=(1,)),
    ]


def _reviews(manifest: MixtureManifest) -> list[str]:
    """What a person said of pairs of pictures."""
    if not manifest.reviews:
        return []
    return ["## Reviewed pairs of pictures", f"{reviews_told(manifest.reviews)}."]


def _notes(manifest: MixtureManifest) -> list[str]:
    """What the readers of the sources say, such as what they could not restore."""
    rows = [
        [name, note] for name, source in sorted(manifest.sources.items()) for note in source.notes
    ]
    return ["## Notes on the sources", _table(["Source", "Note"], rows)] if rows else []


def _licences(manifest: MixtureManifest) -> str:
    by_licence: dict[str, list[str]] = {}
    for name, source in sorted(manifest.sources.items()):
        if source.rows or source.images:
            by_licence.setdefault(source.license, []).append(name)
    rows = []
    for licence, names in sorted(by_licence.items()):
        mine = [manifest.sources[name] for name in names]
        totals = [sum(source.rows for source in mine), sum(s.answer_tokens for s in mine)]
        rows.append([licence, *(f"{total:,}" for total in totals), ", ".join(names)])
    note = (
        "Every row carries the licence of its source in the column `license`. It is what the "
        "source's publisher states; pictures may have other owners. `cauldron sources --json` "
        "says where each is stated."
    )
    if any("near_duplicate" in source.counts.merged for source in manifest.sources.values()):
        note += (
            " A row that took over the turns of others with the same pictures names theirs too,"
            " joined with `AND`; `turn_sources` says where each turn is from."
        )
    return f"{note}\n\n" + _table(
        ["Licence", "Rows", "Answer tokens", "Sources"], rows, numbers=(1, 2)
    )


def _provenance(manifest: MixtureManifest) -> str:
    repos = sorted({(s.repo, s.commit or "local files") for s in manifest.sources.values()})
    facts = [
        ["Recipe", manifest.recipe_name],
        ["Seed", str(manifest.seed)],
        ["Fingerprint", manifest.fingerprint],
        ["Cauldron", manifest.code_version],
        ["Tokenizer", manifest.tokenizer.name or ESTIMATE],
    ]
    return (
        _table(["What", "Value"], facts)
        + "\n\n"
        + _table(["Repository", "Commit"], [list(item) for item in repos])
        + "\n\n`manifest.json` beside this file holds the whole recipe, every count and the "
        "SHA-256 of every shard; `cauldron verify OUT` checks them."
    )


def _table(
    header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()
) -> str:
    right = set(numbers)
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    lines = [header, rule, *([_inline(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _inline(text: str) -> str:
    """Text that is safe in a table cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
