"""The catalog: every source by name.

To add a source to Cauldron, list it in `BUILT_IN`. Another package adds one by an entry point of
the group ``cauldron.sources`` that names a `Source`, in its pyproject.toml:

    [project.entry-points."cauldron.sources"]
    my_set = "my_package.my_set:SOURCE"

Every process that reads the source finds it in the same way, so the package must also be installed
where workers run (``--extra_package`` on Dataflow).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from cauldron.sources import (
    chartgemma,
    cord_v2,
    docmatix,
    geo170k,
    iiw_400,
    laion_coco,
    lnqa,
    localized_narratives,
    obelics,
    pdfa,
    pixelprose,
    rendered_text,
    sharegpt_4o,
    text_only,
    the_cauldron,
    websight,
)
from cauldron.sources.base import Source

from cauldron.core.errors import UsageError, first_line

ENTRY_POINTS = "cauldron.sources"

# In the order of the mixture's description, which tables and manifests follow.
BUILT_IN: tuple[Source, ...] = (
    *the_cauldron.SOURCES,
    cord_v2.SOURCE,
    lnqa.SOURCE,
    sharegpt_4o.SOURCE,
    iiw_400.SOURCE,
    geo170k.SOURCE,
    docmatix.SOURCE,
    *text_only.SOURCES,
    # Pre-training, in the order of the stages.
    obelics.SOURCE,
    *laion_coco.SOURCES,
    pdfa.SOURCE,
    rendered_text.SOURCE,
    websight.SOURCE,
    localized_narratives.SOURCE,
    pixelprose.SOURCE,
    chartgemma.SOURCE,
)


@functools.cache
def registry() -> Mapping[str, Source]:
    """Every source by name: the built-in ones, then those of entry points by entry point name.

    Raises:
        UsageError: an entry point that cannot be imported, is not a `Source`, or has a name that
            is taken.
    """
    known = {source.name: source for source in BUILT_IN}
    for point in sorted(entry_points(group=ENTRY_POINTS)):
        source = _loaded(point)
        if source.name in known:
            raise _refused(point, f"the name {source.name!r} is taken")
        known[source.name] = source
    return known


def _loaded(point: EntryPoint) -> Source:
    try:
        source = point.load()
    except Exception as error:
        why = f"cannot be imported ({type(error).__name__}: {first_line(error)})"
        raise _refused(point, why) from error
    if not isinstance(source, Source):
        raise _refused(point, f"is of type {type(source).__name__}, not a Source")
    return source


def _refused(point: EntryPoint, why: str) -> UsageError:
    package = point.dist.name if point.dist else "?"
    where = f"entry point {point.name} = {point.value} of {package}"
    return UsageError(f"{where}: {why}; correct it, or run `pip uninstall {package}`")
