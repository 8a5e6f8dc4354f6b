"""Which pictures are the same picture, in four rooms.

    corpora ──pictures.py──▶ pictures ──join──▶ candidate pairs ──compare──▶ verdicts ──┬──cluster
                                                                                        └──contamination

Here is what they share: the records and jobs (`records.py`), reading and cutting arrays of records
(`arrays.py`), and the pictures themselves (`pictures.py`). Pixels are read by reference, and only
of pairs whose hashes and shapes are near enough.
"""
