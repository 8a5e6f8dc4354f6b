"""The model server: true pairs, labelled flaws, the protocol."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import httpx2
import pytest

from cauldron.sample.model_answers import answer_to, pairs_about
from cauldron.sample.model_server import FLAWS, Behaviour, ModelServer

PAGE = """Invoice number: 2041
Date: 3 May 2026
NEW PAGE
The parcel was sent from Lyon on 7 May.
Total: 1,250.00 EUR
"""


def request(text: str, **fields: Any) -> dict[str, Any]:
    system = {"role": "system", "content": "Write pairs as Q1: and A1: about the text."}
    return {"model": "m", "messages": [system, {"role": "user", "content": text}]} | fields


def test_every_answer_stands_in_the_text():
    pairs = pairs_about(PAGE)
    assert len(pairs) == 4
    assert all(answer in PAGE for _, answer in pairs)
    assert ("What is given as total?", "1,250.00 EUR") in pairs


def test_pairs_are_numbered():
    text = answer_to(request(PAGE))
    assert re.findall(r"^([QA]\d+):", text, re.MULTILINE) == [
        f"{letter}{number}" for number in (1, 2, 3, 4) for letter in "QA"
    ]


def test_a_text_without_facts_is_unanswerable():
    assert answer_to(request("12 34\n\n---")) == "unanswerable"


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_spoils_the_answer_in_its_own_way(flaw):
    text = answer_to(request(PAGE), flaw)
    assert text != answer_to(request(PAGE))
    numbers = set(re.findall(r"\d{5,}", text))
    assert (flaw == "invented") == bool(numbers)
    assert not any(number in PAGE for number in numbers)
    assert (flaw == "empty") == (text == "")
    assert (flaw == "language") == ("Quel" in text)
    assert (flaw == "numbering") == bool(text and not re.search(r"^Q1:", text, re.MULTILINE))


def test_it_speaks_the_protocol():
    with ModelServer() as server:
        assert httpx2.get(f"{server.url}/v1/models").json()["data"][0]["id"]
        reply = httpx2.post(f"{server.url}/v1/chat/completions", json=request(PAGE, max_tokens=5))
        said = reply.json()
        assert said["object"] == "chat.completion"
        assert said["choices"][0]["finish_reason"] == "length"
        assert said["usage"]["completion_tokens"] == 5
        wrong = httpx2.post(f"{server.url}/v1/chat/completions", json={"model": "m"})
        assert (wrong.status_code, "error" in wrong.json()) == (400, True)


def test_every_request_is_in_the_log_with_the_fault_that_hit_it(tmp_path):
    log = tmp_path / "log.jsonl"
    with ModelServer(Behaviour(faults={"429": 0.3, "invented": 0.3}), log=str(log)) as server:
        for number in range(40):
            headers = {"Authorization": "Bearer sk-1"}
            url = f"{server.url}/v1/chat/completions"
            httpx2.post(url, json=request(f"Number: {number}"), headers=headers)
        labels = [line.label for line in server.asked]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["label"] for line in lines] == labels
    assert {"429", "invented", ""} == set(labels)
    assert {line["status"] for line in lines if line["label"] == "429"} == {429}
    assert "sk-1" not in log.read_text()


def test_an_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="no such fault: 418"):
        Behaviour(faults={"418": 0.1})


@pytest.mark.slow
def test_it_runs_as_a_command():
    command = [sys.executable, "-m", "cauldron.sample.model_server", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().split()[1].rstrip(";")
    assert httpx2.post(url, json=request(PAGE)).status_code == 200
    process.terminate()
    process.wait()
