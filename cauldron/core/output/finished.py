"""The finished contents of an output folder, found by their manifests."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.manifests import (
    MANIFEST,
    CorpusManifest,
    CurationManifest,
    MatchManifest,
    MixtureManifest,
    RatingManifest,
    benchmark_folder,
    corpus_folder,
    curation_folder,
    match_folder,
    ratings_folder,
    read_manifest,
)


@dataclass(frozen=True)
class Finished:
    """Everything in an output folder that has a manifest.

    Attributes:
        mixtures: by (recipe, stage).
        corpora: by (source, fingerprint).
        curations: by fingerprint.
        benchmarks: by (name, fingerprint).
        matches: by fingerprint.
        ratings: by (source, fingerprint).
        modified: time of each manifest, by folder, in seconds since the epoch. Decides only what
            is shown, never data.
    """

    out: str
    mixtures: dict[tuple[str, str], MixtureManifest]
    corpora: dict[tuple[str, str], CorpusManifest]
    curations: dict[str, CurationManifest]
    modified: dict[str, float]
    benchmarks: dict[tuple[str, str], CorpusManifest] = field(default_factory=dict)
    matches: dict[str, MatchManifest] = field(default_factory=dict)
    ratings: dict[tuple[str, str], RatingManifest] = field(default_factory=dict)

    @cached_property
    def current(self) -> dict[str, tuple[str, str | None]]:
        """The current corpus fingerprint of each source, and the curation that covers it, if any.

        Corpora of older settings stay on disk as a cache. The current one is the corpus in the
        newest mixture with this source; if there is none, the newest curated corpus; else the
        newest corpus.
        """
        chosen: dict[str, tuple[str, str | None]] = {}
        places = {storage.join(*mixture): mixture for mixture in self.mixtures}
        for place in self._newest_first("mixtures", places):
            manifest = self.mixtures[places[place]]
            self._choose(chosen, manifest.corpora, manifest.curation)
        for curation in self._newest_first("curation", self.curations):
            self._choose(chosen, self.curations[curation].corpora, curation)
        folders = {storage.join(*corpus): corpus for corpus in self.corpora}
        for folder in self._newest_first("corpus", folders):
            source, fingerprint = folders[folder]
            self._choose(chosen, {source: fingerprint}, None)
        return dict(sorted(chosen.items()))

    @cached_property
    def current_benchmarks(self) -> dict[str, str]:
        """The current fingerprint of each benchmark: in the current curations, else the newest."""
        curations = [curation for _, curation in self.current.values() if curation is not None]
        chosen: dict[str, str] = {}
        for curation in dict.fromkeys(
            [*curations, *self._newest_first("curation", self.curations)]
        ):
            for name, fingerprint in self.curations[curation].benchmarks.items():
                if (name, fingerprint) in self.benchmarks:
                    chosen.setdefault(name, fingerprint)
        folders = {storage.join(*key): key for key in self.benchmarks}
        for folder in self._newest_first("benchmarks", folders):
            chosen.setdefault(*folders[folder])
        return dict(sorted(chosen.items()))

    @cached_property
    def current_ratings(self) -> list[RatingManifest]:
        """The ratings of current corpora; of several by the same models, those of most rows."""
        chosen: dict[str, RatingManifest] = {}
        for _, ratings in sorted(self.ratings.items()):
            if self.current.get(ratings.source, ("", None))[0] == ratings.corpus:
                models = ratings.model_dump_json(include={"source", "text", "vision"})
                if models not in chosen or chosen[models].share < ratings.share:
                    chosen[models] = ratings
        return list(chosen.values())

    def _choose(
        self,
        chosen: dict[str, tuple[str, str | None]],
        corpora: dict[str, str],
        curation: str | None,
    ) -> None:
        for source, fingerprint in corpora.items():
            if source not in chosen and (source, fingerprint) in self.corpora:
                decided = curation if curation in self.curations else None
                chosen[source] = (fingerprint, decided)

    def _newest_first(self, kind: str, names: dict[str, Any]) -> list[str]:
        return sorted(names, key=lambda name: (-self.modified[f"{kind}/{name}"], name))


def find_finished(out: str) -> Finished:
    """Read every manifest below an output folder.

    Raises:
        CauldronError: a manifest is invalid, or is not in the folder that it names.
    """
    found = Finished(out, {}, {}, {}, {})
    fs, root = storage.filesystem(out)
    fs.invalidate_cache()
    for kind in ("corpus", "benchmarks", "ratings", "matches", "curation", "mixtures"):
        for path in sorted(fs.find(storage.join(root, kind))):
            folder, _, name = path.removeprefix(root.rstrip("/") + "/").rpartition("/")
            if name == MANIFEST:
                found.modified[folder] = fs.modified(path).timestamp()
                _add(found, kind, folder)
    return found


def _add(found: Finished, kind: str, folder: str) -> None:
    path = storage.join(found.out, folder)
    if kind in ("corpus", "benchmarks"):
        corpus = read_manifest(CorpusManifest, path)
        key = corpus.source, corpus.fingerprint
        (found.corpora if kind == "corpus" else found.benchmarks)[key] = corpus
        said = (corpus_folder if kind == "corpus" else benchmark_folder)("", *key)
    elif kind == "ratings":
        ratings = read_manifest(RatingManifest, path)
        found.ratings[ratings.source, ratings.fingerprint] = ratings
        said = ratings_folder("", ratings.source, ratings.fingerprint)
    elif kind == "matches":
        matches = read_manifest(MatchManifest, path)
        found.matches[matches.fingerprint] = matches
        said = match_folder("", matches.fingerprint)
    elif kind == "curation":
        curation = read_manifest(CurationManifest, path)
        found.curations[curation.fingerprint] = curation
        said = curation_folder("", curation.fingerprint)
    else:
        mixture = read_manifest(MixtureManifest, path)
        found.mixtures[mixture.recipe_name, mixture.stage] = mixture
        said = mixture.folder
    if said.strip("/") != folder:
        raise CauldronError(f"{path}/{MANIFEST} describes {said.strip('/')}: move it back there")
