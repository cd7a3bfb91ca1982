"""What a run imports when: Arrow only once its first batch is at the provider."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import asyncio, sys
from pathlib import Path
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider

class Watched(ScriptedProvider):
    async def create(self, **asked):
        print("create", "pyarrow" in sys.modules)
        return await super().create(**asked)

    async def poll(self, provider_batch_id):
        print("poll", "pyarrow" in sys.modules)
        return await super().poll(provider_batch_id)

asyncio.run(Desk(Path(sys.argv[1]), Watched()).drive())
"""


@pytest.mark.end_to_end
def test_arrow_is_imported_between_the_first_batch_and_the_first_look(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines() == ["create False", "poll True"]
