"""`cauldron rate`: turns of a built corpus, rated by the model server."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from cauldron.transforms.models import calls
from cauldron.transforms.models.ask import close_callers
from cauldron.transforms.models.budget import Limits, Price
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.ratings.pipeline import AskForRatings, RateJob, RatePart
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.manifests import MixtureManifest, RatingManifest
from cauldron.core.sections.models import ModelRules
from cauldron.core.sections.rules import TextRules
from cauldron.inspect.query import run_query
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.pipeline.rate import LimitReached, RateOptions, cost_of_whole, rate
from cauldron.recipe import Recipe
from cauldron.sample.model_server import Behaviour, ModelServer
from tests import hubs

IN_MEMORY = ("--direct_num_workers=1",)
TEXT, VISION = ModelRules(name="reader", max_tokens=4), ModelRules(name="viewer", max_tokens=4)
RATINGS: dict[str, Any] = {
    "text": TEXT.model_dump(exclude_unset=True),
    "vision": VISION.model_dump(exclude_unset=True),
}
STAGE = {"budget": {"epochs_of": {"sharegpt_4o": 1}}, "mixture": {"sharegpt_4o": 1, "dolly": 1}}
ROWS, TURNS = 6, 2
ROOT = Path(__file__).parents[2]


def ask(out: str, sql: str) -> list[dict[str, Any]]:
    stream = io.StringIO()
    run_query(out, sql, "json", None, stream)
    return list(json.loads(stream.getvalue()))


def recipe(**ratings: Any) -> Recipe:
    values = {"name": "test", "stages": {"sft": STAGE}, "ratings": RATINGS | ratings}
    return Recipe.model_validate(values)


def run_build(of: Recipe, folder: Path) -> MixtureManifest:
    options = BuildOptions(of, (), str(folder / "hub"), str(folder / "out"), beam_args=IN_MEMORY)
    return build(options, lambda line: None)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub of two sources, and the output of its build."""
    made = tmp_path_factory.mktemp("rated")
    hubs.write_dolly(str(made / "hub"), ROWS)
    hubs.write_sharegpt(str(made / "hub"), ROWS, turns=TURNS)
    run_build(recipe(), made)
    return made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setattr(calls, "_FIRST_WAIT", 0.01)
    with ModelServer() as running:
        yield running
        close_callers()


def run(server: ModelServer, out: Path, of: Recipe | None = None, **options: Any) -> Any:
    of = of or recipe()
    rules = of.ratings or recipe().ratings
    assert rules is not None
    text, vision = (
        model and Endpoint(server.url, model, attempts=3) for model in (rules.text, rules.vision)
    )
    root = str(out.parent / "hub")
    made = RateOptions(of, str(out), text, vision, root, beam_args=IN_MEMORY, **options)
    return rate(made, lambda line: None)


@pytest.fixture
def out(folder: Path, tmp_path: Path) -> Path:
    """A copy of the built output, nothing of it rated."""
    (tmp_path / "hub").symlink_to(folder / "hub")
    return Path(shutil.copytree(folder / "out", tmp_path / "out"))


def tables(out: Path) -> dict[str, str]:
    """Digests of the rating tables and manifests."""
    files = sorted((out / "ratings").rglob("*.*"))
    return {str(f.relative_to(out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_every_turn_is_rated_on_every_scale_that_fits_it(server, out):
    manifests = run(server, out)
    rows = ask(str(out), "SELECT source, scale, model, rating, reason FROM ratings")
    of = {
        source: sum(row["source"] == source for row in rows) for source in ("sharegpt_4o", "dolly")
    }
    assert of == {"sharegpt_4o": ROWS * TURNS * 4, "dolly": ROWS * 2}
    assert {row["rating"] for row in rows} <= {1, 2, 3, 4, 5}
    assert {row["reason"] for row in rows} == {None}
    assert {row["model"] for row in rows if row["scale"] == "visual_dependency"} == {"viewer"}
    assert sum(sum(c.values()) for m in manifests for c in m.counts.ratings.values()) == len(rows)
    assert verify(str(out)) == []


def test_the_vision_model_sees_the_stored_images(server, out, monkeypatch):
    from cauldron.sample import model_server

    seen: list[str] = []
    real = model_server.complete

    def look(request: dict[str, Any], fault: str) -> dict[str, Any]:
        content = request["messages"][0]["content"]
        if request["model"] == "viewer":
            seen.append(content[0]["image_url"]["url"])
        else:
            assert isinstance(content, str)
        return real(request, fault)

    monkeypatch.setattr(model_server, "complete", look)
    run(server, out)
    assert len(seen) == ROWS * TURNS * 2
    assert all(url.startswith("data:image/jpeg;base64,/9j/") for url in seen)
    assert len(set(seen)) == ROWS


def test_a_rating_that_is_not_one_digit_is_counted(server, out):
    server.behaviour = Behaviour(faults={"empty": 0.4})
    manifests = run(server, out)
    rows = ask(str(out), "SELECT rating, reason FROM ratings WHERE reason IS NOT NULL")
    assert rows
    assert {(row["rating"], row["reason"]) for row in rows} == {(None, "not_a_rating")}
    counted = sum(c.get("not_a_rating", 0) for m in manifests for c in m.counts.ratings.values())
    assert counted == len(rows)


def test_ratings_are_the_same_bytes_however_they_came_about(server, out, tmp_path):
    run(server, out)
    whole = tables(out)
    shutil.rmtree(out / "ratings")
    shutil.rmtree(out / "answers")
    server.behaviour = Behaviour(faults={"500": 0.3, "cut": 0.2})
    server.asked.clear()
    with pytest.raises(LimitReached, match="run it again"):
        run(server, out, limits=Limits(max_requests=20))
    assert not list((out / "ratings").rglob("manifest.json"))
    run(server, out)
    assert tables(out) == whole
    assert set(server.answered.values()) == {1}


def test_equal_turns_of_several_parts_are_asked_by_one_of_them(server, out):
    (corpus,) = (out / "corpus/dolly").iterdir()
    name = next(corpus.glob("part-*.parquet")).name
    parts = [
        RatePart(number, source, str(corpus), name, str(out / source), 0, 1)
        for number, source in enumerate(("first", "second"))
    ]
    job = RateJob(Endpoint(server.url, TEXT), None, str(out / "answers"), Limits())
    with beam.Pipeline() as pipeline:
        asked = pipeline | beam.Create(parts) | AskForRatings(job, parts)
        assert_that(asked, equal_to([2 * ROWS]))
    assert len(server.asked) == 2 * ROWS


def test_a_sample_and_the_whole_share_their_answers(server, out):
    run(server, out, recipe(vision=None))
    assert len(server.asked) == 2 * (ROWS * TURNS + ROWS)
    run(server, out, recipe(vision=None), share=0.5)  # a sample of what was asked
    assert len(server.asked) == 2 * (ROWS * TURNS + ROWS)


def test_a_sample_tells_the_cost_of_the_whole(server, out):
    limits = Limits(price=Price(1, 1))
    small = run(server, out, share=0.5, limits=limits)
    rated = sum(item.counts.rows for item in small)
    assert 0 < rated < 2 * ROWS
    tokens = sum(item.counts.tokens_in + item.counts.tokens_out for item in small)
    assert cost_of_whole(small, limits) == pytest.approx(2 * tokens / 1e6)
    rows = ask(str(out), "SELECT count(DISTINCT id) AS n FROM ratings")
    assert rows[0]["n"] == rated


def test_ratings_of_two_models_stand_beside_each_other(server, out):
    run(server, out)
    run(server, out, recipe(text=ModelRules(name="second", max_tokens=4).model_dump(), vision=None))
    (row,) = ask(
        str(out),
        "SELECT count(*) AS turns, avg((a.rating = b.rating)::INT) AS same FROM ratings a "
        "JOIN ratings b USING (source, id, turn, scale) "
        "WHERE a.model = 'reader' AND b.model = 'second'",
    )
    assert row["turns"] == 2 * (ROWS * TURNS + ROWS)
    assert 0.4 < row["same"] < 1


def test_ratings_change_a_mixture_only_if_the_recipe_keeps_by_them(server, folder, tmp_path):
    made = Path(shutil.copytree(folder, tmp_path / "copy"))
    before = run_build(recipe(), made)
    run(server, made / "out")
    assert run_build(recipe(), made).fingerprint == before.fingerprint
    without = Recipe.model_validate({"name": "test", "stages": {"sft": STAGE}})
    assert run_build(without, made).fingerprint == before.fingerprint
    kept = run_build(recipe(keep={"relevance": ">=4", "visual_dependency": ">=2"}), made)
    low = ask(
        str(made / "out"),
        "SELECT DISTINCT source, id FROM ratings WHERE (scale = 'relevance' AND rating < 4) "
        "OR (scale = 'visual_dependency' AND rating < 2) ORDER BY ALL",
    )
    dropped = ask(
        str(made / "out"),
        "SELECT source, id FROM decisions WHERE reason = 'low_rating' ORDER BY ALL",
    )
    assert low == dropped
    assert 0 < len(dropped) < 2 * ROWS
    assert sum(s.counts.dropped.get("low_rating", 0) for s in kept.sources.values()) == len(dropped)
    assert verify(str(made / "out")) == []
    other = {"visual_dependency": 5}
    path = made / "out/curation" / kept.curation / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"least": other}))
    assert any("low rating" in problem for problem in verify(str(made / "out")))


def test_keeping_by_ratings_that_are_not_there_says_what_to_run(folder, tmp_path):
    made = Path(shutil.copytree(folder, tmp_path / "copy"))
    with pytest.raises(CauldronError, match="run `cauldron rate`, then build again"):
        run_build(recipe(keep={"relevance": ">=4"}), made)


def test_progress_is_told_while_questions_are_asked(server, out, monkeypatch):
    monkeypatch.setattr("cauldron.pipeline.rate._TELL_SECONDS", 0.05)
    server.behaviour.delay = 0.2
    said: list[str] = []
    endpoint = Endpoint(server.url, TEXT, concurrency=4)
    options = RateOptions(
        recipe(vision=None), str(out), endpoint, None, str(out.parent / "hub"), beam_args=IN_MEMORY
    )
    rate(options, said.append)
    told = [int(line.split()[1]) for line in said if line.endswith(" answers")]
    assert told == sorted(told)
    assert 0 < told[-1] <= 2 * (ROWS * TURNS + ROWS)


def test_what_cannot_be_rated_is_named(server, tmp_path, out):
    with pytest.raises(UsageError, match="names no model"):
        run(server, out, Recipe.model_validate({"name": "x", "stages": {"sft": STAGE}}))
    with pytest.raises(UsageError, match="no stage of test mixes lnqa"):
        run(server, out, recipe(sources=["lnqa"]))
    with pytest.raises(UsageError, match="no corpus of sharegpt_4o by this recipe"):
        run(server, out, limit=2)


def test_the_corpora_of_the_recipe_are_rated_whatever_was_built_since(server, folder, tmp_path):
    made = Path(shutil.copytree(folder, tmp_path / "copy"))
    of = recipe(keep={"relevance": ">=2"})
    other = of.model_copy(update={"text": TextRules(max_turns=50)})
    with pytest.raises(CauldronError, match="run `cauldron rate`"):
        run_build(other, made)
    run(server, made / "out", other)
    run_build(other, made)
    with pytest.raises(CauldronError, match="run `cauldron rate`"):
        run_build(of, made)
    run(server, made / "out", of)
    run_build(of, made)


@pytest.mark.parametrize(
    ("ratings", "said"),
    [
        ({"text": None, "vision": None}, "name a model"),
        ({"vision": None, "keep": {"visual_dependency": ">=2"}}, "name one under `vision`"),
        ({"keep": {"relevance": ">= 3"}}, "pattern"),
        ({"keep": {"relevance": ">=6"}}, "pattern"),
        ({"keep": {"beauty": ">=3"}}, "relevance"),
    ],
)
def test_a_wrong_section_is_refused(ratings, said):
    with pytest.raises(ValueError, match=said):
        recipe(**ratings)


def test_the_command_prints_a_histogram_and_ends_cleanly_at_a_limit(server, out, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(recipe().model_dump(mode="json", exclude_unset=True)))
    root = str(out.parent / "hub")
    places = ["--root", root, "--output", str(out), "--endpoint", server.url]
    command = ["rate", str(path), *places, *IN_MEMORY]
    stopped = CliRunner().invoke(main, [*command, "--max-requests", "5"])
    assert stopped.exit_code == 0
    assert "the limit of requests or cost is reached" in stopped.output
    done = CliRunner().invoke(main, [*command, "--price", "100,100"])
    assert done.exit_code == 0
    assert "visual_dependency" in done.output
    assert "USD at most" in done.output
    found = CliRunner().invoke(main, [*command, "--json"])
    manifests = [RatingManifest.model_validate(m) for m in json.loads(found.stdout)]
    assert [item.share for item in manifests] == [1.0, 1.0]
    for wrong in ("0%", "101%", "a few"):
        refused = CliRunner().invoke(main, [*command, "--sample", wrong])
        assert (refused.exit_code, "--sample" in refused.output) == (2, True)


@pytest.mark.slow
def test_killed_three_times_it_ends_in_the_same_bytes(server, out, tmp_path):
    of = recipe()
    run(server, out, of)
    whole, asked = tables(out), len(server.asked)
    shutil.rmtree(out / "ratings")
    shutil.rmtree(out / "answers")
    server.asked.clear()
    server.behaviour.delay = 0.1
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(of.model_dump(mode="json", exclude_unset=True)))
    concurrency = 4
    command = [
        *(sys.executable, "-m", "cauldron", "rate", str(path), "--root", str(out.parent / "hub")),
        *("--output", str(out), "--endpoint", server.url, "--concurrency", str(concurrency)),
        *IN_MEMORY,
    ]
    for target in (asked // 4, asked // 2, asked * 3 // 4):
        process = subprocess.Popen(command, cwd=ROOT)
        while len(server.asked) < target:
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        process.wait()
    subprocess.run(command, cwd=ROOT, check=True)
    assert tables(out) == whole
    assert len(server.asked) - asked <= 3 * concurrency
