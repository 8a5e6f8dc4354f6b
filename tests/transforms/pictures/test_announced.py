"""The announced size of an image is what Pillow reads."""

from __future__ import annotations

import io

import pytest
from cauldron.transforms.pictures.announced import announced_size
from cauldron.transforms.pictures.opening import ImageProblem, check_pixels
from PIL import Image


def encoded(kind: str, size: tuple[int, int] = (71, 33), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        encoded("JPEG"),
        encoded("JPEG", progressive=True, comment=b"\xff\xc0 no frame" * 40),
        encoded("PNG"),
        encoded("GIF"),
        encoded("JPEG")[:2] + b"\xff" + encoded("JPEG")[2:],
    ],
)
def test_sizes_are_found(data):
    assert announced_size(data) == (71, 33)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"BM", encoded("WEBP"), encoded("TIFF")])
def test_what_is_not_understood_is_left(data):
    assert announced_size(data) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_a_cut_header_is_no_error(kind):
    data = encoded(kind)
    for length in range(60):
        assert announced_size(data[:length]) in (None, (71, 33))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_more_pixels_than_the_limit_are_refused(kind):
    data = encoded(kind)
    check_pixels(data, 71 * 33)
    with pytest.raises(ImageProblem) as caught:
        check_pixels(data, 71 * 33 - 1)
    assert caught.value.reason == "image_too_large"
