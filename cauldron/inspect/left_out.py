"""What a mixture does not have of its sources: rows past a limit, images left out of documents."""

from __future__ import annotations

from cauldron.core.output.manifests import MixtureManifest, SourceInMixture

# The reason of images in too many documents; `SourceInMixture.counts` has their number.
REPEATED = "repeated_images"


def limits_told(manifest: MixtureManifest) -> dict[str, str]:
    """By source that has a limit: how many rows it is, were read, and were published."""
    return {
        name: _limit_told(source)
        for name, source in sorted(manifest.sources.items())
        if source.limit >= 0
    }


def repeated(manifest: MixtureManifest) -> list[str]:
    """The sources whose limit in the recipe is too small for what the stage takes of them.

    Passes that the recipe asks for in epochs repeat rows under any limit.
    """
    own = manifest.recipe.get("sources", {})
    portions = manifest.recipe.get("stages", {}).get(manifest.stage, {}).get("mixture", {})
    return [
        name
        for name, source in sorted(manifest.sources.items())
        if source.epochs > 1
        and 0 <= source.limit == own.get(name, {}).get("limit")
        and portions.get(name, {}).get("epochs") is None
    ]


def _limit_told(source: SourceInMixture) -> str:
    told = f"the first {source.counts.rows_in:,} rows were read, of {source.limit:,} at most"
    if source.rows_published is not None:
        told += f"; {source.rows_published:,} are published"
    if source.epochs > 1 and source.share_asked:
        told += f"; they are passed over {source.epochs:.2f} times"
    return told


def images_left_out(manifest: MixtureManifest) -> dict[str, dict[str, int]]:
    """By source and reason: images that kept documents were published with, and are without."""
    found = {}
    for name, source in sorted(manifest.sources.items()):
        counts = dict(source.counts.images_dropped)
        if source.counts.repeated_images:
            counts[REPEATED] = source.counts.repeated_images
        if counts:
            found[name] = dict(sorted(counts.items()))
    return found
