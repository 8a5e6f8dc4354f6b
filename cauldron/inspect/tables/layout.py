"""What all tables have in common: columns that fit the terminal, and lines below."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from cauldron.inspect.query_output import console


def table_of(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are figures."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def print_table(table: Table, *notes: str, spare: tuple[str, ...] = ()) -> None:
    """Print a table and lines below it.

    Args:
        spare: columns that may be left out on a narrow terminal, the first one first.
    """
    printer = console()
    left_out = _fit(table, spare, printer)
    printer.print(table)
    if left_out:
        text = f"Not shown, for lack of room: {', '.join(left_out)} (--json has everything)."
        printer.print(text, highlight=False, soft_wrap=True)
    for note in notes:
        printer.print(note, highlight=False, soft_wrap=True)


def _fit(table: Table, spare: tuple[str, ...], printer: Console) -> list[str]:
    """Take spare columns out until no cell is cut; returns their headers."""
    left_out = []
    unbounded = printer.options.update(max_width=10_000)
    for header in spare:
        if Measurement.get(printer, unbounded, table).maximum <= printer.width:
            break
        table.columns = [column for column in table.columns if column.header != header]
        for number, column in enumerate(table.columns):
            column._index = number
        left_out.append(header)
    return left_out


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
