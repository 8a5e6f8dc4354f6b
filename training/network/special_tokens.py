"""The tokens that Idefics3 adds to a language model's tokenizer, and its chat template.

From ``HuggingFaceM4/Idefics3-8B-Llama3`` (tokenizer_config.json, chat_template.json).
"""

from __future__ import annotations

FAKE_IMAGE = "<fake_token_around_image>"
IMAGE = "<image>"
END_OF_UTTERANCE = "<end_of_utterance>"
GLOBAL_IMAGE = "<global-img>"

ADDED = (FAKE_IMAGE, IMAGE, END_OF_UTTERANCE)
# Plain text in Idefics3's tokenizer, tokens in SmolVLM's. Markers exist for at most six rows and
# columns of tiles.
LARGEST_GRID = 6
GRID = (
    GLOBAL_IMAGE,
    *(
        f"<row_{row}_col_{column}>"
        for row in range(1, LARGEST_GRID + 1)
        for column in range(1, LARGEST_GRID + 1)
    ),
)

_CONTENT = (
    "{% if message['content'][0]['type'] != 'image' %}{{ ' ' }}{% endif %}"
    "{% for line in message['content'] %}"
    "{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}"
    "<end_of_utterance>"
)
# The text is that of the published template. The marks around answers are for trainers that ask for
# `return_assistant_tokens_mask`: they cover the tokens that `cauldron train` supervises.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}:"
    "{% if message['role'] == 'assistant' %}"
    f"{{% generation %}}{_CONTENT}{{% endgeneration %}}"
    f"{{% else %}}{_CONTENT}{{% endif %}}"
    "{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
