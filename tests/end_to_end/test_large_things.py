"""Things that are larger than most: they come out right, and memory stays where it was."""

import json
import struct
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from nightmail.simulator import process
from tests.end_to_end.command import Folder

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]

MEGABYTE = 1_000_000
LONG = "a description that goes on and on; " * 2454 + "it ends"
# As much of an image of 512 x 512 as tells its size.
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 512, 512, 8, 2, 0, 0, 0, 0)
IMAGES, IMAGE_BYTES = 4, 5 * MEGABYTE
TASK = """
import atexit
from pathlib import Path

import nightmail


def tell():
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    Path("peak").write_text(str(int(peak) * 1024))


atexit.register(tell)


class Seeing(nightmail.Task):
    model = "gpt-4o"

    def build(self, record):
        text = {"type": "text", "text": record["text"]}
        images = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}", "detail": "low"}}
            for image in record["images"]
        ]
        return [{"role": "user", "content": [text, *images]}]
"""


def test_a_record_of_85904_characters_and_one_with_20_megabytes_of_images(tmp_path: Path) -> None:
    image = b64encode(PNG + bytes(range(256)) * (IMAGE_BYTES // 256)).decode()
    rows = [
        {"id": "short", "text": "a thing", "images": []},
        {"id": "long", "text": LONG[:85_904], "images": []},
        {"id": "seen", "text": "what is this?", "images": [image] * IMAGES},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "seeing.py").write_text(TASK)
    with process.start() as server:
        folder = Folder(tmp_path, server=server.url)
        ended = folder.nightmail(
            "run",
            "seeing.py",
            "--input",
            "rows.jsonl",
            "--output",
            "out.jsonl",
            "--poll-interval",
            "0.1",
            "--json",
        )
    assert ended.code == 0, ended.err
    assert (ended.result["records"], ended.result["succeeded"]) == (3, 3)
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in out] == ["short", "long", "seen"]
    files = sorted((tmp_path / ".nightmail" / "spool").glob("*/requests/*.jsonl"))
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    sent = [json.loads(line)["body"]["messages"][0]["content"] for line in lines]
    assert sent[1][0]["text"] == LONG[:85_904]
    images = [part["image_url"]["url"].partition(",")[2] for part in sent[2][1:]]
    assert len(images) == IMAGES
    # Not compared by pytest, which would show where 27 MB of text differ.
    assert all(each == image for each in images)
    assert int((tmp_path / "peak").read_text()) < 500 * MEGABYTE


def test_200_megabytes_of_results_with_u2028_in_them_and_no_end_of_the_last_line(tmp_path: Path) -> None:
    script = Path(__file__).parent.parent / "stages" / "large_judgement.py"
    ended = subprocess.run(
        [sys.executable, script, tmp_path, "200"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["bytes"] >= 200 * MEGABYTE
    assert told["succeeded"] == told["rows"] == told["right"] == told["count"]
    assert told["problems"] == 0
    assert told["peak"] < 330 * MEGABYTE
