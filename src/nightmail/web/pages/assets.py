"""The pages' own files: one style sheet, one script, one picture.

Each is named with a digest of its content, so that a browser may keep it for ever and never has an old one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter
from fastapi.responses import Response

from nightmail.web.problems import not_found

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).parents[1] / "static"
MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Asset(NamedTuple):
    digest: str
    content: bytes
    media: str


def _read() -> dict[str, Asset]:
    found = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in MEDIA:
            content = path.read_bytes()
            found[path.name] = Asset(hashlib.sha256(content).hexdigest()[:16], content, MEDIA[path.suffix])
    return found


ASSETS = _read()


def asset(name: str) -> str:
    """The path at which the file is served."""
    return f"/static/{ASSETS[name].digest}/{name}"


@router.get("/static/{digest}/{name}")
async def read_asset(digest: str, name: str) -> Response:
    known = ASSETS.get(name)
    if known is None or known.digest != digest:
        raise not_found("such file")
    return Response(
        known.content,
        media_type=known.media,
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )
