"""PixelProse: files of several schemas under overlapping names, each read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from cauldron.core.errors import SourceUnavailable, UsageError
from tests.sources.reader_base import (
    Outcome,
    ReaderTests,
    bad,
    outcome_of,
    read_all,
    told,
    write_parquet,
)

WEB = "https://images.example/"
DIGEST = "0123456789abcdef" * 4


def schema(subreddit: pa.DataType) -> pa.Schema:
    text, number = pa.string(), pa.float64()
    return pa.schema(
        [
            ("uid", text),
            ("url", text),
            ("key", text),
            ("status", text),
            ("original_caption", text),
            ("vlm_model", text),
            ("vlm_caption", text),
            ("toxicity", number),
            ("sexual_explicit", number),
            ("watermark_class_id", number),
            ("error_message", pa.null()),
            ("width", pa.int64()),
            ("sha256", text),
            ("subreddit", subreddit),
        ]
    )


def row(name: str, caption: str | None, subreddit: Any = -1, **values: Any) -> dict[str, Any]:
    return {
        "uid": f"{name}" * 4,
        "url": f"{WEB}{name}.jpg",
        "key": "000000001",
        "status": "success",
        "original_caption": "<PERSON> at the sea",
        "vlm_model": "gemini-pro-vision",
        "vlm_caption": caption,
        "width": 640,
        "sha256": DIGEST,
        "subreddit": subreddit,
        **values,
    }


def kept_row(name: str, caption: str, digest: str | None = DIGEST) -> Outcome:
    return told([None, caption], urls=[(f"{WEB}{name}.jpg", digest)])


class TestPixelProse(ReaderTests):
    name = "pixelprose"
    published: ClassVar = [
        "data/vlm_captions_cc12m_00.parquet",
        "data/vlm_captions_common-pool_00.parquet",
        "data/vlm_captions_redcaps_00.parquet",
    ]

    def publish(self, folder: Path, root: Path) -> None:
        cc12m, pool, redcaps = (folder / path for path in self.published)
        prefix = "This image displays:"
        rows = [row("a", f" {prefix} A boat."), row("b", f"{prefix}\n\nTwo boats.")]
        write_parquet(cc12m, [*rows, row("c", "A dog.", status="failed")], schema(pa.int64()))
        rows = [row("d", f"{prefix} "), row("e", None), row("f", "A cat.", sha256="short")]
        write_parquet(pool, [*rows, row("g", "A cat.", status=None)], schema(pa.float64()))
        rows = [row("h", "A hen.", "birds"), row("i", "A hen.", "birds", url=None)]
        write_parquet(redcaps, rows, schema(pa.string()))
        (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
        write_parquet(folder / "data/statistics.parquet", rows, schema(pa.string()))

    def expected(self) -> list[Outcome]:
        return [
            kept_row("a", "A boat."),
            kept_row("b", "Two boats."),
            bad("marked_failed"),
            bad("empty_document"),
            bad("empty_document"),
            kept_row("f", "A cat.", None),
            bad("marked_failed"),
            kept_row("h", "A hen."),
            bad("bad_url"),
        ]

    def test_rows_keep_the_publishers_key(self, root: Path) -> None:
        assert self.read(root)[0].origin.key == "aaaa"

    def test_the_first_rows_are_of_each_part(self, root: Path) -> None:
        folder = root / self.source.repo
        for name in ("cc12m_01", "cc12m_02", "redcaps_01"):
            rows = [row("z", f"Of {name}.")]
            write_parquet(folder / f"data/vlm_captions_{name}.parquet", rows, schema(pa.int64()))
        order = [piece.file.removeprefix("data/vlm_captions_") for piece in self.plan(root)]
        assert order == [
            f"{name}.parquet"
            for name in ("cc12m_00", "common-pool_00", "redcaps_00", "cc12m_01", "redcaps_01",
                         "cc12m_02")
        ]  # fmt: skip

    def test_parts_are_chosen_by_name(self, root: Path) -> None:
        found = read_all(root, self.source, {"parts": ["redcaps"]})
        assert [outcome_of(item) for item in found] == self.expected()[-2:]

    def test_columns_that_a_file_lacks_are_done_without(self, root: Path) -> None:
        bare = pa.schema([("url", pa.string()), ("vlm_caption", pa.string())])
        rows = [{"url": f"{WEB}a.jpg", "vlm_caption": "A boat."}]
        write_parquet(root / self.source.repo / self.published[0], rows, bare)
        assert outcome_of(self.read(root)[0]) == kept_row("a", "A boat.", None)

    def test_a_file_without_captions_is_told(self, root: Path) -> None:
        bare = pa.schema([("url", pa.string())])
        write_parquet(root / self.source.repo / self.published[0], [{"url": WEB}] * 3, bare)
        assert outcome_of(self.read(root)[0]) == bad("wrong_columns", 3)

    @pytest.mark.parametrize("parts", [[], "cc12m", ["laion"], None, [1], [["cc12m"]]])
    def test_wrong_parts_are_told(self, parts: Any) -> None:
        with pytest.raises(UsageError, match="cc12m, redcaps, common-pool"):
            self.source.settled({"parts": parts})

    def test_a_part_that_is_not_there_is_unavailable(self, root: Path) -> None:
        (root / self.source.repo / self.published[0]).unlink()
        with pytest.raises(SourceUnavailable, match="cc12m"):
            read_all(root, self.source, {"parts": ["cc12m"]})
