"""Curate: one decision for every corpus row, and the texts of merged rows.

    corpus parts ─┐
    clusters ─────┼─by id─▶ judged rows ────────────────────by id─▶ decisions-*.parquet
    contamination ┘              └─ rows of clusters ─by key─▶ groups ─▶ merged-*.jsonl

Rows cross shuffles as arrays of numbers. Only the step of groups reads text, by reference; no step
reads pixels. If duplicates are not merged or dropped, there are no groups.
"""
