"""`cauldron rate`: the turns of finished corpora, rated by models.

Ratings are tables beside a corpus, ``OUT/ratings/<source>/<fingerprint>/``, in the order of its
parts. Answers are kept as they arrive (``OUT/answers/``), so a run that was killed, or stopped at a
limit, goes on where it was and pays for no question twice.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.fingerprints import fingerprint
from cauldron.core.names import did_you_mean
from cauldron.core.output.manifests import (
    CorpusManifest,
    RatingCounts,
    RatingManifest,
    RowFile,
    corpus_folder,
    ratings_folder,
    read_manifest,
)
from cauldron.core.output.markers import missing
from cauldron.core.progress import Say, Track
from cauldron.core.sections.ratings import RatingRules
from cauldron.pipeline.corpora import BuildOptions, plan_corpora
from cauldron.pipeline.fetch import with_finished_fetches
from cauldron.pipeline.runners.options import check_arguments, check_reach
from cauldron.pipeline.runners.runner import Job, Launcher
from cauldron.pipeline.runners.watch import beside
from cauldron.pipeline.step import Step, make_steps
from cauldron.recipe import Recipe
from cauldron.transforms.models.budget import Limits, spent_folder
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.store import answers_folder, count_kept
from cauldron.transforms.ratings.pipeline import AskForRatings, RateJob, RatePart, WriteRatings
from cauldron.transforms.ratings.prompts import RATING_VERSION

_TELL_SECONDS = 30.0


class LimitReached(CauldronError):  # noqa: N818 - a state, not a fault
    """A limit that the user set was reached: the run ends, another one goes on."""

    exit_code = 0


@dataclass(frozen=True)
class RateOptions:
    """What the user asked for.

    Attributes:
        text, vision: the endpoints of the recipe's models.
        root, limit: as in the build; they decide which corpora are the recipe's.
        share: of each source's rows, 0 to 1.
        beam_args: options for Beam, as typed.
        shared_folders: remote workers see this machine's folders, on a network file system.
    """

    recipe: Recipe
    output: str
    text: Endpoint | None
    vision: Endpoint | None
    root: str | None = None
    limit: int = -1
    share: float = 1.0
    limits: Limits = field(default_factory=Limits)
    beam_args: tuple[str, ...] = ()
    shared_folders: bool = False


def rate(options: RateOptions, say: Say, track: Track | None = None) -> list[RatingManifest]:
    """The ratings of all sources that the recipe has rated; those that are missing are made.

    Raises:
        UsageError: the recipe names no model, or a source without a finished corpus.
        EndpointError: an endpoint is down or misconfigured.
        LimitReached: the run has used up its requests or its dollars.
    """
    rules = rating_rules(options.recipe)
    check_arguments(options.beam_args)
    places = {"output": options.output, "root": options.root}
    check_reach(options.beam_args, places, options.shared_folders)
    corpora = _corpora(options)
    steps = {
        source: Step(
            kind=RatingManifest,
            folder=ratings_folder(options.output, source, digest),
            fingerprint=digest,
        )
        for source, corpus in corpora.items()
        for digest in [rating_fingerprint(corpus.fingerprint, rules, options.share)]
    }
    launcher = Launcher(options.beam_args, say, track, output=options.output)

    def build(sources: list[str]) -> list[RatingManifest]:
        todo = {source: corpora[source] for source in sources}
        folders = {source: steps[source].folder for source in sources}
        return _rate(todo, folders, options, launcher)

    return list(make_steps("rate", steps, build, say).values())


def rating_rules(recipe: Recipe) -> RatingRules:
    if recipe.ratings is None:
        raise UsageError(
            f"recipe {recipe.name} names no model that rates; add "
            "`ratings: {text: {name: MODEL}}` to it"
        )
    return recipe.ratings


def rating_fingerprint(corpus: str, rules: RatingRules, share: float = 1.0) -> str:
    """Of the ratings of a corpus. What is kept of it does not matter."""
    models = rules.model_dump(mode="json", include={"text", "vision"})
    return fingerprint({"version": RATING_VERSION, "corpus": corpus, "share": share} | models)


def kept_ratings(
    recipe: Recipe, output: str, corpora: Mapping[str, CorpusManifest]
) -> dict[str, RatingManifest]:
    """The ratings that decide which rows stay, by source; none unless the recipe says `keep`.

    Raises:
        CauldronError: a source is not rated yet.
    """
    rules = recipe.ratings
    if rules is None or not rules.keep:
        return {}
    found = {}
    for source, corpus in corpora.items():
        if recipe.is_rated(source):
            digest = rating_fingerprint(corpus.fingerprint, rules)
            try:
                found[source] = read_manifest(
                    RatingManifest, ratings_folder(output, source, digest)
                )
            except FileNotFoundError:
                raise CauldronError(
                    f"recipe {recipe.name} keeps rows by their ratings, and {source} has none by "
                    "these models: run `cauldron rate`, then build again"
                ) from None
    return found


def _corpora(options: RateOptions) -> dict[str, CorpusManifest]:
    """The finished corpora to rate, by source, in the order of the recipe."""
    recipe = options.recipe
    of_build = BuildOptions(
        recipe, (), options.root, options.output, options.limit, skip_unavailable=True
    )
    wanted = rating_rules(recipe).sources or tuple(of_build.sources)
    unmixed = [source for source in wanted if source not in of_build.sources]
    if unmixed:
        hint = did_you_mean(unmixed[0], of_build.sources)
        raise UsageError(f"ratings.sources: no stage of {recipe.name} mixes {unmixed[0]}{hint}")
    corpora = with_finished_fetches(plan_corpora(of_build)[0], options.output)
    planned = {corpus.source.name: corpus for corpus in corpora}
    finished = {name: planned[name].finished() for name in wanted if name in planned}
    found = {name: manifest for name, manifest in finished.items() if manifest is not None}
    absent = [name for name in wanted if name not in found]
    if absent and (rating_rules(recipe).sources or not found):
        raise UsageError(
            f"{options.output} has no corpus of {absent[0]} by this recipe; build it first, and "
            "give the same --root and --limit here"
        )
    return found


def _rate(
    corpora: dict[str, CorpusManifest],
    folders: dict[str, str],
    options: RateOptions,
    launcher: Launcher,
) -> list[RatingManifest]:
    parts = _parts(corpora, folders, options.output)
    markers = [part.marker for part in parts]
    todo = [parts[number] for number in missing(markers)]
    answers = answers_folder(options.output)
    job = RateJob(options.text, options.vision, answers, options.limits, options.share)
    if todo:
        # The number of a part is its place in this list.
        todo = [part._replace(number=number) for number, part in enumerate(todo)]
        about = f"{len(todo)} parts of {len({part.source for part in todo})} sources"
        try:
            # The endpoint is the bottleneck: one process holds all requests in flight (size 0).
            ask = AskForRatings(job, todo)
            with _answers_told(answers, launcher.say):
                launcher.submit(Job("rate", "rate-ask", f"{about}: ask", todo, ask, 0))
            write = WriteRatings(job)
            launcher.submit(Job("rate", "rate-write", f"{about}: write", todo, write, 0, markers))
        finally:
            storage.remove(spent_folder(answers, options.limits))
    if left := len(missing(markers)):
        raise LimitReached(
            f"the limit of requests or cost is reached, {len(parts) - left} of {len(parts)} parts "
            "are rated; all answers are kept: run it again to go on"
        )
    return [_manifest(source, corpora[source], folders[source], options) for source in corpora]


@contextlib.contextmanager
def _answers_told(answers: str, say: Say) -> Iterator[None]:
    """Tell every half a minute how many answers there are since."""
    before = count_kept(answers)

    def watch(stop: threading.Event) -> None:
        while not stop.wait(_TELL_SECONDS):
            say(f"rate: {count_kept(answers) - before:,} answers")

    with beside(watch):
        yield


def _parts(
    corpora: dict[str, CorpusManifest], folders: dict[str, str], output: str
) -> list[RatePart]:
    parts: list[RatePart] = []
    for source, corpus in corpora.items():
        folder = corpus_folder(output, source, corpus.fingerprint)
        for part in corpus.parts:
            name, total = part.parquet.name, len(corpus.parts)
            parts.append(RatePart(0, source, folder, name, folders[source], part.part, total))
    return parts


def _manifest(
    source: str, corpus: CorpusManifest, folder: str, options: RateOptions
) -> RatingManifest:
    parts = _parts({source: corpus}, {source: folder}, options.output)
    marks = [storage.read_json(part.marker) for part in parts]
    rules = rating_rules(options.recipe)
    nothing = RatingCounts(ratings={}, rows=0, tokens_in=0, tokens_out=0)
    return RatingManifest(
        source=source,
        fingerprint=folder.rpartition("/")[2],
        corpus=corpus.fingerprint,
        text=rules.text,
        vision=rules.vision,
        share=options.share,
        parts=[RowFile(**mark["file"]) for mark in marks],
        counts=reduce(add, (RatingCounts(**mark["counts"]) for mark in marks), nothing),
    )


def cost_of_whole(manifests: Sequence[RatingManifest], limits: Limits) -> float:
    """Dollars that rating all rows costs, from what the rated rows cost. An upper estimate: equal
    questions are paid for once."""
    return sum(
        limits.price.of(item.counts.tokens_in, item.counts.tokens_out) / item.share
        for item in manifests
    )
