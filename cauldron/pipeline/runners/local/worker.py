"""A worker process of a build on this machine: Beam's, which also ends when the build does.

``python -m cauldron.pipeline.runners.local.worker PARENT FLAG [quiet]``. Beam waits for its workers
to finish what they do, and a killed build would leave them running. So a worker ends itself when
its parent process is gone or the file FLAG has been removed. Signals to the whole group (Ctrl-C,
`timeout`) are left to the parent.

Beam's worker prints the traceback of every error that it also sends to the parent, which tells the
user in one line. ``quiet`` leaves it out.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

POLL_SECONDS = 0.5


def watch(parent: int, flag: str) -> None:
    """End this process when the build has ended."""
    while os.getppid() == parent and os.path.exists(flag):
        time.sleep(POLL_SECONDS)
    os._exit(0)  # nothing is lost: files are written under temporary names, and then renamed


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent, flag = int(sys.argv[1]), sys.argv[2]
    if "quiet" in sys.argv[3:]:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    threading.Thread(target=watch, args=(parent, flag), daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main

    import cauldron.pipeline.runners.local.spilled  # noqa: F401 - a coder that jobs name

    sdk_worker_main.main(sys.argv[:1])


if __name__ == "__main__":
    main()
