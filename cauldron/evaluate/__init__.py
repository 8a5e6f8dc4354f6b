"""Evaluation: benchmark items, prompts, answers read from a model's text, scores, intervals.

`items` reads the published benchmarks. `benchmarks` lists them, each with its settings, prompt,
parser and score. `metrics` holds the scores themselves, equal to the reference implementations.
`intervals` says how certain a score is. Nothing here runs a model.
"""
