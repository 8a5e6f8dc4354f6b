"""Reviews: a file of pairs, read with care and obeyed by the next build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.core.errors import UsageError
from cauldron.core.reviews import Pictured, Review, read_reviews, reviews_digest
from cauldron.inspect.explain import explain
from cauldron.inspect.query import connect
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import load_recipe
from tests.hubs import write_dolly, write_recipe, write_sharegpt

A, B, C = "a" * 32, "b" * 32, "c" * 32


def test_three_forms_say_the_same(tmp_path):
    rows = [
        {"picture": A, "other_picture": B, "same": False, "note": "another digit"},
        {"id": C, "image": 2, "other_picture": B, "same": True},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "r.parquet")
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "r.jsonl").write_text(lines + "\n\n")
    (tmp_path / "r.csv").write_text(
        "picture,other_picture,id,image,same,note,score\n"
        f"{A},{B},,,False,another digit,0.7\n,{B},{C.upper()},2,true,,0.9\n"
    )
    wanted = (
        Review(Pictured(A), Pictured(B), False, "another digit"),
        Review(Pictured(id=C, image=2), Pictured(B), True),
    )
    # A parquet file that lacks the second row's columns in the first row has them as null.
    for form in ("jsonl", "csv"):
        assert read_reviews(f"{tmp_path}/r.{form}") == wanted
    table = pa.Table.from_pylist(
        [{"id": None, "image": None, **rows[0]}, {"picture": None, **rows[1]}]
    )
    pq.write_table(table, tmp_path / "r.parquet")
    assert read_reviews(f"{tmp_path}/r.parquet") == wanted
    assert reviews_digest(wanted) == reviews_digest([wanted[0]._replace(note=""), wanted[1]])


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"picture": A, "same": True}, "row 1: give either `other_picture`"),
        ({"picture": A, "id": B, "other_picture": C, "same": True}, "give either `picture`"),
        ({"picture": A[:8], "other_picture": C, "same": True}, "`picture` must be 32 hex digits"),
        ({"picture": A, "other_id": "z" * 32, "other_image": 0, "same": True}, "`other_id` must"),
        ({"picture": A, "other_id": B, "same": True}, "`other_image` must be the number"),
        ({"picture": A, "other_id": B, "other_image": -1, "same": True}, "`other_image` must be"),
        ({"picture": A, "other_id": B, "other_image": True, "same": True}, "`other_image` must be"),
        ({"picture": A, "other_picture": A, "same": True}, f"both sides are {A}"),
        ({"picture": A, "other_picture": B}, "`same` must be true or false"),
        ({"picture": A, "other_picture": B, "same": "maybe"}, "`same` must be true or false"),
    ],
)
def test_a_row_that_names_no_pair_is_refused_with_its_number(tmp_path, row, why):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(UsageError, match=why.replace("(", r"\(")):
        read_reviews(str(path))


def test_rows_that_contradict_each_other_are_refused(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(f"picture,other_picture,same\n{A},{B},true\n{B},{A},false\n")
    with pytest.raises(UsageError, match="row 2: an earlier row says the opposite"):
        read_reviews(str(path))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("r.parquet", b"PAR1 and nothing else"),
        ("r.csv", b"picture,other_picture,same\n\xff\xfe,b,true"),
        ("r.jsonl", b'["not an object"]'),
        ("r.jsonl", b'{"picture": "' + b"a" * 100_000),
        ("r.txt", b""),
    ],
)
def test_files_of_another_form_are_refused_in_one_line(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as error:
        read_reviews(f"{tmp_path}/{name}")
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="cannot be read"):
        read_reviews(f"{tmp_path}/none.csv")


def rows_of(output: Path, sql: str) -> list[dict[str, Any]]:
    with connect(str(output)) as connection:
        return connection.sql(sql).to_arrow_table().to_pylist()


def build_with(folder: Path, **duplicates: Any) -> str:
    """Build the hub in `folder`; returns what the command says."""
    recipe = write_recipe(str(folder / "r.json"))
    fields = json.loads(Path(recipe).read_text())
    Path(recipe).write_text(json.dumps({**fields, "duplicates": duplicates}))
    command = ["build", recipe, "--root", str(folder / "hub"), "--output", str(folder / "out")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_build_obeys_reviews_and_tells_what_became_of_them(tmp_path):
    root, out = str(tmp_path / "hub"), tmp_path / "out"
    write_sharegpt(root, rows=4, side=200)
    write_dolly(root, rows=3)
    build_with(tmp_path)
    before = rows_of(
        out, "SELECT source, id FROM decisions WHERE source = 'sharegpt_4o' ORDER BY id"
    )
    assert len(before) == 4
    assert rows_of(out, "FROM clusters") == []
    first, second, third, fourth = (row["id"] for row in before)
    reviews = tmp_path / "reviews.csv"
    reviews.write_text(
        "id,image,other_id,other_image,same,note\n"
        f"{first},0,{second},0,true,scanned twice\n{third},0,{fourth},0,false,\n"
        f"{first},7,{second},0,true,\n"
    )
    said = build_with(tmp_path, reviews=str(reviews))
    assert (
        "reviews: 2 obeyed (1 the same, 1 not the same); not obeyed: 1 name a picture that is not "
        "in the build; see the view `reviews`"
    ) in " ".join(said.split())
    merged = rows_of(out, "SELECT id, reason FROM decisions WHERE decision = 'merge'")
    assert [row["reason"] for row in merged] == ["near_duplicate"]
    assert merged[0]["id"] in (first, second)
    assert [row["status"] for row in rows_of(out, "FROM reviews")] == [
        "obeyed", "obeyed", "unknown",
    ]  # fmt: skip
    told = "\n".join(explain(str(out), first))
    assert "image 0 is the same as picture" in told
    assert "by review: scanned twice" in told
    assert "is not the same as picture" in "\n".join(explain(str(out), third))
    (card,) = out.glob("mixtures/*/*/README.md")
    assert "2 obeyed (1 the same, 1 not the same)" in card.read_text()
    assert verify(str(out)) == []
    # One graph gives the same files.
    recipe = load_recipe(str(tmp_path / "r.json"))
    few = BuildOptions(recipe, (), root, str(tmp_path / "few"), few_jobs=True)
    (mixture,) = build(few, lambda line: None)
    assert mixture.reviews == {"different": 1, "obeyed": 2, "same": 1, "unknown": 1}
    curation = Path("curation") / mixture.curation
    for path in (tmp_path / "few" / curation).glob("*.*"):
        assert path.read_bytes() == (out / curation / path.name).read_bytes()
    # The same reviews with another note: nothing is done again. Without reviews: as before.
    reviews.write_text(reviews.read_text().replace("scanned twice", "twice"))
    assert "curate: done already" in build_with(tmp_path, reviews=str(reviews))
    build_with(tmp_path)
    assert rows_of(out, "FROM clusters") == []


def test_a_key_from_the_clusters_undoes_a_merge(tmp_path, built, sample):
    """As the how-to does: a query over clusters is a file of reviews."""
    sql = (
        "SELECT b.id, b.image, a.id AS other_id, a.image AS other_image, false AS same "
        "FROM clusters a JOIN clusters b USING (cluster) "
        "WHERE a.representative AND NOT b.representative AND b.score < 1 ORDER BY b.score LIMIT 1"
    )
    path = tmp_path / "reviews.parquet"
    result = CliRunner().invoke(main, ["query", str(built[0]), sql, "--parquet", str(path)])
    assert result.exit_code == 0, result.output
    (review,) = read_reviews(str(path))
    assert not review.same
    assert len(review.first.id) == 32
