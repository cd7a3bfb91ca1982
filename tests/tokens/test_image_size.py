"""Sizes of images from the first bytes of their files."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.tokens.image_size import size_of_bytes, size_of_data_url

Image = pytest.importorskip("PIL.Image")
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG"},
    "gif": {"format": "GIF"},
    "jpeg": {"format": "JPEG"},
    "progressive jpeg": {"format": "JPEG", "progressive": True},
    "webp": {"format": "WEBP"},
    "lossless webp": {"format": "WEBP", "lossless": True},
    "webp with metadata": {"format": "WEBP", "exif": b"Exif\0\0" + bytes(50)},
    "jpeg with a large profile": {"format": "JPEG", "icc_profile": bytes(200_000)},
}


def _file(kind: str, size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(stream, **FORMATS[kind])
    return stream.getvalue()


def _url(data: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (640, 479), (2049, 33)])
def test_every_format_tells_its_size(kind: str, size: tuple[int, int]) -> None:
    data = _file(kind, size)
    assert size_of_bytes(data) == size
    assert size_of_data_url(_url(data)) == size
    assert size_of_data_url(_url(data).rstrip("=")) == size


def test_line_breaks_inside_base64_do_not_matter() -> None:
    data = base64.encodebytes(_file("jpeg with a large profile", (300, 200))).decode()
    assert size_of_data_url("data:image/jpeg;base64," + data) == (300, 200)


def test_parameters_of_the_media_type_do_not_matter() -> None:
    url = _url(_file("png", (3, 4)), "image/png;name=a.png")
    assert size_of_data_url(url) == (3, 4)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.png",
        "data:image/png,%89PNG",
        "data:image/png;base64,",
        "data:image/png;base64,!!!!not base64!!!!",
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(),
        "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode(),
        "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8\xff\xd9").decode(),
        "",
    ],
)
def test_what_is_no_readable_image_has_no_size(url: str) -> None:
    assert size_of_data_url(url) is None


@given(
    data=st.binary(max_size=200),
    start=st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\0", b"GIF89a"]),
)
def test_no_bytes_make_it_fail(data: bytes, start: bytes) -> None:
    assert size_of_bytes(start + data) == size_of_data_url(_url(start + data))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_short_anywhere_is_read_or_refused_but_never_misread(kind: str) -> None:
    data = _file(kind, (640, 479))
    for end in range(min(len(data), 700)):
        assert size_of_bytes(data[:end]) in (None, (640, 479))


def test_a_large_image_is_not_decoded_to_find_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = base64.b64decode

    def recorded(text: str, *, validate: bool) -> bytes:
        decoded.append(len(text))
        return decode(text, validate=validate)

    url = _url(_file("jpeg with a large profile", (300, 200)) + bytes(5_000_000))
    monkeypatch.setattr(base64, "b64decode", recorded)
    assert size_of_data_url(url) == (300, 200)
    assert sum(decoded) < 1000
