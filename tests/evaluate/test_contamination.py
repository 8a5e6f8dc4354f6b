"""Scores on the clean part: from a build that found a benchmark's picture and kept the row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cauldron.core.errors import CauldronError
from cauldron.evaluate.command import score
from cauldron.evaluate.items.read import Item, read_items
from cauldron.evaluate.predictions.files import Header, PredictionWriter, Record
from cauldron.evaluate.report.write import write_report
from cauldron.evaluate.scores.contamination import Place, training_data
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import Recipe
from tests.hubs import photo, write_sharegpt
from tests.sources.benchmark_files import write_parquet

TABLE = "data/test-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AI2D shows two of three pictures that ShareGPT-4o has, and one of its own."""
    root = tmp_path_factory.mktemp("hub")
    write_sharegpt(str(root), rows=3)
    columns: dict[str, list[Any]] = {
        "question": ["What is the first?", "And this?", "And that?"],
        "options": [["a", "b"]] * 3,
        "answer": ["0", "1", "1"],
        "image": [{"bytes": photo(number), "path": None} for number in (0, 99, 2)],
    }
    write_parquet(root / "lmms-lab/ai2d" / TABLE, columns)
    return root


def built(hub: Path, out: Path, match: str, name: str) -> Path:
    """The folder of a run on the build's mixture."""
    recipe = Recipe.model_validate(
        {
            "name": "test",
            "against": {"benchmarks": {name: "lmms-lab/ai2d"}, "match": match},
            "stages": {
                "sft": {"budget": {"epochs_of": {"sharegpt_4o": 1}}, "mixture": {"sharegpt_4o": 1}}
            },
        }
    )
    build(BuildOptions(recipe, ("sft",), str(hub), str(out)), lambda line: None)
    return run_of(out)


def run_of(out: Path, **more: Any) -> Path:
    run = out / "runs/sft"
    run.mkdir(parents=True, exist_ok=True)
    values = {"stage": "sft", "mixture": str(out / "mixtures/test/sft"), "train": {}, **more}
    (run / "config.json").write_text(json.dumps(values))
    return run


@pytest.fixture(scope="module")
def run(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows that ask something else than the benchmark stay in the mixture."""
    return built(hub, tmp_path_factory.mktemp("built"), "image_and_text", "drawings")


def not_clean(run: Path) -> Any:
    data = training_data(str(run))
    assert data is not None
    return data.not_clean("ai2d")


def test_items_are_known_by_the_rows_that_stayed(run: Path) -> None:
    assert not_clean(run) == {Place(TABLE, 0), Place(TABLE, 2)}
    data = training_data(str(run))
    assert data is not None
    assert data.not_clean("mmmu") is None


def test_rows_that_were_removed_leave_the_benchmark_clean(hub: Path, tmp_path: Path) -> None:
    assert not_clean(built(hub, tmp_path, "image", "ai2d")) == frozenset()


def test_sources_that_the_run_left_out_do_not_count(run: Path, tmp_path: Path) -> None:
    out = shutil.copytree(run.parents[1], tmp_path / "out")
    assert not_clean(run_of(out, exclude=["sharegpt_4o"])) == frozenset()
    assert not_clean(run_of(out, only=["sharegpt_4o"])) == not_clean(run)


def test_an_exported_model_is_known_by_its_run_and_others_are_unknown(
    run: Path, tmp_path: Path
) -> None:
    (run / "model").mkdir(exist_ok=True)
    assert not_clean(run / "model") == not_clean(run)
    assert training_data(str(tmp_path)) is None
    assert training_data("some/model") is None


def predict_some(hub: Path, folder: Path) -> None:
    """The model is right on the two items that it was trained on, and only on these."""
    header = Header(model="m", weights=None, engine="endpoint", batch=0, root=str(hub))
    with PredictionWriter(folder, "ai2d", header, 0) as writer:
        for index, item in enumerate(read_items("ai2d", str(hub))):
            assert isinstance(item, Item)
            writer.write([Record.answered(index, item, "A" if index != 2 else "B")])


def test_scores_are_given_on_the_clean_part_too(run: Path, hub: Path, tmp_path: Path) -> None:
    predict_some(hub, tmp_path)
    manifest = score(tmp_path, str(run), print)
    result = manifest.results["ai2d"]
    assert result.overall is not None
    assert result.overall.value == pytest.approx(2 / 3)
    assert result.clean is not None
    assert result.clean.not_clean == 2
    assert result.clean.score is not None
    assert (result.clean.score.value, result.clean.score.size) == (0, 1)
    said = "\n".join(write_report(tmp_path, manifest))
    assert "- clean part" in said
    assert "AI2D: 2 items have pictures that the training data shows." in said


def test_training_data_that_is_gone_is_told_and_the_rest_scored(
    run: Path, hub: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(run.parents[1], tmp_path / "out")
    shutil.rmtree(out / "curation")
    with pytest.raises(CauldronError, match="which holds the evidence"):
        training_data(str(run_of(out)))
    predict_some(hub, tmp_path / "e")
    said: list[str] = []
    result = score(tmp_path / "e", str(run_of(out)), said.append).results["ai2d"]
    assert result.overall is not None
    assert result.clean is None
    assert said[0].startswith("contamination is not known: ")


def test_a_mixture_that_was_built_anew_is_no_evidence(run: Path, tmp_path: Path) -> None:
    out = shutil.copytree(run.parents[1], tmp_path / "out")
    saved = run_of(out) / "checkpoints/step-000002/run.json"
    saved.parent.mkdir(parents=True)
    manifest = json.loads((out / "mixtures/test/sft/manifest.json").read_text())
    for fingerprint, known in ((manifest["fingerprint"], True), ("another", False)):
        saved.write_text(json.dumps({"step": 2, "decides": {"mixture": fingerprint}}))
        if known:
            assert not_clean(out / "runs/sft") == not_clean(run)
        else:
            with pytest.raises(CauldronError, match="was built anew"):
                training_data(str(out / "runs/sft"))
