"""Which pictures are the same picture: signatures joined, pairs verified on pixels, clustered.

    corpora ──pictures──▶ unique pictures ──join──▶ candidate pairs ──verify──▶ scored pairs
                                                    ──cluster──▶ clusters, contamination

Everything here travels as packed arrays of fixed-size records (`records.py`); pixels are read by
reference, and only those of pairs that the stored numbers let through.
"""
