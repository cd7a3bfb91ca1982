"""The job with inspect_ai 0.3: `get_model(...).generate` in batch mode, all records at once.

The leanest way through it: an evaluation (`eval`) around the same calls also writes a log of each sample. Its
batches are as large as they may be (100 requests unless told), and it looks every 0.1 s (15 s unless told).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import job
from inspect_ai.model import (
    BatchConfig,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    ModelOutput,
    ResponseSchema,
    get_model,
)
from inspect_ai.util import json_schema

from peers import answer, ending

BATCH = 50_000


def main() -> None:
    given = job.arguments(__doc__).parse_args()
    records = list(job.records(given.input))
    size = min(BATCH, len(records))
    config = GenerateConfig(
        batch=BatchConfig(size=size, max_size=BATCH, send_delay=60.0, tick=ending.POLL_SECONDS),
        max_connections=size,
        response_schema=ResponseSchema(name=job.NAME, json_schema=json_schema(answer.Filed), strict=True),
    )

    async def ask() -> list[ModelOutput]:
        model = get_model(f"openai/{job.MODEL}", config=config, base_url=given.base_url, responses_api=False)
        async with model:
            return await asyncio.gather(
                *(
                    model.generate(
                        [
                            ChatMessageSystem(content=job.SYSTEM),
                            ChatMessageUser(content=job.QUESTION + record["description"]),
                        ]
                    )
                    for record in records
                )
            )

    outputs = asyncio.run(ask())

    def answers() -> Iterator[tuple[str, dict[str, Any]]]:
        for record, output in zip(records, outputs, strict=True):
            if not output.error:
                yield record["id"], json.loads(output.completion)

    ending.write(given, len(records), answers())


if __name__ == "__main__":
    main()
