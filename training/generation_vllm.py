"""Answers of a model by vLLM. It has run on CPUs only, with a tiny model.

vLLM's image processor is the stock one: it scales every image up or down to the longest edge
(``upscale: published``). A model that was trained with another setting sees more tiles than in
training (see `cauldron.training.processor`).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from vllm import LLM, SamplingParams  # type: ignore[import-not-found]

from cauldron.core.generation import Decoding, Question, Unanswered
from cauldron.core.output.runs import read_run

# MMMU shows seven at most.
_IMAGES = 8


class VllmEngine:
    """An `Engine`; vLLM makes its own batches.

    Args:
        model: folder or hub id; of a run its exported model.
        memory: the part of the device's memory that vLLM takes, most of it for its cache.
    """

    independent = True

    def __init__(self, model: str, memory: float = 0.9) -> None:
        if read_run(model) is not None:
            model = str(Path(model) / "model")
        self._tile = int(AutoConfig.from_pretrained(model).vision_config.image_size)
        self._llm = LLM(
            model=model, limit_mm_per_prompt={"image": _IMAGES}, gpu_memory_utilization=memory
        )

    def length(self, question: Question, decoding: Decoding) -> int:
        return 0

    def generate(self, questions: Sequence[Question], decoding: Decoding) -> list[str | Unanswered]:
        chats = [
            [{"role": "user", "content": [_part(part) for part in question.parts]}]
            for question in questions
        ]
        found = self._llm.chat(
            chats,
            SamplingParams(
                temperature=0, max_tokens=decoding.max_new_tokens, stop=list(decoding.stop_words)
            ),
            use_tqdm=False,
            mm_processor_kwargs={"size": {"longest_edge": decoding.edge_for(self._tile)}},
        )
        return [decoding.cut(request.outputs[0].text) for request in found]


def _part(part: str | bytes) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    data = base64.b64encode(part).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:image/*;base64,{data}"}}
