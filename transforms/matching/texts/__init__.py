"""Contamination by text: training rows that repeat the words of a benchmark's row.

Pictures are not looked at, so text-only sets are covered too. In: the parts of corpora and
benchmarks. Out: ``text_contamination-00007-of-00012.parquet`` and so on, records of
`CONTAMINATION_SCHEMA` with kind ``text``.

  - A turn is one sequence of words: the question with its choices, then the answer, normalised as
    in `contamination.overlap`. Two turns share a text if `ngram` consecutive words are equal (13 as
    for GPT-3, arXiv 2005.14165, appendix C).
  - A sequence that more than `max_texts` different turns of the training data contain, or as many
    of the benchmarks, is a form of words, not a leak (GPT-3: ten). It is no evidence.
  - `score` is the share of the benchmark's words that stand in shared sequences, of its whole turn
    or of the question without its choices, whichever is larger. Pairs below `overlap` are left out.
  - Where both rows have pictures, the row is listed and stays, unless the recipe says otherwise:
    many sets ask one question about thousands of pictures.
  - Texts shorter than `ngram` words are never found: short questions are alike without a leak.
    Rows that show the benchmark's picture are found by the picture.
  - For a training row and a benchmark at most three benchmark rows are listed, strongest first.
"""

from cauldron.transforms.matching.texts.files import TEXT_VERSION, TextJob
from cauldron.transforms.matching.texts.pipeline import FindTexts, text_parts

__all__ = ["TEXT_VERSION", "FindTexts", "TextJob", "text_parts"]
