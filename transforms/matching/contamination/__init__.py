"""Contamination: training rows that show a benchmark's picture, with evidence for an audit.

In: the verdicts on pairs, the occurrences of pictures, and the corpora for questions and pixels.
Out: ``contamination-00007-of-00012.parquet`` and so on, with a record (`CONTAMINATION_SCHEMA`) for
each training image and benchmark image that are the same. Files are ranges of the training row's
id, like the files of decisions. `leaks.py` says what counts as the same, `overlap.py` what counts
as a common question.

  - For a training image and a benchmark at most three benchmark images are listed: first those
    with a common question, then the best match, then the smallest id. A training picture keeps 16
    leaks. Neither changes what is removed by image.
  - A row is removed as a whole: `removed` is the same in all its records, also for images or
    benchmarks that would not have removed it alone.
  - With `match_text` a row is removed only if one of its questions is a benchmark's, asked about
    the same picture. Answers are not compared: those of test sets are seldom published. A
    benchmark without questions then removes nothing, but its pictures are still listed.
  - Only rows with pictures are looked at. `cauldron.transforms.matching.texts` compares the text of
    all rows, and writes evidence of its own kind.

Queries for an audit. The evidence for one row::

    SELECT id, image, benchmark, benchmark_id, distance, score, overlap, removed, origin,
           benchmark_origin
    FROM 'curation/FINGERPRINT/contamination-*.parquet' WHERE id = '...'

The weakest matches, to look at first (`overlap` is null and the score low)::

    SELECT * EXCLUDE thumbnails FROM 'curation/FINGERPRINT/contamination-*.parquet'
    WHERE removed ORDER BY score, distance DESC, overlap IS NOT NULL LIMIT 100

What was removed from which source because of which benchmark::

    SELECT source, benchmark, removed, count(DISTINCT id) AS rows
    FROM 'curation/FINGERPRINT/contamination-*.parquet' GROUP BY ALL ORDER BY ALL

The pictures side by side as files, named by row and benchmark row (Python, with duckdb)::

    rows = duckdb.sql('''
        SELECT concat_ws('-', id, image, benchmark, benchmark_id, benchmark_image),
               thumbnails[1].bytes, thumbnails[2].bytes
        FROM 'curation/FINGERPRINT/contamination-*.parquet' WHERE id = '...'
    ''')
    for name, ours, theirs in rows.fetchall():
        Path(f"{name}-a.jpg").write_bytes(ours)
        Path(f"{name}-b.jpg").write_bytes(theirs)

A record does not say whether a leak is indirect. If the two thumbnails differ more than the score
suggests, look for the picture in between among the row's near-duplicates.
"""

from cauldron.transforms.matching.contamination.files import (
    CONTAMINATION_VERSION,
    ContaminationJob,
)
from cauldron.transforms.matching.contamination.pipeline import FindContamination

__all__ = ["CONTAMINATION_VERSION", "ContaminationJob", "FindContamination"]
