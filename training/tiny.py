"""``--model tiny``: a random Idefics3 of 0.2 M parameters and a tokenizer, made offline.

For trying a recipe and for tests: a step takes about 40 ms on one core. Its tiles have 56 pixels a
side and 4 tokens; images have as many tiles as in the large model.
"""

from __future__ import annotations

from typing import Any

import torch
from cauldron.training.special_tokens import ADDED, CHAT_TEMPLATE, GRID
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

TILE = 56
_PATCH = 14
_VOCABULARY = 512
_BOS, _EOS, _PAD = "<|begin_of_text|>", "<|end_of_text|>", "<|pad|>"

# Enough to learn merges of common words; the vocabulary falls back to bytes.
_LINES = (
    "User: What is shown in the image?",
    "Assistant: The chart shows the value of each year.",
    "Question: How many people are in the picture?\nChoices:\nA. one\nB. two\nC. three",
    "Answer with the letter. Answer: A",
    "What is the total amount on the receipt? The total is 12.50.",
    "Describe the table. The first row has 3 columns and the last row has 4.",
    "Is there a red car on the left? Yes, there is. No, it is not.",
    "Which country has the highest population in 2019? The answer is 1,428.",
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with the special tokens and the chat template of Idefics3."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[_BOS, _EOS, _PAD, *ADDED, *GRID],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_LINES, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=_BOS,
        eos_token=_EOS,
        pad_token=_PAD,
        additional_special_tokens=[*ADDED, *GRID],
        chat_template=CHAT_TEMPLATE,
    )


def tiny_config(tokenizer: PreTrainedTokenizerFast) -> Idefics3Config:
    text = {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 32_768,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": TILE,
        "patch_size": _PATCH,
    }
    values: dict[str, Any] = {
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
    }
    return Idefics3Config(text_config=text, vision_config=vision, scale_factor=2, **values)


def tiny_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Idefics3ForConditionalGeneration:
    """The same weights for the same seed; the caller's random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Idefics3ForConditionalGeneration(tiny_config(tokenizer))
