"""Which corpora a build needs: their sources found, their settings fingerprinted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import PIL
import pyarrow

from cauldron.core import storage
from cauldron.core.errors import CauldronError, SourceUnavailable, UsageError
from cauldron.core.fingerprints import file_digest, fingerprint
from cauldron.core.manifests import (
    CorpusManifest,
    Unavailable,
    corpus_folder,
    quarantine_folder,
    read_manifest,
)
from cauldron.core.tokenizer import tokenizer_file
from cauldron.recipe import Recipe
from cauldron.sources.base import PIECE_BYTES, Source
from cauldron.sources.catalog import registry
from cauldron.sources.files import FileInfo, Repo, Root
from cauldron.sources.roots import open_root
from cauldron.transforms.ingest import INGEST_VERSION, SourceJob
from cauldron.transforms.language import TextClassifier, default_model_path
from cauldron.transforms.normalise import SourceSettings
from cauldron.transforms.tokens import token_counter


@dataclass(frozen=True)
class Request:
    """What a build asks of ingest."""

    recipe: Recipe
    sources: tuple[str, ...]
    root: str | None
    output: str
    limit: int = -1
    skip_unavailable: bool = False


@dataclass(frozen=True)
class PlannedCorpus:
    """One source of a build: where it is read from and where its corpus goes."""

    source: Source
    repo: Repo
    files: list[FileInfo]
    settings: SourceSettings
    revision: str | None
    fingerprint: str
    folder: str
    quarantine: str

    def finished(self) -> CorpusManifest | None:
        try:
            return read_manifest(CorpusManifest, self.folder)
        except FileNotFoundError:
            return None

    def job(self, root: str | None) -> SourceJob:
        return SourceJob(self.settings, root, self.repo.commit, self.folder, self.quarantine)


def plan_corpora(request: Request) -> tuple[list[PlannedCorpus], list[Unavailable]]:
    """Find every source and fingerprint what it would become.

    Returns:
        the sources that can be read, in the order asked, and those that cannot.

    Raises:
        UsageError: the recipe names a source that nobody knows.
        CauldronError: a source is unavailable and `skip_unavailable` is off.
    """
    known = registry()
    strange = [name for name in (*request.sources, *request.recipe.sources) if name not in known]
    if strange:
        raise UsageError(f"no such source: {', '.join(strange)}; see `cauldron sources`")
    _check_models(request.recipe)
    root = open_root(request.root)
    repos: dict[tuple[str, str | None], Repo | SourceUnavailable] = {}
    planned: list[PlannedCorpus] = []
    missing: list[Unavailable] = []
    for name in request.sources:
        try:
            planned.append(_plan(known[name], root, repos, request))
        except SourceUnavailable as error:
            missing.append(Unavailable(source=name, why=error.why, remedy=error.remedy))
    if missing and not request.skip_unavailable:
        lines = "\n".join(f"  {item.source}: {item.why}; {item.remedy}" for item in missing)
        raise CauldronError(
            f"{len(missing)} of {len(request.sources)} sources cannot be read "
            f"(--skip-unavailable builds without them):\n{lines}"
        )
    if not planned:
        raise CauldronError("none of the sources can be read; is --root right?")
    return planned, missing


def _check_models(recipe: Recipe) -> None:
    """Load every model once before any work. Raises UsageError for one that cannot be used."""
    token_counter(recipe.tokenizer)
    if recipe.language.identify:
        TextClassifier(recipe.language.model or default_model_path())
    for classifier in recipe.classifiers:
        TextClassifier(classifier.model).score("a", classifier.label)


def _plan(
    source: Source,
    root: Root,
    repos: dict[tuple[str, str | None], Repo | SourceUnavailable],
    request: Request,
) -> PlannedCorpus:
    recipe = request.recipe
    revision = recipe.source(source.name).revision
    key = (source.repo, revision)
    if key not in repos:
        try:
            repos[key] = root.repo(*key)
        except SourceUnavailable as error:
            repos[key] = error  # asked once, however many sources a repository holds
    repo = repos[key]
    if isinstance(repo, SourceUnavailable):
        raise repo
    settings = SourceSettings(
        source=source.name,
        license=source.license,
        images=recipe.image_rules(source.name),
        text=recipe.text_rules(source.name),
        language=recipe.language,
        classifiers=recipe.classifiers,
        tokenizer=recipe.tokenizer,
        options=dict(source.default_options) | recipe.source(source.name).options,
    )
    files = source.files(repo, settings.options)
    extra = source.extra_files(root, settings.options)
    print_ = fingerprint(
        {
            # Re-encoded images follow the libraries inside Pillow, files those inside pyarrow.
            "version": [INGEST_VERSION, PIECE_BYTES, PIL.__version__, pyarrow.__version__],
            "source": source.name,
            "commit": repo.commit,
            "files": [[file.path, file.size, file.version] for file in [*files, *extra]],
            "settings": _settings_values(settings),
            "limit": request.limit,
        }
    )
    return PlannedCorpus(
        source=source,
        repo=repo,
        files=files,
        settings=settings,
        revision=revision,
        fingerprint=print_,
        folder=corpus_folder(request.output, source.name, print_),
        quarantine=quarantine_folder(request.output, source.name, print_),
    )


def _settings_values(settings: SourceSettings) -> dict[str, Any]:
    """Settings as plain values, models by their content and not by where they lie."""
    rules = settings.language
    return {
        "license": settings.license,
        "images": settings.images.model_dump(),
        "text": settings.text.model_dump(),
        "options": dict(settings.options),
        "language": rules.model_dump(exclude={"model"}),
        "language_model": _model_digest(rules.model) if rules.identify else None,
        "classifiers": [
            item.model_dump(exclude={"model"}) | {"model": _model_digest(item.model)}
            for item in settings.classifiers
        ],
        "tokenizer": settings.tokenizer and _model_digest(tokenizer_file(settings.tokenizer)),
    }


@lru_cache(maxsize=32)
def _model_digest(path: str | None) -> str:
    """Of a file by content; a hub id stands for itself."""
    path = path or default_model_path()
    return file_digest(path) if storage.exists(path) else path
