"""Curate: one decision for every corpus row, and the text of rows that took over others.

    corpus parts ─┐
    clusters ─────┼─by id─▶ judged rows ────────────────────by id─▶ decisions-*.parquet
    contamination ┘              └─ rows of clusters ─by key─▶ groups ─▶ merged-*.jsonl

Rows travel as packed arrays of numbers. Only the groups read text, by reference, and nothing
reads pixels. Without clusters to act on, the job ends with the judged rows.
"""
