"""What is asked about a picture is what was drawn in it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from cauldron.sample import makers, makers_diagrams, receipts, rows
from cauldron.sample.draw import chart, page, photograph, table
from cauldron.sample.draw.chart import top_of_axis
from cauldron.sample.draw.ink import width_of, wrap
from cauldron.sample.draw.page import Block
from cauldron.sample.model import opened
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
    for kind in ("bars", "lines") * 10:
        drawn = chart.any_chart(rng, kind)
        told = chart.facts(drawn, rng)
        values = dict(zip(drawn.categories, drawn.values, strict=True))
        assert len(set(drawn.values)) == len(drawn.values)
        whole = told["chart"][0]
        assert values[whole["highest"]] == max(drawn.values) > values[whole["lowest"]]
        for cell in told["value"]:
            assert chart.number(values[cell["name"]]) == cell["value"]


def test_table_answers_are_cells_of_the_table() -> None:
    rng = np.random.default_rng(0)
    for kind in ("prices", "statement", "grouped", "league", "marathon", "companies"):
        drawn = makers.any_table(rng, kind)
        told = table.facts(drawn, rng)
        for cell in told["cell"]:
            row = next(row for row in drawn.rows if row[0] == cell["row"])
            assert cell["value"] in row
        for pair in [pair for pair in told["pair"] if "sum" in pair]:
            prices = dict(drawn.rows)
            both = table.value_of(prices[pair["a"]]) + table.value_of(prices[pair["b"]])
            assert float(pair["sum"]) == pytest.approx(both)


def test_receipts_add_up_and_print_every_field(studio: Studio) -> None:
    for item in receipts.cord_v2("cord_v2", studio, studio.rng("receipts")):
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
    item = receipts.cord_v2("cord_v2", studio, studio.rng("boxes"))[0]
    image = opened(item.pictures[0])
    for line in item.extra["ground_truth"]["valid_line"]:
        quad = line["words"][0]["quad"]
        assert 0 <= quad["x1"] < quad["x3"] <= image.width
        assert 0 <= quad["y1"] < quad["y3"] <= image.height


def test_a_page_holds_what_it_is_given(studio: Studio) -> None:
    blocks = [Block("band", (("Inbox", "9:15"),)), Block("line", (("Mona", "Hello."),))]
    image, words = page.draw_words(blocks, page.Style(400, 300), studio.textures)
    assert image.size == (400, 300)
    assert {"Inbox", "9:15", "Mona", "Hello."} <= {text for text, _ in words}


def test_clevr_counts_are_those_of_the_scene(studio: Studio) -> None:
    for item in rows.items("clevr", studio, studio.rng("c")):
        of_a_shape, of_a_color, total = (int(str(answer).rstrip(".")) for _, answer in item.turns)
        assert 1 <= of_a_shape < total
        assert 1 <= of_a_color < total
        assert 3 <= total <= 8
    for seed in range(30):
        scene = photograph.any_photo(np.random.default_rng(seed), "a grey floor")
        colors, shapes = ({getattr(t, key) for t in scene.things} for key in ("color", "name"))
        assert len(colors) == len(shapes) == len(scene.things)
        whole = photograph.facts(scene, np.random.default_rng(0))["photo"][0]
        assert whole["total"] == str(sum(len(thing.spots) for thing in scene.things))


def test_one_candidate_completes_the_matrix() -> None:
    for seed in range(30):
        cells, candidates, answer = makers_diagrams.any_matrix(np.random.default_rng(seed))
        assert candidates[answer] == cells[8]
        assert len(set(candidates)) == 8


def test_geometry_answers_follow_from_what_is_given(studio: Studio) -> None:
    seen = set()
    for seed in range(40):
        shown = makers_diagrams.figure(studio, np.random.default_rng(seed), 0, {})
        fact = shown.facts["figure"][0]
        numbers = [int(number) for number in re.findall(r"\d+", fact["problem"])]
        seen.add(fact["problem"].split()[1])
        if "the angle at" in fact["problem"]:
            assert sum(numbers) + int(fact["answer"]) == 180
        if "perimeter" in fact["problem"]:
            assert 2 * sum(numbers) == int(fact["answer"])
        if "hypotenuse" in fact["problem"]:
            assert sum(side**2 for side in numbers) == int(fact["answer"]) ** 2
    assert len(seen) > 2


def test_the_same_scene_is_painted_the_same(studio: Studio) -> None:
    scene = photograph.any_photo(np.random.default_rng(1))
    first, second = (photograph.draw(scene, studio.textures) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_photographs_have_the_contrast_and_detail_of_photographs(studio: Studio) -> None:
    for shown in rows.pool("coco", studio):
        grey = np.asarray(opened(shown.pictures[0]).convert("L"), np.float32)
        assert grey.shape[::-1] in photograph.SIZES
        assert grey.std() > 8
        assert np.abs(np.diff(grey, axis=1)).mean() > 1  # no flat areas: grain and texture


def test_facts_name_what_is_in_the_scene() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        scene = photograph.any_photo(rng)
        told = photograph.facts(scene, rng)
        counts = {fact["plural"]: fact["count"] for fact in told["thing"]}
        assert counts == {thing.plural: str(thing.count) for thing in scene.things}
        assert told["photo"][0]["absent"] not in {thing.name for thing in scene.things}


def test_spot_the_diff_pictures_differ_in_one_place(studio: Studio) -> None:
    for item in rows.items("spot_the_diff", studio, studio.rng("spot")):
        a, b = (np.asarray(opened(picture), np.int16) for picture in item.pictures)
        changed = (np.abs(a - b).max(axis=2) > 40).mean()
        assert 0 < changed < 0.12
