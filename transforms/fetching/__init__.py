"""Images that are known by their URL: asked for once, kept in the output, read from there.

A build fetches between planning and ingest (`cauldron.pipeline.fetch`):

1. Every piece of a source by URL is read, and its URLs are written to a file (`lists`), sorted by
   the partition of their host. All URLs of a host belong to one partition.
2. A worker takes a partition: it looks in the store (`store`) for what was answered before, asks
   for the rest (`partition`, `fetcher`), and settles the answers for each piece (`answers`).
3. Ingest reads its rows again and finds the answer for each URL (`images.Fetched.fill`), with no
   network: an image's bytes, or a reason of `cauldron.core.reasons.NOT_FETCHED`.

For readers and later steps: a source yields `RawImage(b"", url=…)`, in any number for a row, and
`normalise` gets rows whose images have bytes. A row of which an image is missing is quarantined
with the reason. A document of several images loses the missing ones and stays; it is quarantined
if none is left.

What was answered decides a corpus: the digest of the answers is part of its fingerprint. So a
rebuild from the same answers gives the same bytes and asks nobody.
"""
