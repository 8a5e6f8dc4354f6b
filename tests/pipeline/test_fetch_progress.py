"""The progress line of fetching."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from cauldron.transforms.fetching.fetcher import Failed
from cauldron.transforms.fetching.pipeline import TOTAL
from cauldron.transforms.fetching.tally import Progress, Tally

from cauldron.core import storage
from cauldron.pipeline import fetch_progress
from cauldron.pipeline.fetch_progress import FetchProgress, line


def test_the_line_has_rates_success_by_reason_and_the_time_left():
    last = Progress(known=100, fetched=1000, bytes=50_000_000, failed=Counter(http_not_found=100))
    now = Progress(
        known=100,
        fetched=3000,
        bytes=150_000_000,
        failed=Counter(http_not_found=300, dns_failure=20),
    )
    assert line(now, last, 10, 103_420) == (
        "200 images/s, 10.0 MB/s, 90.4% fetched (http_not_found 300, dns_failure 20), 8 min left"
    )


def test_the_tallies_of_all_workers_count(tmp_path: Path, monkeypatch):
    said: list[str] = []
    progress = FetchProgress(str(tmp_path), said.append)
    assert progress() is None
    storage.write_json(str(tmp_path / TOTAL), 10)
    monkeypatch.setattr(fetch_progress, "_SECONDS", 0)
    for name in ("a", "b"):
        tally = Tally(str(tmp_path), name)
        tally.known(1)
        tally.add(b"1234")
        tally.add(Failed("noai", "no"))
        tally.write(tally.values())
    assert progress() == (6, 10)
    assert "50.0% fetched (noai 2)" in said[0]
