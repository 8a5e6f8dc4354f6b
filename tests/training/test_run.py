"""Whole runs of the tiny model in this process, on a mixture of 200 rows."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from cauldron.training import command, run  # noqa: E402
from cauldron.training.checkpoint import CheckpointWriter, newest_checkpoint  # noqa: E402
from cauldron.training.command import TrainOptions, resolve  # noqa: E402
from cauldron.training.config import TrainConfig  # noqa: E402
from cauldron.training.metrics import read_metrics  # noqa: E402
from cauldron.training.network.flops import IDEFICS3_8B  # noqa: E402

from cauldron.core.errors import CauldronError, UsageError  # noqa: E402
from cauldron.core.output.mixture import Mixture, load_mixture  # noqa: E402
from cauldron.core.output.runs import lineage_of  # noqa: E402
from cauldron.recipe import load_recipe  # noqa: E402
from tests.training.data.mixtures import mixed_rows, write_mixture  # noqa: E402
from tests.training.limits import files_no_larger_than  # noqa: E402
from tests.training.packs import four_chats  # noqa: E402

PACKAGED = load_recipe("idefics3").training
SMALL = ("batch=2", "sequence_length=1024", "precision=fp32", "checkpoint_every=2",
         "tensorboard=false")  # fmt: skip


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    return write_mixture(tmp_path_factory.mktemp("mixture"), mixed_rows(200))


def config(mixture: Mixture, output: Path, *changes: str, **typed: Any) -> TrainConfig:
    values: dict[str, Any] = {"stage": "sft", "model": "tiny", "steps": 4}
    return resolve(
        TrainOptions(
            packaged=PACKAGED,
            mixture=mixture.folder,
            output=str(output),
            changes=(*SMALL, *changes),
            **values | typed,
        )
    )


def silent(line: str) -> None:
    """Nothing is said."""


def never() -> bool:
    """No stop is requested."""
    return False


def train(settings: TrainConfig, stop: Any = None) -> None:
    mixture = load_mixture(settings.mixture)
    command.check(settings, mixture)
    run.train(settings, mixture, stop or never, silent)


def weights(output: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(output / "model" / "model.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


class StopAfter:
    """Requests a stop, as SIGTERM does, after it was asked so many times."""

    def __init__(self, packs: int) -> None:
        self._left = packs

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_the_loss_falls_by_a_third(mixture: Mixture, tmp_path: Path) -> None:
    train(config(mixture, tmp_path, "learning_rate=0.01", "batch=4", steps=20))
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 21))
    assert lines[-1]["loss"] < 2 / 3 * lines[0]["loss"]


def test_a_run_that_was_stopped_twice_ends_with_equal_weights(
    mixture: Mixture, tmp_path: Path
) -> None:
    """In the middle of a step, once before a checkpoint was due and once after."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(config(mixture, whole, "adapter.rank=4", steps=5))
    settings = config(mixture, cut, "adapter.rank=4", steps=5)
    for packs, step in ((3, 1), (5, 3)):
        train(settings, StopAfter(packs))
        saved = newest_checkpoint(cut)
        assert saved is not None
        assert saved.step == step
        assert not (cut / "model").exists()
    train(settings)
    assert_same_weights(whole, cut)
    lines, others = read_metrics(whole / "metrics.jsonl"), read_metrics(cut / "metrics.jsonl")
    assert [line["loss"] for line in lines] == [line["loss"] for line in others]


def test_a_run_goes_on_from_the_last_whole_checkpoint(mixture: Mixture, tmp_path: Path) -> None:
    """A kill left one half written, and metrics of steps that will be done again."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(config(mixture, whole))
    settings = config(mixture, cut)
    train(settings, StopAfter(6))
    metrics = cut / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + metrics.read_text() + '{"step": 4, "lo')
    half = cut / "checkpoints" / "step-000004.tmp"
    half.mkdir()
    (half / "__0_0.distcp").write_bytes(b"torn")
    train(settings)
    assert_same_weights(whole, cut)
    assert not half.exists()


def test_the_last_checkpoints_stay(mixture: Mixture, tmp_path: Path) -> None:
    train(config(mixture, tmp_path, "checkpoint_every=1", "keep=2", steps=4))
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-000003", "step-000004"]


def test_a_constant_rate_lets_a_finished_run_go_on(mixture: Mixture, tmp_path: Path) -> None:
    more = ("schedule=constant",)
    train(config(mixture, tmp_path / "whole", *more, steps=3))
    train(config(mixture, tmp_path / "parts", *more, steps=2))
    train(config(mixture, tmp_path / "parts", *more, steps=3))
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")
    assert {path.name for path in tmp_path.glob("parts/model*")} == {"model"}


def test_a_finished_run_is_exported_again_only_in_another_form(
    mixture: Mixture, tmp_path: Path
) -> None:
    lines: list[str] = []
    train(config(mixture, tmp_path, "adapter.rank=4", steps=1))
    for changes in ((), ("export=adapter",), ("export=adapter",)):
        settings = config(mixture, tmp_path, "adapter.rank=4", *changes, steps=1)
        run.train(settings, mixture, never, lines.append)
    assert [line.partition(":")[0] for line in lines] == ["done already", "model", "done already"]
    assert (tmp_path / "model" / "adapter_config.json").exists()


def test_no_export_over_other_weights(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They changed while the run trained."""
    answers = iter([{"org/base": "a" * 40}, {"org/base": "b" * 40}])
    monkeypatch.setattr("cauldron.training.resume.base_weights", lambda rules: next(answers))
    settings = config(mixture, tmp_path, "adapter.rank=4", steps=1)
    with pytest.raises(UsageError, match=r"weights of org/base were a+, are b+"):
        run.train(settings, mixture, never, silent)
    assert not (tmp_path / "model").exists()


class SecondRank:
    """Of two, in this process; the first one's checkpoint is of step `step`."""

    first = False

    def __init__(self, step: int) -> None:
        self._step = step

    def total(self, values: Any) -> Any:
        return values + self._step

    def any(self, flag: bool) -> bool:
        return flag


def test_ranks_go_on_from_the_first_ones_checkpoint(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_DISK_SECONDS", 0.0)
    settings = config(mixture, tmp_path, steps=4)
    train(settings)
    for step in (2, 4):
        saved = run._find_checkpoint(settings, SecondRank(step))  # type: ignore[arg-type]
        assert saved is not None
        assert saved.step == step
    assert run._find_checkpoint(settings, SecondRank(0)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("step", "what"), [(2, "its checkpoint of step 2"), (0, "its config")])
def test_a_disk_that_is_not_shared_is_told(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, what: str
) -> None:
    monkeypatch.setattr(run, "_DISK_SECONDS", 0.0)
    with pytest.raises(UsageError, match=f"on a disk that all nodes share.*{what}") as found:
        run._find_checkpoint(config(mixture, tmp_path / "here"), SecondRank(step))  # type: ignore[arg-type]
    assert "\n" not in str(found.value)


_TRAINED = ("lora_", "connector", "new_tokens")


def test_adapters_leave_frozen_weights_out_of_checkpoints(mixture: Mixture, tmp_path: Path) -> None:
    from torch.distributed.checkpoint import FileSystemReader

    train(config(mixture, tmp_path, "adapter.rank=4", steps=1))
    saved = newest_checkpoint(tmp_path)
    assert saved is not None
    names = FileSystemReader(str(saved.folder)).read_metadata().state_dict_metadata
    assert all(any(part in name for part in _TRAINED) for name in names)


@pytest.mark.parametrize("changes", [(), ("adapter.rank=4",)])
def test_the_export_computes_what_the_run_computes(
    mixture: Mixture, tmp_path: Path, changes: tuple[str, ...]
) -> None:
    from cauldron.training.export import load_trained
    from transformers import AutoProcessor, GenerationConfig, Idefics3ForConditionalGeneration

    settings = config(mixture, tmp_path, *changes, steps=2)
    train(settings)
    saved = newest_checkpoint(tmp_path)
    assert saved is not None
    ours: Any = load_trained(settings, saved.folder).model
    folder = tmp_path / "model"
    theirs: Any = Idefics3ForConditionalGeneration.from_pretrained(folder).eval()
    assert theirs.config.text_config._attn_implementation == "sdpa"
    assert_equal_logits(ours, theirs)
    processor = AutoProcessor.from_pretrained(folder)
    assert processor.image_seq_len == 4
    assert processor.image_processor.max_image_size == {"longest_edge": 56}
    assert "<end_of_utterance>" in processor.chat_template
    ends = GenerationConfig.from_pretrained(folder).eos_token_id
    assert ends == processor.tokenizer.convert_tokens_to_ids("<end_of_utterance>")


def test_the_adapter_export_lies_over_the_model_it_began_with(
    mixture: Mixture, tmp_path: Path
) -> None:
    from cauldron.training.export import load_trained
    from cauldron.training.network.tiny import tiny_model, tiny_tokenizer
    from peft import PeftModel

    settings = config(mixture, tmp_path, "adapter.rank=4", "export=adapter", steps=2)
    train(settings)
    saved = newest_checkpoint(tmp_path)
    assert saved is not None
    base = tiny_model(tiny_tokenizer(), 0)
    laid: Any = PeftModel.from_pretrained(base, str(tmp_path / "model")).eval()
    assert_equal_logits(load_trained(settings, saved.folder).model, laid)


def assert_equal_logits(ours: Any, theirs: Any) -> None:
    """Of one conversation, with and without `packed` attention."""
    one = four_chats()[1]
    pixels = ((one.tiles.float() / 255 - 0.5) / 0.5).unsqueeze(0)
    from cauldron.training.network.forward import image_features

    with torch.no_grad():
        inner = ours.model
        embedded = inner.get_input_embeddings()(one.ids)
        places = torch.nonzero(one.ids == ours.config.image_token_id).squeeze(1)
        features = image_features(inner, one.tiles, torch.float32)
        ends = torch.tensor([0, len(one.ids)], dtype=torch.int32)
        hidden = inner.text_model(
            inputs_embeds=embedded.index_copy(0, places, features).unsqueeze(0),
            use_cache=False,
            cu_seq_lens_q=ends,
            max_length_q=len(one.ids),
        ).last_hidden_state
        wanted = theirs(input_ids=one.ids.unsqueeze(0), pixel_values=pixels).logits
        torch.testing.assert_close(ours.lm_head(hidden), wanted, atol=2e-5, rtol=1e-4)


def test_sources_are_left_out_or_taken_alone(mixture: Mixture, tmp_path: Path) -> None:
    train(config(mixture, tmp_path / "a", steps=2, exclude=("words",)))
    assert seen(tmp_path / "a") == {"pictures", "pairs"}
    train(config(mixture, tmp_path / "b", steps=2, only=("words",)))
    assert seen(tmp_path / "b") == {"words"}


def seen(output: Path) -> set[str]:
    return {name for line in read_metrics(output / "metrics.jsonl") for name in line["sources"]}


def test_a_checkpoint_of_another_recipe_is_named(mixture: Mixture, tmp_path: Path) -> None:
    train(config(mixture, tmp_path, steps=1))
    with pytest.raises(UsageError, match=r"another recipe: batch was 2, is 4, seed was 0, is 7"):
        train(config(mixture, tmp_path, "seed=7", "batch=4", steps=1))


def test_what_decides_nothing_may_change(mixture: Mixture, tmp_path: Path) -> None:
    train(config(mixture, tmp_path, steps=1))
    train(config(mixture, tmp_path, "keep=5", "recompute=all", "head_chunk=7", steps=1))


def test_a_loss_that_blows_up_ends_the_run_in_one_line(mixture: Mixture, tmp_path: Path) -> None:
    with pytest.raises(CauldronError, match="lower learning_rate") as found:
        train(config(mixture, tmp_path, "learning_rate=1e30", "clip=1e30", steps=8))
    assert "\n" not in str(found.value)


def test_a_checkpoint_that_is_written_when_the_run_fails_gets_its_name(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(first: int, rules: Any, loader: Any, stepper: Any, checkpoints: Any, state: Any,
              *more: Any) -> None:  # fmt: skip
        checkpoints.save(2, loader.state(), state())
        checkpoints._writing[0].result()
        raise CauldronError("the loss is nan")

    # The first step gives the optimizer its state.
    settings = config(mixture, tmp_path, "schedule=constant", "learning_rate=0.01", steps=1)
    train(settings)
    monkeypatch.setattr(run, "run_steps", fails)
    with pytest.raises(CauldronError, match="the loss is nan"):
        train(config(mixture, tmp_path, "schedule=constant", "learning_rate=0.01", steps=3))
    saved = newest_checkpoint(tmp_path)
    assert saved is not None
    assert saved.step == 2


def test_a_full_disk_ends_the_run_in_one_line_and_the_same_command_resumes_it(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(config(mixture, whole))
    save = CheckpointWriter.save
    with monkeypatch.context() as patch, ExitStack() as limits:

        def limited(self: CheckpointWriter, step: int, *state: Any) -> None:
            save(self, step, *state)
            self.finish()
            limits.enter_context(files_no_larger_than(100_000))

        patch.setattr(CheckpointWriter, "save", limited)
        with pytest.raises(CauldronError, match="step-000004 could not be written: File too large"):
            train(config(mixture, cut))
    assert {path.name for path in (cut / "checkpoints").iterdir()} == {"step-000002"}
    train(config(mixture, cut))
    assert_same_weights(whole, cut)


def test_an_export_that_finds_no_room_leaves_nothing(mixture: Mixture, tmp_path: Path) -> None:
    train(config(mixture, tmp_path, steps=2))
    shutil.rmtree(tmp_path / "model")
    settings = config(mixture, tmp_path, steps=2)
    with files_no_larger_than(100_000), pytest.raises(CauldronError, match="too large") as found:
        train(settings)
    assert str(found.value).startswith(f"{tmp_path / 'model'} could not be written: ")
    assert "\n" not in str(found.value)
    assert not list(tmp_path.glob("model*"))


def test_metrics_that_find_no_room_name_the_run(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("cauldron.training.metrics.Metrics.step", full)
    with pytest.raises(CauldronError, match=f"{tmp_path} could not be written: No space left"):
        train(config(mixture, tmp_path, steps=2))


def test_no_room_on_the_gpu_says_what_to_lower(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has\n1")

    monkeypatch.setattr(run, "run_steps", full)
    with pytest.raises(CauldronError, match=r"recompute=all, --set sequence_length=512") as found:
        train(config(mixture, tmp_path, "recompute=vision"))
    assert "\n" not in str(found.value)


def test_metrics_add_up(mixture: Mixture, tmp_path: Path) -> None:
    train(config(mixture, tmp_path, steps=2))
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        values = json.loads(line)
        sources = values["sources"].values()
        assert sum(s["answer_tokens"] for s in sources) == values["answer_tokens"]
        total = sum(s["loss"] * s["answer_tokens"] for s in sources)
        assert total / values["answer_tokens"] == pytest.approx(values["loss"])
        assert 0 <= values["padding"] < 1
        assert 0 <= values["waiting"] <= 1


@pytest.mark.parametrize("choice", ["none", "all"])
def test_recomputed_activations_change_no_weight(
    mixture: Mixture, tmp_path: Path, choice: str
) -> None:
    train(config(mixture, tmp_path / "vision", "adapter.rank=4", steps=2))
    train(config(mixture, tmp_path / choice, "adapter.rank=4", f"recompute={choice}", steps=2))
    assert_same_weights(tmp_path / "vision", tmp_path / choice)


@pytest.mark.parametrize(("changes", "upscale"), [((), 2.0), (("upscale=published",), "published")])
def test_small_images_are_scaled_as_the_mixture_counted_them_unless_said(
    tmp_path: Path, changes: tuple[str, ...], upscale: Any
) -> None:
    counted = write_mixture(tmp_path, mixed_rows(10), upscale={"up_to": 2})
    settings = config(counted, tmp_path / "run", *changes)
    assert run.loader_settings(settings, counted, IDEFICS3_8B).upscale == upscale


@pytest.mark.slow
def test_compiled_layers_train_as_those_that_are_not(mixture: Mixture, tmp_path: Path) -> None:
    # Compiled, dropout draws other numbers.
    more = ("adapter.rank=4", "adapter.dropout=0", "recompute=all")
    train(config(mixture, tmp_path / "plain", *more, steps=2))
    train(config(mixture, tmp_path / "compiled", *more, "compile=true", steps=2))
    ours, theirs = (
        [line["loss"] for line in read_metrics(tmp_path / name / "metrics.jsonl")]
        for name in ("plain", "compiled")
    )
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_a_model_knows_the_mixtures_of_all_runs_before_it(mixture: Mixture, tmp_path: Path) -> None:
    """Also after it resumed, and when the run that it started from is trained on something else."""
    other = write_mixture(tmp_path / "other", mixed_rows(40))
    first, second = tmp_path / "first", tmp_path / "second"
    train(config(other, first, steps=1, exclude=("words",)))
    settings = config(mixture, second, "longest_edge=224", steps=2, model=str(first / "model"))
    train(settings, StopAfter(3))
    train(settings)
    shutil.rmtree(first)
    train(config(mixture, first, steps=1))
    fingerprints = [at.manifest.fingerprint for at in (other, mixture)]
    for model in (second, second / "model", shutil.copytree(second / "model", tmp_path / "copy")):
        found = lineage_of(str(model))
        assert found is not None
        assert found.base is None
        assert [training.fingerprint for training in found.trainings] == fingerprints
        assert [training.exclude for training in found.trainings] == [("words",), ()]
