"""Answers read from a model's text, and their scores: one file a metric.

Each is proven equal to the implementation that the field reports with, on predictions made for it;
`tests/evaluate/reference/README.md` names the implementations and their commits.
"""
