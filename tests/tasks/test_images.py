"""Images as parts of messages."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from nightmail.tasks.images import MAX_IMAGE_BYTES, image


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "HTTP://example.com/a", "data:image/png;base64,AA=="]
)
def test_a_url_stays_as_it_is(url: str) -> None:
    assert image(url, detail="high") == {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"GIF89a", "gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "webp"),
    ],
)
def test_a_file_goes_inside_by_what_it_is_and_not_by_its_name(
    tmp_path: Path, start: bytes, kind: str
) -> None:
    path = tmp_path / "picture.bin"
    path.write_bytes(start + b"rest")
    url = image(path)["image_url"]["url"]
    head, _, payload = url.partition(",")

    assert head == f"data:image/{kind};base64"
    assert base64.b64decode(payload) == start + b"rest"
    assert image(str(path)) == image(path)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"RIFF0000WAVE"])
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"picture\.png: not a PNG, JPEG, GIF or WebP image"):
        image(path)


def test_a_file_that_is_too_large_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        os.truncate(file.fileno(), MAX_IMAGE_BYTES + 1)
    with pytest.raises(ValueError, match="20,000,001 bytes; an image may have 20,000,000"):
        image(path)


def test_a_missing_file_says_which(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.png"):
        image(tmp_path / "no.png")
