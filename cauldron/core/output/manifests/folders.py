"""The paths of the folders of an output."""

from __future__ import annotations

from cauldron.core import storage


def corpus_folder(out: str, source: str, fingerprint: str) -> str:
    return storage.join(out, "corpus", source, fingerprint)


def quarantine_folder(out: str, source: str, fingerprint: str) -> str:
    return storage.join(out, "quarantine", source, fingerprint)


def curation_folder(out: str, fingerprint: str) -> str:
    return storage.join(out, "curation", fingerprint)


def match_folder(out: str, fingerprint: str) -> str:
    return storage.join(out, "matches", fingerprint)


def benchmark_folder(out: str, name: str, fingerprint: str) -> str:
    return storage.join(out, "benchmarks", name, fingerprint)


def ratings_folder(out: str, source: str, fingerprint: str) -> str:
    return storage.join(out, "ratings", source, fingerprint)


def mixture_folder(out: str, recipe: str, stage: str) -> str:
    return storage.join(out, "mixtures", recipe, stage)
