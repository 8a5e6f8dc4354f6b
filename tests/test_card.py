"""The dataset card, and the mixture folder as the hub's own libraries read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from cauldron.core.output.manifests import MixtureManifest, Tokenizer, Unavailable
from cauldron.core.output.mixture import load_mixture
from cauldron.inspect.card import write_card
from tests.fixtures_out import LIMA, VQAV2, make_out, picture

# The chat template of HuggingFaceM4/Idefics3-8B-Llama3 (chat_template.json).
IDEFICS3_TEMPLATE = (
    "<|begin_of_text|>{% for message in messages %}{{message['role'].capitalize()}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_out(str(tmp_path_factory.mktemp("card") / "out")) + "/mixtures/tiny/sft"


@pytest.fixture(scope="module")
def manifest(folder: str) -> MixtureManifest:
    return load_mixture(folder).manifest


def split(card: str) -> tuple[dict[str, Any], str]:
    start, header, body = card.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(header), body


def test_the_header_is_what_the_hub_reads(manifest: MixtureManifest) -> None:
    header, _ = split(write_card(manifest))
    data_files = [{"split": "train", "path": "data/ddd444/train-*.parquet"}]
    assert header["configs"] == [{"config_name": "default", "data_files": data_files}]
    assert header["license"] == "other"
    assert header["size_categories"] == ["n<1K"]
    assert "sft" in header["tags"]


def test_the_hubs_own_library_accepts_the_header(manifest: MixtureManifest) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard(write_card(manifest))
    assert card.data.license == "other"
    assert card.data.task_categories == ["image-text-to-text", "visual-question-answering"]


def test_the_composition_names_every_source(manifest: MixtureManifest) -> None:
    _, body = split(write_card(manifest))
    assert f"| {VQAV2} | 10 | 108 | 12 | 1 | 40.00% | 50.00% | 60.00% | 2.000 | cc-by-4.0 |" in body
    assert f"| {LIMA} | 6 | 72 | 0 |  |  | 50.00% | 40.00% | 1.500 | cc-by-nc-sa-4.0 |" in body
    assert "| **all** | **16** | **180** | **12** |" in body
    assert f"| {LIMA} | capped at 1.5 epochs |" in body


def test_every_lost_row_is_accounted_for(manifest: MixtureManifest) -> None:
    _, body = split(write_card(manifest))
    reasons = "exact_copy 1, same_image 2, no_turns 3, image_unreadable 1"
    assert f"| {VQAV2} | 12 | 5 | 3 | 3 | 1 | {reasons} |" in body


def test_licences_and_provenance_are_listed(manifest: MixtureManifest) -> None:
    _, body = split(write_card(manifest))
    assert f"| cc-by-4.0 | 10 | 108 | {VQAV2} |" in body
    assert f"| cc-by-nc-sa-4.0 | 6 | 72 | {LIMA} |" in body
    assert "| GAIR/lima | 0123456789abcdef0123456789abcdef01234567 |" in body
    assert "| Seed | 7 |" in body
    assert "| Fingerprint | ddd444 |" in body


def test_notes_of_the_sources_are_said(manifest: MixtureManifest) -> None:
    assert "## Notes on the sources" not in write_card(manifest)
    noted = manifest.sources[LIMA].model_copy(update={"notes": ["two | halves", "and more"]})
    changed = manifest.model_copy(update={"sources": manifest.sources | {LIMA: noted}})
    _, body = split(write_card(changed))
    assert f"| {LIMA} | two \\| halves |\n| {LIMA} | and more |" in body


def test_images_left_out_of_documents_are_listed_by_reason(manifest: MixtureManifest) -> None:
    assert "## Images left out of documents" not in write_card(manifest)
    source = manifest.sources[VQAV2]
    lost = {"http_not_found": 1_200, "bad_url": 3, "image_too_large": 1}
    counts = source.counts.model_copy(update={"images_dropped": lost, "repeated_images": 17})
    changed = source.model_copy(update={"counts": counts})
    _, body = split(write_card(manifest.model_copy(update={"sources": {VQAV2: changed}})))
    section = body[body.index("## Images left out of documents") : body.index("## Licences")]
    reasons = "bad_url 3, http_not_found 1,200, image_too_large 1, repeated_images 17"
    assert f"| {VQAV2} | 1,221 | {reasons} |" in section
    # They are no rows.
    assert "http_not_found" not in body[: body.index("## Images left out")]


def test_limits_are_said_and_whole_sources_have_none(manifest: MixtureManifest) -> None:
    assert "## Sources with a limit" not in write_card(manifest)
    changed = manifest.sources[LIMA].model_copy(update={"limit": 7, "rows_published": 1_030})
    sources = manifest.sources | {LIMA: changed}
    _, body = split(write_card(manifest.model_copy(update={"sources": sources})))
    section = body[body.index("## Sources with a limit") : body.index("## Licences")]
    rows = f"the first {changed.counts.rows_in} rows were read, of 7 at most; 1,030 are published"
    assert f"| {LIMA} | {rows}; they are passed over 1.50 times |" in section
    assert VQAV2 not in section


def test_unavailable_sources_are_said(manifest: MixtureManifest) -> None:
    _, body = split(write_card(manifest))
    assert "| goat | no files under the root | download it |" in body
    whole = manifest.model_copy(update={"unavailable": []})
    assert "## Not in it" not in write_card(whole)


def test_estimated_tokens_are_called_so(manifest: MixtureManifest) -> None:
    assert "**estimated**" in write_card(manifest)
    assert "Answer tokens (est.)" in write_card(manifest)
    counted = Tokenizer(name="HuggingFaceM4/Idefics3-8B-Llama3", estimated=False)
    card = write_card(manifest.model_copy(update={"tokenizer": counted}))
    assert "estimated" not in card
    assert "(est.)" not in card
    assert "`HuggingFaceM4/Idefics3-8B-Llama3`" in card


def test_strange_texts_stay_in_their_cells(manifest: MixtureManifest) -> None:
    odd = Unavailable(source="a|b", why="two\nlines", remedy="<script>x</script>")
    changed = manifest.model_copy(
        update={"unavailable": [odd], "recipe_name": "x: [y\n---\nlicense: mit"}
    )
    header, body = split(write_card(changed))
    assert header["license"] == "other"
    assert r"| a\|b | two lines | &lt;script>x&lt;/script> |" in body


def test_the_card_follows_from_the_manifest_alone(folder: str, manifest: MixtureManifest) -> None:
    assert (Path(folder) / "README.md").read_text() == write_card(manifest)


@pytest.fixture(scope="module")
def dataset(folder: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    datasets = pytest.importorskip("datasets")
    cache = str(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        return datasets.load_dataset(folder, split="train", cache_dir=cache)


def test_load_dataset_reads_the_folder_and_decodes_images(dataset: Any) -> None:
    assert dataset.num_rows == 16
    expected = {picture(number) for number in range(5)} | {picture(33)}
    assert len(expected) == 6
    with_images = [row for row in dataset if row["images"]]
    assert sum(len(row["images"]) for row in with_images) == 12
    for row in with_images:
        for image, info in zip(row["images"], row["image_info"], strict=True):
            assert isinstance(image, Image.Image)
            assert image.size == (info["width"], info["height"]) == (40, 30)
            assert image.mode == info["mode"]


def test_the_conversion_to_features_keeps_every_column(dataset: Any, folder: str) -> None:
    rows = {(row["id"], row["epoch"]): row for row in load_mixture(folder).rows()}
    for row in dataset:
        original = rows[row["id"], row["epoch"]]
        for name in set(original) - {"images"}:
            assert row[name] == original[name], name


def test_messages_feed_a_chat_template_unchanged(dataset: Any) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    tokenizer.chat_template = IDEFICS3_TEMPLATE
    row = next(row for row in dataset if len(row["images"]) == 2)
    text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
    assert text == (
        "<|begin_of_text|>User:<image><image>What is 3.0?<end_of_utterance>\n"
        "Assistant: It is 3, answer 0.<end_of_utterance>\n"
    )
    row = next(row for row in dataset if not row["images"])
    text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
    assert text.startswith("<|begin_of_text|>User: What is")
    assert text.count("Assistant: ") == 2
    tokens = tokenizer.apply_chat_template(row["messages"], tokenize=True)
    assert len(tokens["input_ids"]) > 10
