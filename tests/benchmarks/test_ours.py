"""The benchmark's drive of the project: what is given comes back in pairs of its places."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from benchmarks.duplicates.ours import find


def _picture(seed: int) -> Image.Image:
    """A blurred field of noise: any two of them are far apart."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_equal_bytes_equal_pixels_and_re_encodings_end_together_and_others_do_not():
    first, second, third = _picture(1), _picture(2), _picture(3)
    run = find(
        [
            _saved(first, "PNG"),
            _saved(third, "PNG"),
            _saved(second, "JPEG", quality=90),
            _saved(first, "WEBP", lossless=True),
            _saved(second, "JPEG", quality=90),
            _saved(first, "JPEG", quality=80),
        ]
    )
    assert run.found.merged.tolist() == [[0, 3], [0, 5], [2, 4], [3, 5]]
    assert run.found.candidates.tolist() == run.found.accepted.tolist() == run.found.merged.tolist()
    assert list(run.seconds) == ["signatures", "join", "verify", "clusters"]


def test_one_picture_alone_is_in_no_pair():
    run = find([_saved(_picture(4), "PNG")])
    assert len(run.found.candidates) == len(run.found.merged) == 0
