"""What tests of the loader share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cauldron.training.data.collate import Pack
from cauldron.training.data.loader import PackLoader
from cauldron.training.data.settings import LoaderSettings
from cauldron.training.data.tokenization import TokenLayout

from cauldron.core.mixture import Mixture
from tests.training.data.mixtures import mixed_rows, write_mixture
from tests.training.data.tiny import TILE, TOKENS_PER_TILE, fast_tokenizer, tiny_tokenizer

Open = Callable[..., PackLoader]
LAYOUT = TokenLayout(fast_tokenizer(), TILE, TOKENS_PER_TILE)


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    """200 rows of three sources in 2 shards of 10 row groups."""
    return write_mixture(tmp_path_factory.mktemp("mixture"), mixed_rows(200))


def small_settings(**changes: Any) -> LoaderSettings:
    """Six packs of 512 tokens a step; rounds of 3 windows of some 30 rows."""
    values: dict[str, Any] = {
        "batch": 6,
        "sequence_length": 512,
        "longest_edge": 4 * TILE,
        "workers": 0,
        "window_rows": 30,
        "windows": 3,
    }
    return LoaderSettings(**values | changes)


@pytest.fixture
def opened(mixture: Mixture) -> Iterator[Open]:
    """Opens loaders on the mixture and closes them after the test."""
    loaders = []

    def open_one(
        rank: int = 0,
        world: int = 1,
        state: dict[str, Any] | None = None,
        of: Mixture = mixture,
        **changes: Any,
    ) -> PackLoader:
        loader = PackLoader(of, LAYOUT, small_settings(**changes), rank, world, state)
        loaders.append(loader)
        return loader

    yield open_one
    for loader in loaders:
        loader.close()


def numbers_of(pack: Pack) -> list[int]:
    """Which rows a pack holds, by the number that each asks about."""
    text = tiny_tokenizer().decode(pack.input_ids.tolist(), skip_special_tokens=False)
    return [int(number) for number in re.findall(r"What is (\d+)\?", text)]


def take(loader: PackLoader, steps: int) -> list[list[Pack]]:
    return [list(next(loader)) for _ in range(steps)]
