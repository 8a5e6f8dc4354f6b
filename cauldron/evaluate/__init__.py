"""Evaluation: benchmark items, prompts, answers read from a model's text, scores, intervals.

`items` reads the published benchmarks. `benchmarks` lists them, each with its settings, prompt,
parser and score. `metrics` holds the scores themselves, equal to the reference implementations.
`predictions` asks a model and keeps what it says, `scores` makes scores of it, `report` shows them.
Only `engines` knows what runs a model.
"""
