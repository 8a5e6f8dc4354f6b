"""Scores on the clean part: from a build that found a benchmark's picture and kept the row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cauldron.training.config import TrainConfig, TrainRecipe
from cauldron.training.lineage import write_lineage

from cauldron.core.errors import CauldronError
from cauldron.core.output.mixture import load_mixture
from cauldron.evaluate.command import score
from cauldron.evaluate.items.read import Item, read_items
from cauldron.evaluate.predictions.files import Header, PredictionWriter, Record
from cauldron.evaluate.report.write import write_report
from cauldron.evaluate.scores.contamination import Place, Shown, training_data
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


def built(hub: Path, out: Path, match: str, name: str | None) -> Path:
    """The folder of a run on the build's mixture. Args: name: None: compared with nothing."""
    benchmarks = {} if name is None else {name: "lmms-lab/ai2d"}
    recipe = Recipe.model_validate(
        {
            "name": "test",
            "against": {"benchmarks": benchmarks, "match": match},
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


def shown(run: Path, benchmark: str = "ai2d") -> Shown | None:
    data = training_data(str(run), lambda line: None)
    assert data is not None
    return data.shown(benchmark)


def not_clean(run: Path) -> Any:
    found = shown(run)
    assert found is not None
    return found.rows


def test_items_are_known_by_the_rows_that_stayed(run: Path) -> None:
    assert not_clean(run) == {Place(TABLE, 0), Place(TABLE, 2)}
    assert shown(run, "mmmu") is None


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
    assert training_data(str(tmp_path), print) is None
    assert training_data("some/model", print) is None


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
    predict_some(hub, tmp_path / "e")
    said: list[str] = []
    result = score(tmp_path / "e", str(run_of(out)), said.append).results["ai2d"]
    assert result.overall is not None
    assert result.clean is None
    assert said[0].startswith("contamination by stage sft is not known: ")
    assert said[0].endswith("which holds the evidence")


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
            assert shown(out / "runs/sft") is None
            said: list[str] = []
            training_data(str(out / "runs/sft"), said.append)
            assert "was built anew" in said[0]


@pytest.fixture(scope="module")
def clean_run(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its build removed the rows that show the benchmark."""
    return built(hub, tmp_path_factory.mktemp("clean"), "image", "ai2d")


def goes_on(run: Path, base: str | Path | None, to: Path) -> Path:
    """A copy of a run that started from a model. Its exported model is there too."""
    run = shutil.copytree(run, to / "run")
    parts = {"vision": "a/vision", "language": "a/language"}
    train = {"steps": 1, "model": parts if base is None else {"name": str(base)}}
    config = TrainConfig(
        stage="sft",
        mixture=json.loads((run / "config.json").read_text())["mixture"],
        output=str(run),
        train=TrainRecipe.model_validate(train),
    )
    (run / "config.json").write_text(config.model_dump_json())
    write_lineage(config, load_mixture(config.mixture), resumes=False)
    lineage = json.loads((run / "lineage.json").read_text())
    (run / "model").mkdir(exist_ok=True)
    (run / "model/exported.json").write_text(json.dumps({"step": 1, "lineage": lineage}))
    return run


def test_mixtures_of_all_stages_count(run: Path, clean_run: Path, tmp_path: Path) -> None:
    """The first stage shows the benchmark, the two after it do not."""
    first = goes_on(run, None, tmp_path / "1")
    second = goes_on(clean_run, first / "model", tmp_path / "2")
    third = goes_on(clean_run, second / "model", tmp_path / "3")
    assert not_clean(clean_run) == frozenset()
    for model in (second, third, third / "model"):
        assert shown(model) == Shown(frozenset({Place(TABLE, 0), Place(TABLE, 2)}))


def test_the_model_that_a_run_started_from_may_be_trained_anew(
    run: Path, clean_run: Path, tmp_path: Path
) -> None:
    """A run tells what it started from then, and a copied model what it was trained on."""
    first = goes_on(run, None, tmp_path / "1")
    second = goes_on(clean_run, first / "model", tmp_path / "2")
    shutil.rmtree(first)
    copied = shutil.copytree(second / "model", tmp_path / "copy")
    shutil.rmtree(second)
    assert not_clean(copied) == {Place(TABLE, 0), Place(TABLE, 2)}


def test_what_was_not_compared_is_told_beside_the_score(
    run: Path, hub: Path, tmp_path: Path
) -> None:
    """A published model, a stage that was compared with nothing, and one that was."""
    plain = built(hub, tmp_path / "plain", "image", None)
    first = goes_on(plain, "org/published", tmp_path / "1")
    second = goes_on(run, first / "model", tmp_path / "2")
    found = shown(second)
    assert found is not None
    assert found.not_compared == ("org/published", "stage sft")
    assert len(found.rows) == 2
    assert shown(first) is None
    predict_some(hub, tmp_path / "e")
    manifest = score(tmp_path / "e", str(second), print)
    said = "\n".join(write_report(tmp_path / "e", manifest))
    told = "Not compared with the training data of org/published, stage sft: AI2D."
    assert told in said.splitlines()


def test_a_stage_whose_data_is_gone_loses_not_that_of_others(
    run: Path, clean_run: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(clean_run.parents[1], tmp_path / "out")
    first = goes_on(run_of(out), None, tmp_path / "1")
    second = goes_on(run, first / "model", tmp_path / "2")
    shutil.rmtree(out)
    said: list[str] = []
    data = training_data(str(second), said.append)
    assert data is not None
    found = data.shown("ai2d")
    assert found == Shown(frozenset({Place(TABLE, 0), Place(TABLE, 2)}), ("stage sft",))
    assert [line.split(":")[0] for line in said] == ["contamination by stage sft is not known"]


def test_a_damaged_lineage_is_told(run: Path, hub: Path, tmp_path: Path) -> None:
    copy = goes_on(run, None, tmp_path)
    (copy / "lineage.json").write_text("{")
    with pytest.raises(CauldronError, match=r"lineage.json does not tell"):
        training_data(str(copy), print)
    predict_some(hub, tmp_path / "e")
    said: list[str] = []
    assert score(tmp_path / "e", str(copy), said.append).results["ai2d"].clean is None
    assert said[0].startswith("contamination is not known: ")
