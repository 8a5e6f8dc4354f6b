"""Tiles and image tokens by the rules in use."""

from __future__ import annotations

import pytest

from cauldron.core.tiles import resize_steps, tile_count, tile_grid, tokens_per_tile


@pytest.mark.parametrize(
    ("size", "grid", "tokens"),
    [
        ((640, 480), (2, 2), 845),
        ((1240, 1754), (5, 4), 3_549),  # A4 at 150 dpi
        ((1275, 1650), (5, 4), 3_549),  # Letter at 150 dpi
        ((1000, 1000), (3, 3), 1_690),
        ((364, 364), (1, 1), 169),
        ((100, 100), (1, 1), 169),
        ((365, 100), (1, 2), 507),
        ((10_000, 10_000), (5, 5), 4_394),  # the most there can be
    ],
)
def test_training_rule_gives_the_published_examples(size, grid, tokens):
    assert tile_grid(*size, 1820, 364) == grid
    assert tile_count(*size, 1820, 364) * tokens_per_tile(364) == tokens


@pytest.mark.parametrize(
    ("height", "width", "counts"),
    [
        (364, 364, [1, 5, 10, 17, 26]),
        (100, 100, [1, 5, 10, 17, 26]),
        (800, 1000, [1, 5, 10, 17, 21]),
        (600, 800, [1, 5, 10, 13, 21]),
        (1123, 794, [1, 5, 10, 13, 21]),
        (400, 1600, [1, 3, 4, 5, 11]),
        (300, 3000, [1, 3, 4, 5, 6]),
    ],
)
def test_processor_rule_scales_small_images_up(height, width, counts):
    edges = [364, 728, 1092, 1456, 1820]
    assert [tile_count(width, height, edge, 364, "published") for edge in edges] == counts


def test_turning_an_image_turns_its_grid():
    for upscale in ("never", "published"):
        rows, columns = tile_grid(900, 500, 1820, 364, upscale)
        assert tile_grid(500, 900, 1820, 364, upscale) == (columns, rows)


def test_a_sliver_is_one_tile_or_one_row_never_none():
    assert tile_grid(5_000, 1, 1820, 364) == (1, 1)
    assert tile_grid(1, 5_000, 1820, 364) == (1, 1)
    assert tile_grid(30, 3_000, 1820, 364) == (5, 1)
    assert tile_count(1, 1, 1820, 364) == 1


def test_tokens_per_tile_follow_from_patch_and_shuffle():
    assert tokens_per_tile(364) == 169
    assert tokens_per_tile(384, 14, 3) == 81
    assert tokens_per_tile(512, 16, 4) == 64


def test_sizes_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match="0 x 10"):
        tile_grid(0, 10, 1820, 364)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((640, 480), (3, 4)),  # 1280 along, rounded up to four tiles
        ((100, 100), (1, 1)),
        ((200, 100), (1, 2)),
        ((1000, 1000), (5, 5)),  # 2000 is more than the limit
        ((4000, 1000), (2, 5)),  # longer than the limit: scaled down as ever
    ],
)
def test_scaling_up_by_a_factor_stops_at_the_limit(size, grid):
    assert tile_grid(*size, 1820, 364, 2.0) == grid


def test_scaling_up_by_one_is_scaling_up_never():
    for size in [(640, 480), (1, 700), (1820, 3), (2000, 999)]:
        assert tile_grid(*size, 1820, 364, 1.0) == tile_grid(*size, 1820, 364, "never")


def test_the_published_rule_resizes_twice_and_the_training_code_once():
    assert resize_steps(1000, 801, 1456, 364, "published") == ((1166, 1456), (1456, 1456))
    assert resize_steps(1000, 801, 1456, 364, "never") == ((1092, 1092),)
