"""WebDataset tars: consecutive members of one name, up to its first dot, are a sample.

A tar is read from start to end as a stream. Memory holds the members of one sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from cauldron.sources.formats.archives import ArchiveError, Member, iter_tar

TARS = (".tar", ".tar.gz", ".tgz")


@dataclass(slots=True)
class TarSample:
    """The members of one sample.

    Attributes:
        name: what their names have in common, with the folder.
        error: the tar is damaged after these members, so there may have been more; it ends here.
    """

    name: str
    members: list[Member] = field(default_factory=list)
    error: ArchiveError | None = None

    def find(self, suffix: str) -> Member | None:
        """The first member whose name ends so, in small or large letters."""
        return next((m for m in self.members if m.name.lower().endswith(suffix)), None)


def is_tar(path: str) -> bool:
    return path.lower().endswith(TARS)


def tar_samples(
    file: BinaryIO, max_bytes: int, wanted: Callable[[str], bool] | None = None
) -> Iterator[TarSample]:
    """The samples of a tar, in order. If it is damaged, the last one has the `error`.

    Args:
        max_bytes: the most that one member may hold; a larger one has an error of its own.
        wanted: whether to read a member, by its name; the others are skipped.
    """
    sample = TarSample("")
    try:
        for member in iter_tar(file, max_bytes, wanted):
            name = stem_of(member.name)
            if sample.members and name != sample.name:
                yield sample
                sample = TarSample(name)
            sample.name = name
            sample.members.append(member)
    except ArchiveError as error:
        sample.error = error
    if sample.members or sample.error is not None:
        yield sample


def stem_of(name: str) -> str:
    """The name of the sample that a member belongs to."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]
