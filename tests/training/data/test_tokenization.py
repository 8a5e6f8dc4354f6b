"""Token ids and labels equal those of Idefics3Processor and its chat template."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from cauldron.training.data.bad_rows import BadRow
from cauldron.training.data.tokenization import IGNORED, TokenLayout
from cauldron.training.network.special_tokens import CHAT_TEMPLATE
from PIL import Image
from tokenizers import Tokenizer, models

from cauldron.core.errors import UsageError
from cauldron.core.schema import document_messages, messages_of
from cauldron.core.tiles import tile_grid
from tests.training.data.mixtures import messages_of_row
from tests.training.data.tiny import (
    BOS,
    TEMPLATE,
    TILE,
    TOKENS_PER_TILE,
    fast_tokenizer,
    processor,
    tiny_tokenizer,
)

EDGE = 4 * TILE
SHORT = [("What is in the picture?", "A small red house.")]
LONG = [
    ("How many? é 中\n\nCount  them.", " There are 12:\n\n- one\n- two "),
    (" and 3 more? ", "no"),
    ("Read: {'total': 12.50}", "Answer: {'total': 12.50}\n"),
]


@pytest.fixture(scope="module")
def layout() -> TokenLayout:
    return TokenLayout(fast_tokenizer(), TILE, TOKENS_PER_TILE)


def by_processor(rows: list, sizes: list[tuple[int, int]], template: str, **changes):
    images = iter(Image.new("RGB", size) for size in sizes)
    messages = [
        {
            "role": message["role"],
            "content": [
                part | {"image": next(images)} if part["type"] == "image" else part
                for part in message["content"]
            ],
        }
        for message in rows
    ]
    return processor(template=template, **changes).apply_chat_template(
        messages,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=template == CHAT_TEMPLATE,
    )


def document_of(layout: TokenLayout, rows: list, sizes: list[tuple[int, int]]):
    text = layout.encode(messages_of_row(rows))
    return layout.expand(text, [tile_grid(*size, EDGE, layout.tile, "published") for size in sizes])


@pytest.mark.parametrize("newlines_merge", [True, False])
@pytest.mark.parametrize(
    ("system", "turns", "sizes"),
    [
        (None, SHORT, [(100, 60)]),
        (None, LONG, [(100, 60), (20, 90), (30, 30)]),
        (None, LONG, []),
        ("You answer briefly.", SHORT, [(500, 20)]),
        ("You answer briefly.", LONG, []),
        (None, [("", "yes")], [(10, 10)]),
    ],
)
def test_ids_equal_the_processor(system, turns, sizes, newlines_merge):
    rows = messages_of(system, turns, len(sizes))
    layout = TokenLayout(fast_tokenizer(newlines_merge), TILE, TOKENS_PER_TILE)
    expected = by_processor(rows, sizes, TEMPLATE, newlines_merge=newlines_merge)
    document = document_of(layout, rows, sizes)
    assert document.ids.tolist() == expected["input_ids"][0]
    image = tiny_tokenizer().token_to_id("<image>")
    assert document.image_positions.tolist() == np.flatnonzero(document.ids == image).tolist()


def test_one_tile_images_equal_the_processor(layout):
    rows = messages_of(None, SHORT, 2)
    sizes = [(TILE, TILE), (5, 9)]
    expected = by_processor(rows, sizes, TEMPLATE, longest_edge=TILE)
    text = layout.encode(messages_of_row(rows))
    assert layout.expand(text, [(1, 1), (1, 1)]).ids.tolist() == expected["input_ids"][0]


@pytest.mark.parametrize("turns", [SHORT, LONG])
def test_answers_and_their_ends_are_learned_and_nothing_else(layout, turns):
    rows = messages_of("You answer briefly.", turns, 1)
    expected = by_processor(rows, [(100, 60)], CHAT_TEMPLATE)
    document = document_of(layout, rows, [(100, 60)])
    assert document.ids.tolist() == expected["input_ids"][0]
    learned = np.array(expected["assistant_masks"][0], dtype=bool)
    targets = np.where(learned, document.ids, IGNORED)[1:].tolist()
    assert document.labels.tolist() == [*targets, IGNORED]


def test_the_length_is_known_before_the_document_is_made(layout):
    text = layout.encode(messages_of_row(messages_of(None, LONG, 3)))
    grids = [(1, 1), (4, 3), (1, 6)]
    images = sum(layout.block_length(*grid) for grid in grids)
    assert len(text.ids) - text.images + images == len(layout.expand(text, grids).ids)


@pytest.mark.parametrize(
    "said",
    [
        "What does <image> mean?",
        "<end_of_utterance>\nAssistant: <<image><image>",
        f"{BOS}<row_1_col_1><global-img><fake_token_around_image>",
    ],
)
def test_text_that_looks_like_a_special_token_stays_text(layout, said):
    text = layout.encode(messages_of_row(messages_of(None, [(said, said + " yes")], 1)))
    assert text.images == 1
    written = f"{BOS}User:<image>{said}<end_of_utterance>\nAssistant: {said} yes"
    assert tiny_tokenizer().decode(text.ids.tolist(), skip_special_tokens=False) == (
        written + "<end_of_utterance>\n"
    )
    special = {BOS: 1, "<image>": 1, "<end_of_utterance>": 2, "<row_1_col_1>": 0}
    for token, count in special.items():
        assert (text.ids == tiny_tokenizer().token_to_id(token)).sum() == count
    answer = tiny_tokenizer().decode(text.ids[text.supervised].tolist(), skip_special_tokens=False)
    assert answer == f" {said} yes<end_of_utterance>"


@pytest.mark.parametrize("turns", [[("What?", "")], [("What?", " \n")], []])
def test_a_conversation_without_an_answer_is_a_bad_row(layout, turns):
    with pytest.raises(BadRow, match="no assistant message"):
        layout.encode(messages_of_row(messages_of(None, turns, 0)))


def test_a_layout_survives_pickling_and_knows_its_like(layout):
    copy = pickle.loads(pickle.dumps(layout))
    rows = messages_of_row(messages_of(None, LONG, 1))
    assert copy.encode(rows).ids.tolist() == layout.encode(rows).ids.tolist()
    assert copy.fingerprint == layout.fingerprint
    bare = TokenLayout(tiny_tokenizer(), TILE, TOKENS_PER_TILE, bos=BOS)
    assert bare.encode(rows).ids.tolist() == layout.encode(rows).ids.tolist()
    assert TokenLayout(fast_tokenizer(), TILE, 9).fingerprint != layout.fingerprint


def test_a_tokenizer_without_image_tokens_is_refused():
    with pytest.raises(UsageError, match="no token <"):
        TokenLayout(Tokenizer(models.BPE()), TILE, TOKENS_PER_TILE)


PARTS = [None, "A house.\n\nA tree.", None, None, "The end é."]


def test_a_document_is_its_parts_in_order_and_all_of_its_text_is_learned(layout):
    text = layout.encode([("assistant", PARTS)])
    assert text.document
    assert text.images == 3
    grids = [(1, 1), (2, 1), (1, 2)]
    found = layout.expand(text, grids)
    tokenizer = fast_tokenizer()
    image = tokenizer.convert_tokens_to_ids("<image>")
    blocks = [layout._image_block(*grid)[0].tolist() for grid in grids]
    texts = [tokenizer.encode(part, add_special_tokens=False) for part in PARTS if part]
    end = tokenizer.encode("<end_of_utterance>", add_special_tokens=False)
    bos = [tokenizer.convert_tokens_to_ids(BOS)]
    pieces = [bos, blocks[0], texts[0], blocks[1], blocks[2], texts[1], end]
    assert found.ids.tolist() == [i for piece in pieces for i in piece]
    assert found.image_positions.tolist() == np.flatnonzero(found.ids == image).tolist()
    learned = [False] * (1 + len(blocks[0])) + [True] * len(texts[0])
    learned += [False] * (len(blocks[1]) + len(blocks[2]))
    learned += [True] * (len(texts[1]) + 1)
    targets = [n if is_learned else IGNORED for n, is_learned in
               zip(found.ids.tolist(), learned, strict=True)][1:]  # fmt: skip
    assert found.labels.tolist() == [*targets, IGNORED]


def test_the_chat_template_takes_a_document_too(layout):
    messages = document_messages(["Look:", None, "A house."])
    ids = by_processor(messages, [(30, 20)], TEMPLATE)["input_ids"][0]
    text = fast_tokenizer().decode(ids)
    assert text.startswith(f"{BOS}Assistant: Look:<fake_token_around_image>")
    assert text.endswith("A house.<end_of_utterance>\n")


def test_a_document_without_text_is_a_bad_row(layout):
    with pytest.raises(BadRow, match="no assistant message has text"):
        layout.encode([("assistant", [None, " "])])


def test_text_of_a_document_that_spells_a_special_token_stays_text(layout):
    text = layout.encode([("assistant", ["An <image> tag, ", None, "<end_of_utterance> here"])])
    assert text.images == 1
    assert len(text.places) == 1
    assert layout.expand(text, [(1, 1)]).ids.tolist().count(text.ids[-1]) == 1
