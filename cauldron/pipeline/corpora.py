"""Which corpora a build needs: their sources found, their settings fingerprinted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import PIL
import pyarrow

from cauldron.core import storage
from cauldron.core.errors import CauldronError, SourceUnavailable, UsageError
from cauldron.core.fingerprints import file_digest, fingerprint
from cauldron.core.names import did_you_mean
from cauldron.core.output.compact import CompactList
from cauldron.core.output.manifests import (
    CorpusManifest,
    Unavailable,
    corpus_folder,
    quarantine_folder,
)
from cauldron.pipeline.runners.remote.workers import check_token
from cauldron.pipeline.step import Step
from cauldron.recipe import Recipe
from cauldron.sources.base import PIECE_BYTES, Source
from cauldron.sources.catalog import registry
from cauldron.sources.licenses import refused
from cauldron.sources.repos.files import FileInfo, Repo, Root
from cauldron.sources.repos.roots import open_root
from cauldron.transforms.fetching.images import Fetched
from cauldron.transforms.ingest import INGEST_VERSION, SourceJob
from cauldron.transforms.language import TextClassifier, default_model_path
from cauldron.transforms.normalise import SourceSettings
from cauldron.transforms.tokens import counter_fingerprint, token_counter

# What is known of repositories, by id and revision.
Repos = dict[tuple[str, str | None], Repo | SourceUnavailable]


@dataclass(frozen=True)
class BuildOptions:
    """What the user asked for.

    Attributes:
        stages: empty for all stages of the recipe.
        root: where sources live; None for the hub.
        limit: rows to read of each source, -1 for all. Of a source with a limit in the recipe the
            smaller one holds.
        skip_disk_check: go on although the disk seems too small.
        beam_args: options for Beam, as typed.
        shared_folders: remote workers see this machine's folders, on a network file system.
        few_jobs: see `cauldron.pipeline.runners.runner.Launcher`.
        refetch: ask again for images by URL: those that failed, or all.
    """

    recipe: Recipe
    stages: tuple[str, ...]
    root: str | None
    output: str
    limit: int = -1
    skip_unavailable: bool = False
    skip_disk_check: bool = False
    beam_args: tuple[str, ...] = ()
    shared_folders: bool = False
    few_jobs: bool | None = None
    refetch: Literal["failed", "all"] | None = None

    @property
    def sources(self) -> list[str]:
        """Of these stages, each once."""
        stages = [self.recipe.stage(name) for name in self.stages or self.recipe.stages]
        return list(dict.fromkeys(source for stage in stages for source in stage.mixture))


@dataclass(frozen=True, kw_only=True)
class PlannedCorpus(Step[CorpusManifest]):
    """One source of a build: where it is read from and where its corpus goes.

    Attributes:
        limit: rows to read, -1 for all.
        fetched: the images of a source by URL, once they are there.
    """

    kind: type[CorpusManifest] = CorpusManifest
    source: Source
    repo: Repo
    files: Sequence[FileInfo]
    settings: SourceSettings
    revision: str | None
    limit: int = -1
    fetched: Fetched | None = None

    @property
    def quarantine(self) -> str:
        return self.beside[0]

    def job(self, root: str | None) -> SourceJob:
        return SourceJob(
            settings=self.settings,
            root=root,
            commit=self.repo.commit,
            corpus=self.folder,
            quarantine=self.quarantine,
            fetched=self.fetched,
        )


def plan_corpora(options: BuildOptions) -> tuple[list[PlannedCorpus], list[Unavailable]]:
    """Find every source and fingerprint its corpus.

    Returns:
        the sources to build, in the order of the recipe; then those that cannot be read and those
        whose licence the recipe does not allow.

    Raises:
        UsageError: the recipe names an unknown source.
        CauldronError: a source is unavailable and `skip_unavailable` is off.
        UsageError: workers have no token for a source that is not for everybody.
    """
    known = registry()
    unknown = [name for name in (*options.sources, *options.recipe.sources) if name not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known) or "; see `cauldron sources`"
        raise UsageError(f"no such source: {', '.join(unknown)}{hint}")
    unlicensed = refused(options.sources, options.recipe.licenses.allow, known)
    _check_models(options.recipe)
    root = open_root(options.root)
    repos: Repos = {}
    planned: list[PlannedCorpus] = []
    missing: list[Unavailable] = []
    for name in options.sources:
        if name in unlicensed:
            continue
        try:
            planned.append(_plan(known[name], root, repos, options))
        except SourceUnavailable as error:
            missing.append(Unavailable(source=name, why=error.why, remedy=error.remedy))
    if missing and not options.skip_unavailable:
        raise CauldronError(
            f"{len(missing)} of {len(options.sources)} sources cannot be read "
            f"(--skip-unavailable builds without them):\n{_reasons(missing)}"
        )
    if not planned:
        place = "licenses.allow" if unlicensed else "--root"
        raise CauldronError(f"none of the sources can be read; is {place} right?")
    check_token(options.beam_args, root.restricted())
    remedy = "add it to licenses.allow"
    return planned, missing + [
        Unavailable(source=name, why=why, remedy=remedy) for name, why in unlicensed.items()
    ]


def _reasons(missing: list[Unavailable]) -> str:
    """A line for each reason, with the sources that it concerns: many lie in one repository."""
    sources: dict[str, list[str]] = {}
    for item in missing:
        sources.setdefault(f"{item.why}; {item.remedy}", []).append(item.source)
    return "\n".join(
        f"  {names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {reason}"
        for reason, names in sources.items()
    )


def check_drops(recipe: Recipe, corpora: Mapping[str, CorpusManifest]) -> None:
    """Raises CauldronError if one rule drops more of a source than the recipe expects."""
    found = [
        f"{reason} drops {rows / corpus.counts.rows_in:.1%} of {name}"
        for name, corpus in corpora.items()
        for reason, rows in corpus.counts.dropped.items()
        # Pictures that the publisher does not ship are no rule's doing.
        if reason != "image_not_shipped"
        and rows > recipe.source(name).expected_drop * corpus.counts.rows_in
    ]
    if found:
        raise CauldronError(
            f"{'; '.join(found)}: change the rule, or say in the recipe that it is meant "
            "(sources: {NAME: {expected_drop: 1}})"
        )


def _check_models(recipe: Recipe) -> None:
    """Load every model once before any work. Raises UsageError for one that fails to load."""
    token_counter(recipe.tokenizer)
    if recipe.language.identify:
        model = TextClassifier(recipe.language.model or default_model_path())
        for code in recipe.language.keep:
            if code not in model.labels:
                hint = did_you_mean(code, model.labels)
                raise UsageError(f"language.keep: {model.path} knows no language {code!r}{hint}")
    for classifier in recipe.classifiers:
        TextClassifier(classifier.model).score("a", classifier.label)


def _plan(source: Source, root: Root, repos: Repos, options: BuildOptions) -> PlannedCorpus:
    revision = options.recipe.source(source.name).revision
    repo = _find_repo(source.repo, revision, root, repos)
    settings = _settings(source, options.recipe)
    files = source.files(repo, settings.options)
    extra = source.extra_files(root, settings.options)
    limit = options.recipe.limit_of(source.name, options.limit)
    digest = fingerprint(
        {
            # Pillow decides the bytes of re-encoded images, pyarrow those of parquet files.
            "version": [INGEST_VERSION, PIECE_BYTES, PIL.__version__, pyarrow.__version__],
            "source": source.name,
            "commit": repo.commit,
            "files": [[file.path, file.size, file.version] for file in [*files, *extra]],
            "settings": _settings_values(settings),
            "limit": limit,
        }
    )
    return PlannedCorpus(
        source=source,
        repo=repo,
        files=CompactList(FileInfo, files),
        settings=settings,
        revision=revision,
        limit=limit,
        fingerprint=digest,
        folder=corpus_folder(options.output, source.name, digest),
        beside=(quarantine_folder(options.output, source.name, digest),),
    )


def _find_repo(name: str, revision: str | None, root: Root, repos: Repos) -> Repo:
    """Looks a repository up once, however many sources it holds. Raises SourceUnavailable."""
    key = (name, revision)
    if key not in repos:
        try:
            repos[key] = root.repo(*key)
        except SourceUnavailable as error:
            repos[key] = error
    found = repos[key]
    if isinstance(found, SourceUnavailable):
        raise found
    return found


def _settings(source: Source, recipe: Recipe) -> SourceSettings:
    return SourceSettings(
        source=source.name,
        license=source.license,
        images=recipe.image_rules(source.name),
        text=recipe.text_rules(source.name),
        language=recipe.language,
        classifiers=recipe.classifiers,
        tokenizer=recipe.tokenizer,
        options=dict(source.default_options) | recipe.source(source.name).options,
        dialogue=source.dialogue,
    )


def _settings_values(settings: SourceSettings) -> dict[str, Any]:
    """Settings as plain values; models by their content, not by their path."""
    rules = settings.language
    return {
        "license": settings.license,
        "dialogue": settings.dialogue,
        "images": settings.images.model_dump(),
        "text": settings.text.model_dump(),
        "options": dict(settings.options),
        "language": rules.model_dump(exclude={"model"}),
        "language_model": _model_digest(rules.model) if rules.identify else None,
        "classifiers": [
            item.model_dump(exclude={"model"}) | {"model": _model_digest(item.model)}
            for item in settings.classifiers
        ],
        "tokenizer": _counter_fingerprint(settings.tokenizer),
    }


# A build asks for the same few files once for every source.
_counter_fingerprint = lru_cache(maxsize=32)(counter_fingerprint)


@lru_cache(maxsize=32)
def _model_digest(path: str | None) -> str:
    """Digest of a model file; a hub id is returned as it is."""
    path = path or default_model_path()
    return file_digest(path) if storage.exists(path) else path
