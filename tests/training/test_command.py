"""What was typed becomes a configuration, or one line about what is wrong, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cauldron.training.command import TrainOptions, check, resolve, shown
from cauldron.training.config import TrainConfig
from cauldron.training.resume import fields_to_match
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.core.errors import UsageError
from cauldron.core.output.mixture import Mixture
from cauldron.recipe import load_recipe
from tests.training.data.mixtures import mixed_rows, write_mixture

PACKAGED = load_recipe("idefics3").training
# What the command line gives with no recipe named.
typed_options = partial(TrainOptions, packaged=PACKAGED)


@pytest.fixture(autouse=True)
def empty_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command looks for mixtures and runs below the working folder: none of the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    return write_mixture(tmp_path_factory.mktemp("mixture"), mixed_rows(10))


def test_stages_are_those_of_the_paper() -> None:
    """Table 3 of arXiv 2408.12637."""
    found = {stage: resolve(typed_options(stage)).train for stage in PACKAGED}
    assert {stage: rules.steps for stage, rules in found.items()} == {
        "stage1": 1000,
        "stage2": 3000,
        "stage3": 1500,
        "sft": 5000,
    }
    assert [rules.learning_rate for rules in found.values()] == [1e-4, 1e-4, 1e-4, 5e-5]
    assert [rules.schedule for rules in found.values()] == ["constant"] * 2 + ["linear"] * 2
    assert {(rules.batch, rules.sequence_length) for rules in found.values()} == {(1024, 10_240)}
    assert found["stage1"].frozen == ("vision", "language")
    assert [rules.adapter is not None for rules in found.values()] == [False, True, True, True]
    assert [rules.neftune_alpha for rules in found.values()] == [None, None, None, 5.0]


def test_the_resolution_grows_in_five_equal_parts_of_stage_1() -> None:
    rules = resolve(typed_options("stage1")).train
    edges = [rules.longest_edge_at(step) for step in range(rules.steps)]
    assert [edges.count(edge) for edge in (364, 728, 1092, 1456, 1820)] == [200] * 5
    assert edges == sorted(edges)


def test_places_default_to_the_build_of_the_stage() -> None:
    config = resolve(typed_options("sft"))
    assert config.mixture == "./cauldron-out/mixtures/*/sft"
    assert config.output == "cauldron-out/runs/sft"


def test_typed_values_win() -> None:
    options = typed_options(
        "sft", steps=7, model="some/model", changes=("adapter.rank=8", "upscale={up_to: 2}")
    )
    rules = resolve(options).train
    assert rules.steps == 7
    assert rules.model.name == "some/model"
    assert rules.adapter is not None
    assert rules.adapter.rank == 8
    assert rules.model_dump()["upscale"] == {"up_to": 2.0}


def test_the_tiny_model_takes_as_many_tiles_of_its_own_size() -> None:
    rules = resolve(typed_options("sft", model="tiny")).train
    assert rules.longest_edge == 5 * 56
    assert rules.steps <= 50
    assert resolve(typed_options("sft", model="tiny", changes=("steps=9",))).train.steps == 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (typed_options("stage9"), "how to train 'stage9'; it has: stage1, stage2, stage3, sft"),
        (typed_options("sft", changes=("stepz=3",)), "training.sft.stepz"),
        (typed_options("sft", changes=("steps=0",)), "training.sft.steps"),
        (typed_options("sft", changes=("steps",)), "give FIELD=VALUE"),
    ],
)
def test_a_mistake_is_named(options: TrainOptions, said: str) -> None:
    with pytest.raises(UsageError, match=said) as found:
        resolve(options)
    assert "\n" not in str(found.value)


def config(mixture: Mixture, tmp_path: Path, *changes: str, **typed: object) -> TrainConfig:
    values: dict[str, object] = {"stage": "sft", "model": "tiny", "output": str(tmp_path)}
    return resolve(typed_options(mixture=mixture.folder, changes=changes, **values | typed))  # type: ignore[arg-type]


def test_ranks_must_divide_the_batch(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match=r"batch of 4 .* 3 ranks; .* --set batch=6"):
        check(config(mixture, tmp_path), mixture)


def test_groups_must_divide_the_ranks(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match=r"4 ranks do not divide into groups of 3"):
        check(config(mixture, tmp_path, "shard=3"), mixture)


def test_weights_and_biases_must_be_installed_to_be_used(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match="pip install wandb"):
        check(config(mixture, tmp_path, "wandb_project=p"), mixture)


def test_the_mixture_knows_how_to_train_unless_a_recipe_is_named(
    mixture: Mixture, tmp_path: Path
) -> None:
    folder = tmp_path / "mixture"
    shutil.copytree(mixture.folder, folder)
    training = {"sft": {"model": {"name": "a/b"}, "steps": 7}}
    recipe = mixture.manifest.recipe | {"training": training}
    manifest = mixture.manifest.model_copy(update={"recipe": recipe})
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    assert resolve(typed_options("sft", mixture=str(folder))).train.steps == 7
    named = typed_options("sft", mixture=str(folder), rules=PACKAGED)
    assert resolve(named).train.steps == 5000


def test_a_mistake_is_told_by_one_rank_of_a_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for rank in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        result = CliRunner().invoke(main, ["train", "--mixture", str(tmp_path / "none")])
        assert result.exit_code == 1
        said.append(result.stderr.count("\n"))
    assert said == [1, 0]


def test_an_unknown_source_is_named(mixture: Mixture, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no source 'x'; it has: pairs, pictures, words"):
        check(config(mixture, tmp_path, exclude=("x",)), mixture)


def test_counts_by_another_tokenizer_are_an_error_unless_allowed(
    mixture: Mixture, tmp_path: Path
) -> None:
    counted = mixture.manifest.tokenizer.model_copy(update={"name": "a/b", "estimated": False})
    manifest = mixture.manifest.model_copy(update={"tokenizer": counted})
    other = Mixture(mixture.folder, manifest)
    with pytest.raises(UsageError, match=r"counted by a/b.*any_tokenizer=true"):
        check(config(mixture, tmp_path, model="c/d"), other)
    check(config(mixture, tmp_path, "any_tokenizer=true", model="c/d"), other)
    check(config(mixture, tmp_path, model="a/b"), other)


def test_published_counts_train_any_model(mixture: Mixture, tmp_path: Path) -> None:
    """As the authors did: shares by Mistral-7B's tokenizer, a model with Llama's."""
    from cauldron.core.output.manifests import Tokenizer

    counted = Tokenizer(name="mistral-7b", estimated=False, digest="0" * 16)
    by = Mixture(mixture.folder, mixture.manifest.model_copy(update={"tokenizer": counted}))
    byte_level("the colour of the dog").save(str(tmp_path / "tokenizer.json"))
    for model in (str(tmp_path), "tiny", "meta-llama/L"):
        check(config(mixture, tmp_path / "run", model=model), by)


def test_tokenizers_are_compared_by_what_they_do(mixture: Mixture, tmp_path: Path) -> None:
    """The same one, with the model's own tokens added, passes under any name; another does not."""
    from cauldron.core.output.manifests import Tokenizer
    from cauldron.core.tokenizer import digest, open_tokenizer

    ours, theirs = (byte_level(texts) for texts in ("the colour of the dog", "le chat noir"))
    for name, made in (("llama", ours), ("ours", ours), ("other", theirs)):
        (tmp_path / name).mkdir()
        if name == "ours":
            made.add_special_tokens(["<image>", "<end_of_utterance>"])
            made.enable_truncation(2)
        made.save(str(tmp_path / name / "tokenizer.json"))
    mark = digest(open_tokenizer(str(tmp_path / "llama")))
    counted = Tokenizer(name="meta-llama/L", estimated=False, digest=mark)
    by = Mixture(mixture.folder, mixture.manifest.model_copy(update={"tokenizer": counted}))

    def with_model(*changes: str, **typed: object) -> TrainConfig:
        return config(mixture, tmp_path / "run", *changes, **typed)

    check(with_model(model=str(tmp_path / "ours")), by)
    composed = (f"model={{vision: a/b, language: {tmp_path / 'llama'}}}", "adapter=null")
    check(with_model(*composed, model=None), by)
    check(with_model(model=str(tmp_path / "nothing here")), by)
    other = str(tmp_path / "other")
    for wrong in (
        with_model(model=other),
        with_model(f"model={{vision: a/b, language: {other}}}", "adapter=null", model=None),
    ):
        with pytest.raises(UsageError, match=r"counted by meta-llama/L, .*other, cuts") as found:
            check(wrong, by)
        assert "\n" not in str(found.value)


def byte_level(text: str) -> Any:
    import tokenizers

    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
    )
    made.train_from_iterator([text] * 3, trainer)
    return made


def test_adapters_are_not_laid_over_other_weights(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless nobody can say which these are, or none of them stays."""
    base = "cauldron.training.resume.base_weights"
    settings = config(mixture, tmp_path, "adapter.rank=4", "frozen=[vision]")
    monkeypatch.setattr(base, lambda rules: {"org/m": "old"})
    folder = tmp_path / "checkpoints" / "step-000002"
    folder.mkdir(parents=True)
    values = {"step": 2, "position": {}, "decides": fields_to_match(settings, mixture)}
    (folder / "run.json").write_text(json.dumps(values))
    check(settings, mixture)
    monkeypatch.setattr(base, lambda rules: {"org/m": None})
    check(settings, mixture)
    monkeypatch.setattr(base, lambda rules: {"org/m": "new"})
    with pytest.raises(UsageError, match="the weights of org/m were old, are new;"):
        check(settings, mixture)
    assert fields_to_match(config(mixture, tmp_path), mixture)["weights"] == {}


def test_the_configuration_is_shown_as_yaml(mixture: Mixture, tmp_path: Path) -> None:
    import yaml

    settings = config(mixture, tmp_path)
    assert TrainConfig.model_validate(yaml.safe_load(shown(settings))) == settings


def test_a_missing_mixture_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["train", "--mixture", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "unfinished or missing mixture" in result.stderr
    assert result.stderr.count("\n") == 1


def test_mistakes_are_told_without_torch(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from cauldron.cli import main\n"
        f"main(['train', '--mixture', {str(tmp_path)!r}])\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.returncode == 1
    assert "missing mixture" in found.stderr


def test_training_without_its_packages_says_what_to_install(
    mixture: Mixture, tmp_path: Path
) -> None:
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from cauldron.cli import main\n"
        f"main(['train', '--model', 'tiny', '--mixture', {mixture.folder!r},"
        f" '--output', {str(tmp_path)!r}])\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.returncode == 2
    assert "pip install 'cauldron-vlm[train]'" in found.stderr
    assert found.stderr.count("\n") == 1
