"""Images that are known by their URL: asked for once, kept in the output, read from there.

A build fetches between planning and ingest (`cauldron.pipeline.fetch`):

1. Every piece of a source by URL is read, and its URLs are written to a file (`lists`), sorted by
   the partition of their host. All URLs of a host belong to one partition.
2. A worker takes a partition: it looks in the store (`entries`) for what was answered before, asks
   for the rest (`partition`, `fetcher`), stores it (`store`), and settles the answers for each
   piece (`answers`).
3. Ingest reads its rows again and finds the answer for each URL (`images.Fetched.fill`), with no
   network: an image's bytes, or a reason of `cauldron.core.reasons.NOT_FETCHED`.

A source yields `RawImage(b"", url=…)`, any number for a row. `normalise` gets the row with bytes in
their place. A document keeps its other images: one that could not be fetched has a `problem`. Any
other row is quarantined with the reason, and so is a document with no image left.

What was answered decides a corpus: the digest of the answers is part of its fingerprint. So a
rebuild from the same answers gives the same bytes and asks nobody.
"""
