"""Which finished curation a build of a recipe's stage would use."""

from __future__ import annotations

from collections.abc import Sequence

from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CurationManifest
from cauldron.core.reviews import read_reviews, reviews_digest
from cauldron.recipe import Recipe


def curation_of(
    recipe: Recipe, stage: str, allowed: Sequence[str], found: Finished
) -> CurationManifest | None:
    """The newest curation that a build of the stage made, or would use; None if there is none.

    Args:
        allowed: the stage's sources whose licence the recipe allows.
    """
    newest = sorted(found.curations, key=lambda name: (-found.modified[f"curation/{name}"], name))
    return next(
        (
            found.curations[name]
            for name in newest
            if _fits(found.curations[name], recipe, stage, allowed, found)
        ),
        None,
    )


def _fits(
    curation: CurationManifest,
    recipe: Recipe,
    stage: str,
    allowed: Sequence[str],
    found: Finished,
) -> bool:
    held = curation.corpora
    read = [name for name in allowed if name in held]
    if not read or any((name, held[name]) not in found.corpora for name in held):
        return False
    if any(name in found.current and name not in held for name in allowed):
        return False  # a corpus that was added since
    rules, benchmarks = recipe.duplicate_rules(stage), recipe.against.benchmarks
    reviews = read_reviews(rules.reviews) if rules and rules.reviews else ()
    if curation.reviews_digest != (reviews_digest(reviews) if reviews else None):
        return False
    if (curation.recoloured is not None) != bool(rules and rules.other_colours):
        return False
    if (curation.rerendered is not None) != bool(rules and rules.other_rendering):
        return False
    if set(curation.benchmarks) != set(benchmarks):
        return False
    if rules is None and not benchmarks:
        return curation.matches is None
    matches = found.matches.get(curation.matches or "")
    if matches is None or curation.priority != read:
        return False
    if rules is None:
        return curation.action is None
    same = ("radius", "radius256", "aspect", "neighbours")
    decided = ("action", "conflicts", "max_documents")
    return all(getattr(curation, name) == getattr(rules, name) for name in decided) and all(
        getattr(matches, name) == getattr(rules, name) for name in same
    )
