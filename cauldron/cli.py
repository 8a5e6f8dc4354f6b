"""The command line: one line for every error, logs, and the commands of `cauldron.commands`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import traceback
from typing import Any

import click

from cauldron import __version__
from cauldron.commands import build, look, models, train
from cauldron.core.errors import CauldronError, first_line

# Must be set before pyarrow is imported; worker processes inherit it. With Arrow's own allocator
# the mix held 2 GiB for 0.65 GiB in use, with the system's 0.77 GiB.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
# Read when google.auth is imported: a machine that is not Google's is known after 3 s, not 15.
os.environ.setdefault("GCE_METADATA_DETECT_RETRIES", "1")


class _Group(click.Group):
    """Prints every error as one line and sets the exit code.

    An unforeseen one is printed with the file that holds its traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except KeyboardInterrupt as error:
            line = "stopped; the same command goes on where it was"
            code = 128 + (error.args[0] if error.args else signal.SIGINT)
        except Exception as error:
            if ctx.params.get("verbose"):
                logging.getLogger("cauldron").exception("traceback")
            line, code = _shown(error)
        click.echo(f"cauldron: {line}", err=True)
        sys.exit(code)


def _shown(error: Exception) -> tuple[str, int]:
    """The line for the user, and the exit code."""
    if isinstance(error, CauldronError):
        return str(error), error.exit_code
    if isinstance(error, OSError) or _is_of_store(error):  # of the disk or the network
        return " ".join(str(error).split()) or type(error).__name__, 1
    handle, path = tempfile.mkstemp(prefix="cauldron-traceback-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(traceback.format_exception(error))
    what = f"unforeseen {type(error).__name__}: {first_line(error)}"
    return f"{what}; the traceback is in {path}", 1


def _is_of_store(error: Exception) -> bool:
    """Whether it is an error of S3's client, such as missing credentials: they are no OSErrors."""
    return any(kind.__module__.startswith("botocore.") for kind in type(error).__mro__)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--verbose", is_flag=True, help="Show logs and tracebacks.")
def main(verbose: bool) -> None:
    """Build the training mixtures of Idefics3 from their public parts."""
    level = logging.DEBUG if verbose else logging.WARNING
    # The handler has the level too: Beam sets that of Prism's lines after a logger let them pass.
    shown = logging.StreamHandler(sys.stderr)
    shown.setLevel(level)
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", handlers=[shown])
    # It has its own handler: each line would be printed twice.
    logging.getLogger("huggingface_hub").propagate = False
    if not verbose:
        # Beam logs tracebacks of failures; the error line is enough.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        # These log what they then raise, gcsfs with its traceback.
        for name in ("gcsfs", "google.auth"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


for command in (
    build.build_command,
    build.plan_command,
    models.docmatix_command,
    models.rate_command,
    build.sources_command,
    build.sample_command,
    look.query_command,
    look.curate_command,
    look.verify_command,
    train.train_command,
    train.eval_command,
):
    main.add_command(command)
