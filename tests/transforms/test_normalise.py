"""One row to one sample: every outcome has its reason, and equal content has an equal id."""

from __future__ import annotations

import pytest
from cauldron.sources.base import RawImage, RawTurn, Row
from cauldron.transforms.normalise import Kept, Rejected, SourceSettings, normalise

from cauldron.core.reasons import outcome_of
from cauldron.core.schema import Origin
from cauldron.core.sections.rules import ImageRules, LanguageRules, TextRules
from tests.hubs import photo

ENGLISH = ("What is standing in front of the house?", "A red bicycle leans against the fence.")
GERMAN = ("Was steht da vor dem Haus?", "Ein rotes Fahrrad lehnt am Zaun neben der Tür.")


def settings(source: str = "lnqa", **changes) -> SourceSettings:
    values = {
        "license": "cc-by-4.0",
        "images": ImageRules(),
        "text": TextRules(),
        "language": LanguageRules(),
        "classifiers": (),
        "tokenizer": "estimate",
        "options": {},
    }
    return SourceSettings(source=source, **(values | changes))


def row(*turns: tuple[str | None, str | None], images: tuple[bytes, ...] = (), **more) -> Row:
    raw = [RawTurn(user, assistant, "lnqa") for user, assistant in turns]
    return Row(Origin(file="f", row=0), [RawImage(data) for data in images], raw, **more)


def kept(found: Kept | Rejected) -> Kept:
    assert isinstance(found, Kept), found
    return found


def reason(found: Kept | Rejected) -> str:
    assert isinstance(found, Rejected), found
    assert found.outcome == outcome_of(found.row.reason)
    return found.row.reason


def test_a_good_row_becomes_a_sample_with_its_images_bytes():
    found = kept(normalise(row(ENGLISH, images=(photo(1), photo(2))), settings()))
    assert found.images == [photo(1), photo(2)]
    sample = found.sample
    assert [(t.user, t.assistant) for t in sample.turns] == [ENGLISH]
    assert sample.language == "en"
    assert sample.answer_tokens > 0
    assert sample.text_tokens > sample.answer_tokens
    assert [(i.width, i.format, i.mode) for i in sample.images] == [(96, "JPEG", "RGB")] * 2


def test_equal_content_has_an_equal_id_and_anything_else_another():
    def name(source: str, *args, **more) -> str:
        return kept(normalise(row(*args, **more), settings(source))).sample.id

    base = name("lnqa", ENGLISH, images=(photo(1), photo(2)))
    assert base == name("lnqa", ENGLISH, images=(photo(1), photo(2)))
    others = {
        name("dolly", ENGLISH, images=(photo(1), photo(2))),
        name("lnqa", ENGLISH, images=(photo(2), photo(1))),
        name("lnqa", ENGLISH, GERMAN, images=(photo(1), photo(2))),
        name("lnqa", ENGLISH, images=(photo(1), photo(2)), system="Be brief."),
    }
    assert len(others | {base}) == 5


def test_only_the_bad_turn_is_left_out():
    found = kept(normalise(row(ENGLISH, ("And now?", "  ")), settings()))
    assert len(found.sample.turns) == 1
    assert found.turns_dropped == {"empty_answer": 1}


def test_a_bad_turn_takes_its_row_in_a_dialogue():
    found = normalise(row(ENGLISH, ("And now?", "  "), GERMAN), settings(dialogue=True))
    assert reason(found) == "bad_turn"
    assert found.turns_dropped == {"empty_answer": 1}


def test_placeholders_are_compared_with_the_images_of_the_row():
    asked = (f"<image>\n{ENGLISH[0]}", ENGLISH[1])
    one = kept(normalise(row(asked, images=(photo(1),)), settings()))
    assert one.sample.turns[0].user == ENGLISH[0]
    two = normalise(row(asked, images=(photo(1), photo(2))), settings())
    assert reason(two) == "image_placeholders"
    none = kept(normalise(row(asked), settings()))
    assert none.sample.turns[0].user == asked[0]


def test_a_row_whose_turns_are_all_bad_is_dropped():
    assert reason(normalise(row((None, "x"), ("y", None)), settings())) == "no_turns"


def test_a_bad_image_is_the_rows_outcome():
    cut = photo(1)[: len(photo(1)) // 2]
    assert reason(normalise(row(ENGLISH, images=(photo(2), cut)), settings())) == "image_truncated"


def test_rows_in_other_languages_are_dropped_when_the_recipe_keeps_some():
    english_only = settings(language=LanguageRules(keep=("en",)))
    assert reason(normalise(row(GERMAN), english_only)) == "language"
    assert kept(normalise(row(ENGLISH), english_only)).sample.language == "en"
    assert kept(normalise(row(GERMAN), settings())).sample.language == "de"


def test_language_identification_can_be_switched_off():
    off = settings(language=LanguageRules(identify=False))
    assert kept(normalise(row(GERMAN), off)).sample.language is None


def test_an_unforeseen_error_is_the_rows_outcome_and_names_itself(monkeypatch):
    def broken(*args: object) -> None:
        raise ZeroDivisionError("never seen before")

    monkeypatch.setattr("cauldron.transforms.normalise.prepare_image", broken)
    found = normalise(row(ENGLISH, images=(photo(1),), rows=3), settings())
    assert reason(found) == "processing_error"
    assert found.row.message == "ZeroDivisionError: never seen before"
    assert found.row.rows == 3


def test_an_error_of_the_machine_is_raised(monkeypatch):
    def full(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("cauldron.transforms.normalise.prepare_image", full)
    with pytest.raises(MemoryError):
        normalise(row(ENGLISH, images=(photo(1),)), settings())


def test_images_together_above_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr("cauldron.transforms.normalise.MAX_RECORD_BYTES", 100)
    assert reason(normalise(row(ENGLISH, images=(photo(1),)), settings())) == "row_too_large"


def told(*parts: str | None, images: tuple[RawImage, ...] = ()) -> Row:
    return Row(Origin(file="f", row=0), list(images), [], document=list(parts))


GOOD, DEAD = RawImage(photo(1)), RawImage(b"", problem=("bad_url", "no URL"))


def test_a_document_keeps_its_order_and_all_of_its_text_counts():
    parts = ("A red house?.", None, "\r\n", None, "The end.\0")
    found = kept(normalise(told(*parts, images=(GOOD, RawImage(photo(2)))), settings()))
    sample = found.sample
    assert sample.document is not None
    assert sample.document.parts == ("A red house?.", None, None, "The end.")
    assert found.images == [photo(1), photo(2)]
    assert sample.answer_tokens == sample.text_tokens > 0
    columns = sample.columns()
    assert (columns["turns"], columns["turn_sources"]) == (1, ["lnqa"])
    (message,) = columns["messages"]
    assert message["role"] == "assistant"
    assert [part["text"] for part in message["content"]] == list(sample.document.parts)


def test_an_image_that_cannot_be_had_costs_a_document_only_that_image():
    row = told("One.", None, "Two.", None, "Three.", images=(DEAD, GOOD))
    found = kept(normalise(row, settings()))
    assert found.sample.document is not None
    assert found.sample.document.parts == ("One.\n\nTwo.", None, "Three.")
    assert found.images_dropped == {"bad_url": 1}
    assert len(found.images) == 1


def test_a_document_all_of_whose_images_fail_has_the_reason_of_the_first():
    broken = RawImage(b"no image")
    assert reason(normalise(told("Text.", None, None, images=(DEAD, broken)), settings())) == (
        "bad_url"
    )


@pytest.mark.parametrize(
    ("parts", "rules", "expected"),
    [
        ((None, " \n"), {}, "empty_document"),
        ((None, None, "Text."), {}, "image_placeholders"),
        (("Text.",), {}, "image_placeholders"),
        ((None, "Text <unk> here."), {"special_tokens": ("<unk>",)}, "special_token"),
        ((None, "x" * 11), {"max_turn_chars": 10}, "long_turn"),
    ],
)
def test_what_rejects_a_document(parts, rules, expected):
    row = told(*parts, images=(GOOD,))
    assert reason(normalise(row, settings(text=TextRules(**rules)))) == expected


def test_refusals_are_about_answers():
    rules = TextRules(refusals=("sorry",))
    kept(normalise(told(None, "Sorry, a song.", images=(GOOD,)), settings(text=rules)))


def test_more_images_than_decisions_can_name_reject_a_document():
    row = told(*[None] * 65, "Text.", images=(GOOD,) * 65)
    assert reason(normalise(row, settings())) == "too_many_images"


def test_languages_are_filtered_by_all_texts_of_a_document():
    german = told(GERMAN[0], None, GERMAN[1], images=(GOOD,))
    assert reason(normalise(german, settings(language=LanguageRules(keep=("en",))))) == "language"
    assert kept(normalise(german, settings())).sample.language == "de"


def test_equal_documents_have_an_equal_id_and_other_orders_another():
    one, other = (
        kept(normalise(told(*parts, images=(GOOD,)), settings())).sample.id
        for parts in (("Text.", None), (None, "Text."))
    )
    assert one != other
    assert one == kept(normalise(told("Text.", None, images=(GOOD,)), settings())).sample.id
