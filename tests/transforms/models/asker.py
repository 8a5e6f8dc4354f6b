"""A process that asks: ``python -m tests.transforms.models.asker URL FOLDER COUNT``.

Prints the answers, in the order of the questions, when it has them all.
"""

from __future__ import annotations

import sys

from cauldron.transforms.models.ask import ask_all
from cauldron.transforms.models.endpoint import Endpoint

from tests.transforms.models.conftest import MODEL, questions

CONCURRENCY = 8


def main() -> None:
    url, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    endpoint = Endpoint(url, MODEL, concurrency=CONCURRENCY)
    outcomes = ask_all(questions(count), endpoint, folder)
    answers = {int(question.name): outcome.text for question, outcome in outcomes}
    print("\n".join(answers[number] for number in sorted(answers)))


if __name__ == "__main__":
    main()
