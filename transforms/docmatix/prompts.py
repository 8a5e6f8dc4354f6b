"""The requests that ask a model for questions and answers: five roles, in our words.

The roles are those of the published prompts (ids 0 to 4 of the authors' ``base_prompts.py``); the
wording is not theirs. A chunk gets its role by a hash of seed, document and chunk, where the
authors drew one at random.
"""

from __future__ import annotations

import hashlib

from cauldron.transforms.models.questions import Message

# Part of every dataset's fingerprint. Raise it when a word of a prompt changes.
PROMPTS_VERSION = 1

ROLES = {
    "comprehensive": (
        "Write questions that together cover the whole text: plain facts, conclusions that a "
        "reader can draw from it, and questions that need a closer analysis.",
        "Q1: When does the offer end?\nA1: The offer ends on 30 June.\n"
        "Q2: Why did the committee prefer the second site?\n"
        "A2: It was cheaper to reach and had room to grow.",
    ),
    "sections": (
        "Go through the text section by section and write enough pairs for each of them, so that "
        "no section is left out.",
        "Q1: Who has to sign the form in section 2?\nA1: The applicant and a witness.\n"
        "Q2: What does the appendix list?\nA2: The fees for each type of licence.",
    ),
    "critical": (
        "Write questions that make the reader think: causes and effects, comparisons, strengths "
        "and weaknesses of an argument, what follows if a condition changes.",
        "Q1: How does the new rule change the position of tenants?\n"
        "A1: They can now object within a month, which they could not before.",
    ),
    "summaries": (
        "Ask for short summaries of the parts of the text and for single details in them, broad "
        "themes and small facts in turn.",
        "Q1: What is the letter about?\nA1: It invites the members to the yearly meeting.\n"
        "Q2: Which room is the meeting in?\nA2: It is in the library.",
    ),
    "general": (
        "Cover facts, conclusions and closer analysis, but word the questions generally: a "
        "question must not give away names, numbers or other details of the text.",
        "Q1: What is the purpose of this document?\nA1: It reports the results of a water test.\n"
        "Q2: Who is responsible for the work?\nA2: The city's department of public works.",
    ),
}

_SYSTEM = """\
You write pairs of a question and an answer about a document. You see its text, taken from a PDF; \
the line NEW PAGE separates pages. A reader of your pairs sees the pages as pictures, not your text.

{role}

Rules:
- Write about four pairs for each page, different from each other.
- Take every answer from the text alone. Give numbers, dates and names exactly as they stand there.
- Answer in one or two sentences, as a person would.
- Tables and figures may have lost their layout. Do not ask about parts that you cannot read with \
certainty; ask simpler questions on plain facts instead.
- If the text holds nothing worth a question, write only the word unanswerable.
- Write plain text, without lists, brackets or links, in the language of the document.

Start each question with Q and its number and each answer with A and the same number:

{example}"""


def role_of(seed: int, key: str, chunk: int) -> int:
    """The number of a chunk's role in `ROLES`."""
    return uniform(seed, "role", key, str(chunk)) % len(ROLES)


def uniform(seed: int, *names: str) -> int:
    """64 bits that follow from seed and names."""
    text = "\0".join([str(seed), *names])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def messages(text: str, role: int) -> tuple[Message, ...]:
    """The request for a chunk.

    Args:
        text: of the chunk.
        role: from `role_of`.
    """
    what, example = tuple(ROLES.values())[role]
    system = _SYSTEM.format(role=what, example=example)
    return Message("system", (system,)), Message("user", (text,))


def request_key(text: str, role: int) -> str:
    """32 hex digits; equal for requests with the same text and role, of whatever model."""
    return hashlib.blake2b(f"{role}\0{text}".encode(), digest_size=16).hexdigest()
