"""The made benchmark: read as the published one is, on documents that the made PDFs have not."""

from __future__ import annotations

from pathlib import Path

from cauldron.evaluate.items.read import Item, read_items
from cauldron.sample.docvqa import SEED, write_docvqa
from cauldron.sample.pdfs import made_pdfs


def test_every_question_is_read_and_its_answer_stands_on_the_page(tmp_path: Path) -> None:
    write_docvqa(tmp_path, 6)
    items = list(read_items("docvqa", str(tmp_path)))
    assert len(items) == 6
    pages = [made.pages[0] for made in made_pdfs(12, SEED) if not made.damage]
    for item, lines in zip(items, pages, strict=False):
        assert isinstance(item, Item), item
        label = item.question.removeprefix("What is the ").removesuffix("?")
        (answer,) = item.answers
        assert f"{label.capitalize()}: {answer}" in lines
        assert item.images[0].startswith(b"\x89PNG")
    assert len({item.question for item in items if isinstance(item, Item)}) > 3


def test_no_page_is_one_of_the_made_pdfs() -> None:
    seen = {tuple(page) for made in made_pdfs(200) for page in made.pages}
    assert not seen & {tuple(page) for made in made_pdfs(200, SEED) for page in made.pages if page}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write_docvqa(tmp_path / name, 2) for name in "ab")
    assert one.read_bytes() == two.read_bytes()
