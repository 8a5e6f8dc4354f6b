"""The card of a dataset that `cauldron docmatix` made: its ``README.md``."""

from __future__ import annotations

import yaml

from cauldron.core.output.docmatix import DocmatixManifest

_TEXTS = {
    "name": "texts",
    "list": [{"name": name, "dtype": "string"} for name in ("user", "assistant", "source")],
}
_CONFIGS = {
    "images": {"name": "images", "sequence": "image"},
    "pdf": {"name": "pdf", "dtype": "binary"},
}


def write_docmatix_card(manifest: DocmatixManifest) -> str:
    """The card as Markdown with a YAML header, made from the manifest alone."""
    header = {
        "configs": [
            {"config_name": name, "data_files": [{"split": "train", "path": f"{name}/train-*"}]}
            for name in _CONFIGS
        ],
        "dataset_info": [
            {
                "config_name": name,
                "features": [feature, _TEXTS],
                "splits": [{"name": "train", "num_examples": manifest.documents.get("kept", 0)}],
            }
            for name, feature in _CONFIGS.items()
        ],
        "task_categories": ["visual-question-answering"],
        "license": "other",
        "license_name": "that-of-the-documents",
    }
    sections = [
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---",
        "# Questions and answers on documents, in the layout of Docmatix",
        _summary(manifest),
        "## Documents",
        _counted(manifest.documents),
        "## Pairs",
        _counted(manifest.pairs),
        "`documents/` and `pairs/` list each of them with its reason.",
    ]
    return "\n\n".join(sections) + "\n"


def _summary(manifest: DocmatixManifest) -> str:
    model = manifest.model
    revision = f" (revision {model.revision})" if model.revision else ""
    kept = manifest.documents.get("kept", 0)
    return (
        f"{kept:,} documents with {manifest.pages:,} pages and "
        f"{manifest.pairs.get('kept', 0):,} pairs of a question and an answer. The pairs were "
        f"written by {model.name}{revision} from the text of the documents in "
        f"{manifest.pdfs}, filtered by the published rules of Docmatix and by a check that their "
        "numbers, dates and names stand in the document. They have not been read by a person.\n\n"
        "`images` holds the pages as PNG at 150 dpi, `pdf` the documents themselves. The `source` "
        "of a pair names its document: `PDFA key: <key>`.\n\n"
        f"Made with cauldron {manifest.code_version}, seed {manifest.seed}, fingerprint "
        f"`{manifest.fingerprint}`."
    )


def _counted(counts: dict[str, int]) -> str:
    rows = sorted(counts.items(), key=lambda item: (item[0] != "kept", -item[1], item[0]))
    lines = [f"| {name} | {number:,} |" for name, number in rows]
    return "\n".join(["| outcome | number |", "| --- | ---: |", *lines])
