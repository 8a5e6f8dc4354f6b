"""``cauldron eval``: predictions of a model, then scores of all predictions in the folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cauldron.core import storage
from cauldron.core.errors import CauldronError, SourceUnavailable, UsageError
from cauldron.core.generation import Share
from cauldron.core.names import did_you_mean
from cauldron.core.output.evaluations import EVALUATIONS, EvaluationManifest, Mean
from cauldron.core.output.manifests import MANIFEST
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS
from cauldron.evaluate.engines import Choice, choose, header_of, opened, title_of
from cauldron.evaluate.items.read import read_items
from cauldron.evaluate.predictions.files import (
    PredictionWriter,
    check_header,
    predicted,
    read_header,
    read_predictions,
)
from cauldron.evaluate.predictions.predict import Progress, count_items, predict
from cauldron.evaluate.scores.contamination import TrainingData, training_data
from cauldron.evaluate.scores.extractor import NOTHING, extract
from cauldron.evaluate.scores.intervals import Interval, interval, paired_difference
from cauldron.evaluate.scores.scoring import mean_of, score_benchmark, unit_scores, write_items
from cauldron.transforms.models.endpoint import Endpoint

Say = Callable[[str], None]


@dataclass(frozen=True)
class EvalOptions:
    """The command line's options.

    Attributes:
        benchmarks: () for all that are there.
        root: where benchmarks are read from; None for the hub.
        limit: the first items of each benchmark.
        engine: None: an endpoint for an address, else transformers.
        output: of the evaluation; None: ``OUT/evaluations/<model>``.
        batch: questions at once.
        model_name: at the endpoint.
        extractor: the model that finds answers in texts; None: rules do.
        key_from: where the endpoint's key is; None: in ``CAULDRON_API_KEY``, if it is set.
        score_only: score the predictions that are there.
        known_as: the model as given, if `model` is a copy of it on this machine.
        sent: called after each benchmark.
    """

    model: str
    out: str
    benchmarks: tuple[str, ...] = ()
    root: str | None = None
    limit: int | None = None
    engine: str | None = None
    output: str | None = None
    batch: int = 8
    model_name: str | None = None
    key_from: str | None = None
    extractor: Endpoint | None = None
    score_only: bool = False
    known_as: str | None = None
    sent: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Launch:
    """This process among those of torchrun.

    Attributes:
        wait: returns when all of them have called it.
    """

    rank: int
    world: int
    wait: Callable[[], None]


def evaluate(options: EvalOptions, say: Say) -> tuple[Path, EvaluationManifest] | None:
    """Predict what is missing, then score. Returns the folder and its scores; None on ranks other
    than the first, which does not score.

    Raises:
        UsageError: an option is wrong, or the folder holds predictions of another model.
        CauldronError: the model or a benchmark cannot be read; what was predicted is kept.
    """
    check_names(options.benchmarks)
    choice = choose(
        options.model, options.engine, options.batch, options.model_name, options.key_from
    )
    folder = Path(options.output or storage.join(options.out, EVALUATIONS, title_of(choice)))
    if options.score_only:
        return folder, score(folder, options.model, say, options.extractor)
    with _launched(say) as launch:
        asked = _predict_all(options, choice, folder, launch, say if launch.rank == 0 else _silent)
        launch.wait()
        if launch.rank:
            return None
        for name in asked:
            _check_answered(folder, name, say)
        return folder, score(folder, options.model, say, options.extractor)


def _silent(line: str) -> None:
    """Only the first rank speaks."""


def check_names(names: tuple[str, ...]) -> None:
    """Raises UsageError for an unknown benchmark."""
    for name in names:
        if name not in BENCHMARKS:
            near = did_you_mean(name, BENCHMARKS) or f"; there are: {', '.join(BENCHMARKS)}"
            raise UsageError(f"no benchmark {name!r}{near}")


@contextmanager
def _launched(say: Say) -> Iterator[Launch]:
    """Joins the processes of torchrun, if there are any. A failure of one ends all of them."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Launch(0, 1, lambda: None)
        return
    from cauldron.training.generation import joined

    with joined(say) as ranks:
        yield Launch(ranks.rank, ranks.world, ranks.wait)


def _predict_all(
    options: EvalOptions, choice: Choice, folder: Path, launch: Launch, say: Say
) -> list[str]:
    """The names of the benchmarks whose items were asked."""
    header = header_of(choice, options.root)
    if options.known_as is not None:
        header = header.model_copy(update={"model": options.known_as})
    check_header(folder, header)
    totals = _totals(options, say)
    with opened(choice, folder) as engine:
        for name, total in totals.items():
            benchmark = BENCHMARKS[name]
            records = read_predictions(folder, name)
            done = {index for index, record in records.items() if record.is_final}
            if done:
                say(f"{benchmark.title}: {len(done):,} items are answered already")
            items = islice(read_items(name, options.root), options.limit)
            share = Share(launch.rank, launch.world)
            progress = Progress(benchmark.title, total, launch.world, say)
            with PredictionWriter(folder, name, header, launch.rank) as writer:
                predict(benchmark, items, engine, writer, options.batch, share, done, progress)
            if launch.rank == 0:
                options.sent()
    return list(totals)


def _check_answered(folder: Path, name: str, say: Say) -> None:
    """Say which items the model's server failed on.

    Raises:
        CauldronError: it failed on all of a benchmark's items, so the fault is not in an item.
    """
    records = read_predictions(folder, name).values()
    failed = [record for record in records if not record.is_final]
    if not failed:
        return
    title, again = BENCHMARKS[name].title, "the same command asks again"
    if all(record.text is None for record in records):
        raise CauldronError(
            f"{title}: the model's server answers none of {len(failed):,} questions "
            f"({failed[0].message}); {again}"
        )
    say(f"{title}: the model's server fails on {len(failed):,} of {len(records):,} items; {again}")


def _totals(options: EvalOptions, say: Say) -> Mapping[str, int | None]:
    """The number of items of each benchmark. Without names, those that are not there are skipped.

    Raises:
        SourceUnavailable: a benchmark that was named is not there.
        CauldronError: none is there.
    """
    found: dict[str, int | None] = {}
    for name in options.benchmarks or BENCHMARKS:
        try:
            found[name] = count_items(BENCHMARKS[name], options.root, options.limit)
        except SourceUnavailable as error:
            if options.benchmarks:
                raise
            say(f"{name} is skipped: {error}")
    if not found:
        raise CauldronError(
            f"no benchmark is there; give --root FOLDER with one, such as FOLDER/"
            f"{BENCHMARKS['mmmu'].layout.repo}"
        )
    return found


def score(
    folder: Path, model: str, say: Say, extractor: Endpoint | None = None
) -> EvaluationManifest:
    """Score all predictions of a folder, and write items and manifest.

    Raises:
        UsageError: there are no predictions.
        CauldronError: the extractor does not answer; what it said is kept.
    """
    header = read_header(folder)
    data = _training_data(model, say)
    results = {}
    for name in predicted(folder):
        if name not in BENCHMARKS:
            continue
        records = read_predictions(folder, name).values()
        shown = data.shown(name) if data is not None else None
        found = NOTHING
        if extractor is not None:
            found = extract(BENCHMARKS[name], records, extractor, folder, say)
        results[name] = score_benchmark(BENCHMARKS[name], records, shown, found)
        write_items(folder, BENCHMARKS[name], records, header, shown, found)
    manifest = EvaluationManifest(
        model=header.model, weights=header.weights, engine=header.engine, results=results
    )
    storage.write_json(str(folder / MANIFEST), manifest.model_dump(mode="json"))
    return manifest


def _training_data(model: str, say: Say) -> TrainingData | None:
    try:
        return training_data(model, say)
    except CauldronError as error:
        say(f"contamination is not known: {error}")
        return None


def differences(folder: Path, other: Path) -> dict[str, Interval]:
    """How much higher the scores of `folder` are than those of `other`, by benchmark.

    Raises:
        UsageError: they have no benchmark or no item in common.
    """
    read_header(other)
    shared = [name for name in BENCHMARKS if name in {*predicted(folder)} & {*predicted(other)}]
    if not shared:
        raise UsageError(f"{folder} and {other} have no benchmark in common")
    return {
        name: paired_difference(unit_scores(other, name), unit_scores(folder, name))
        for name in shared
    }


def docvqa_of(folder: Path) -> tuple[str, Mean]:
    """The model of an evaluation and its DocVQA score.

    Raises:
        UsageError: DocVQA was not evaluated.
    """
    header = read_header(folder)
    scores = unit_scores(folder, "docvqa") if "docvqa" in predicted(folder) else {}
    if not scores:
        raise UsageError(f"{folder} has no DocVQA; run `cauldron eval MODEL --benchmark docvqa`")
    return header.model, mean_of(interval(list(scores.values())))
