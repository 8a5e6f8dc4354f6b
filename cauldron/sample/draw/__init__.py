"""The five kinds of pictures: photograph, chart, table, page and diagram.

Each module holds what a picture shows (a frozen dataclass), how it looks, `draw`, and `facts`:
what can truly be asked about it.
"""
