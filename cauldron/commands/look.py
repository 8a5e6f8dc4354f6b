"""Commands that look at what has been built."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import click

from cauldron.commands.common import (
    DEFAULT_OUTPUT,
    examples,
)


@examples(
    'cauldron query ./cauldron-out "SELECT source, count(*) FROM sft GROUP BY 1"',
    'cauldron query OUT "SELECT reason, count(*) FROM quarantine GROUP BY 1" --csv',
)
@click.command("query")
@click.argument("out")
@click.argument("sql")
@click.option("--json", "form", flag_value="json", help="One JSON array.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header.")
@click.option("--parquet", metavar="FILE", help="Write the result to a parquet file.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=threading.TIMEOUT_MAX),
    default=600,
    show_default=True,
    help="Seconds after which the query is stopped.",
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0.05, max=1e6),
    default=4,
    show_default=True,
    help="GiB that it may hold; more is kept on disk where possible.",
)
def query_command(
    out: str, sql: str, form: str | None, parquet: str | None, timeout: float, memory: float
) -> None:
    """Run SQL over OUT with DuckDB.

    Views: one per mixture, RECIPE.STAGE, or STAGE alone where one recipe has it; corpus,
    quarantine, decisions, clusters, contamination, reviews, ratings, benchmarks, pictures,
    manifest, predictions, scores.
    """
    from cauldron.inspect.query import Limits, run_query

    style: Any = "parquet" if parquet else form or "table"
    run_query(out, sql, style, parquet, limits=Limits(timeout, int(memory * (1 << 30))))


@examples("cauldron curate ./cauldron-out --explain 3f2a9c1e")
@click.command("curate")
@click.argument("out", default=DEFAULT_OUTPUT)
@click.option(
    "--explain", "row_id", required=True, metavar="ID", help="A row's id, or its first 8 digits."
)
def curate_command(out: str, row_id: str) -> None:
    """Explain why a row of the build in OUT was kept, merged or dropped."""
    from cauldron.inspect.explain import explain

    for line in explain(out, row_id):
        click.echo(line)


@examples("cauldron verify ./cauldron-out")
@click.command("verify")
@click.argument("out")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as a JSON array.")
def verify_command(out: str, as_json: bool) -> None:
    """Check all files in OUT: no row vanished and no byte changed."""
    from cauldron.inspect.verify import verify

    problems = verify(out)
    if as_json:
        click.echo(json.dumps(problems, indent=1))
    else:
        for problem in problems:
            click.echo(problem)
        if not problems:
            click.echo(f"{out}: every file, row and total is as its manifests say")
    sys.exit(1 if problems else 0)
