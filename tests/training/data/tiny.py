"""A tokenizer and Idefics3 processors made offline, to compare with.

The tokenizer is a byte-level BPE trained on a few lines, with the special tokens of Idefics3.
"""

from __future__ import annotations

import functools
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BOS = "<|begin_of_text|>"
TILE = 28
TOKENS_PER_TILE = 4

# The chat template of Idefics3-8B-Llama3.
TEMPLATE = (
    BOS + "{% for message in messages %}{{message['role'].capitalize()}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}"
)
_LINES = [
    "User: What is in the picture? Assistant: A small red house beside the river.",
    "User: How many are there? Assistant: There are 12 of them, and 3 more behind the tree.",
    "System: You answer briefly. User: Read the total. Assistant: {'total': 12.50}",
    "It is the first of the two answers that are in this very short text.\n\n",
]


@functools.cache
def tiny_tokenizer(newlines_merge: bool = True) -> Tokenizer:
    """Args: newlines_merge: whether two line breaks are one token, as in Llama 3."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = [f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)]
    special = [BOS, "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"]
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=[*special, *marks],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = _LINES if newlines_merge else [line.strip() for line in _LINES]
    tokenizer.train_from_iterator(lines * 4, trainer)
    # Llama 3's own way of adding the first token, which a rendered template already has.
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def fast_tokenizer(newlines_merge: bool = True) -> Any:
    """The same as transformers wraps it."""
    from transformers import PreTrainedTokenizerFast

    description = tiny_tokenizer(newlines_merge).to_str()
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(description), bos_token=BOS, pad_token=BOS
    )


def processor(
    backend: str = "pil",
    *,
    longest_edge: int = 4 * TILE,
    tile: int = TILE,
    tokens_per_tile: int = TOKENS_PER_TILE,
    newlines_merge: bool = True,
    template: str = TEMPLATE,
) -> Any:
    """Idefics3Processor over either image backend. Args: backend: ``pil`` or ``torchvision``."""
    from transformers import Idefics3Processor

    return Idefics3Processor(
        image_processor(backend, longest_edge=longest_edge, tile=tile),
        fast_tokenizer(newlines_merge),
        image_seq_len=tokens_per_tile,
        chat_template=template,
    )


def image_processor(backend: str, *, longest_edge: int, tile: int) -> Any:
    from transformers import Idefics3ImageProcessor, Idefics3ImageProcessorPil

    kind = {"pil": Idefics3ImageProcessorPil, "torchvision": Idefics3ImageProcessor}[backend]
    return kind(size={"longest_edge": longest_edge}, max_image_size={"longest_edge": tile})
