"""What is asked about a picture is what was drawn in it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cauldron.sample import (
    draw_clevr,
    draw_photos,
    rows_charts,
    rows_documents,
    rows_pairs,
    rows_reasoning,
    scenes,
    talk,
)
from cauldron.sample.draw_charts import top_of_axis
from cauldron.sample.draw_geometry import any_figure
from cauldron.sample.draw_raven import any_matrix
from cauldron.sample.ink import opened, width_of, wrap
from cauldron.sample.studio import Studio


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(seed=5, rows=6)


def test_wrapped_lines_fit() -> None:
    lines = wrap("A fairly long sentence that must be broken into several lines.", 16, 120)
    assert len(lines) > 2
    assert max(width_of(line, 16) for line in lines) <= 120


def test_the_axis_is_round_and_holds_the_highest_value() -> None:
    for highest in (0.7, 3, 9.5, 42, 87.5, 950, 7777):
        end, step = top_of_axis(highest)
        assert end >= highest
        assert round(end / step) == pytest.approx(end / step)


def test_chart_answers_are_values_of_the_chart() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        chart = rows_charts.any_chart(rng, ("bars", "lines"))
        low, high = rows_charts.extremes(chart)
        assert len(set(chart.values)) == len(chart.values)
        assert chart.values[low] == min(chart.values) < chart.values[high] == max(chart.values)


def test_receipts_add_up_and_print_every_field(studio: Studio) -> None:
    for item in rows_documents.cord_v2(studio, studio.rng("receipts")):
        truth = item.extra["ground_truth"]
        words = {line["words"][0]["text"] for line in truth["valid_line"]}
        total = truth["gt_parse"]["total"]
        paid = [
            int(total[key].replace(",", "")) for key in ("cashprice", "total_price", "changeprice")
        ]
        assert paid[0] - paid[1] == paid[2] >= 0
        assert set(total.values()) <= words
        json.dumps(truth)


def test_receipt_boxes_lie_in_the_picture(studio: Studio) -> None:
    item = rows_documents.cord_v2(studio, studio.rng("boxes"))[0]
    image = opened(item.pictures[0])
    for line in item.extra["ground_truth"]["valid_line"]:
        quad = line["words"][0]["quad"]
        assert 0 <= quad["x1"] < quad["x3"] <= image.width
        assert 0 <= quad["y1"] < quad["y3"] <= image.height


def test_clevr_counts_are_those_of_the_scene(studio: Studio) -> None:
    for (solids, _), item in zip(
        studio.clevr, rows_reasoning.clevr(studio, studio.rng("c")), strict=True
    ):
        assert 3 <= len(solids) <= 8
        large = f"{draw_clevr.count(solids, size='large')}."
        assert item.turns[-1][1] == large


def test_one_candidate_completes_the_matrix() -> None:
    for seed in range(30):
        matrix = any_matrix(np.random.default_rng(seed))
        assert matrix.candidates[matrix.answer] == matrix.cells[8]
        assert len(set(matrix.candidates)) == 8


def test_geometry_answers_follow_from_what_is_given() -> None:
    for seed in range(40):
        figure = any_figure(np.random.default_rng(seed))
        if figure.kind == "triangle":
            assert sum(figure.given) + figure.answer == 180
        if figure.kind == "right":
            assert sum(side**2 for side in figure.given) == figure.answer**2


def test_the_same_scene_is_painted_the_same(studio: Studio) -> None:
    scene = scenes.any_photo(np.random.default_rng(1))
    first, second = (draw_photos.draw_photo(scene, studio.textures) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_photographs_have_the_contrast_and_detail_of_photographs(studio: Studio) -> None:
    for scene, picture in studio.coco:
        grey = np.asarray(opened(picture).convert("L"), np.float32)
        assert grey.shape == scene.size[::-1]
        assert grey.std() > 8
        assert np.abs(np.diff(grey, axis=1)).mean() > 1  # no flat areas: grain and texture


def test_facts_name_what_is_in_the_scene() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        scene = scenes.any_photo(rng)
        told = dict(talk.facts(scene, rng))
        assert len(told) >= 3
        for thing in scenes.things_in(scene):
            assert told[f"How many {thing.plural} are there?"] == str(thing.count)


def test_spot_the_diff_pictures_differ_in_one_place(studio: Studio) -> None:
    for item in rows_pairs.spot_the_diff(studio, studio.rng("spot")):
        a, b = (np.asarray(opened(picture), np.int16) for picture in item.pictures)
        changed = (np.abs(a - b).max(axis=2) > 40).mean()
        assert 0 < changed < 0.12
