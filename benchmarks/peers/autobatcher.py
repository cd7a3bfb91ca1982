"""The job with autobatcher 0.12: `BatchOpenAI(completion_window="24h")`, one awaited call for each record.

Its batches are as large as they may be (1,000 requests unless told), so that it uploads as few files as the
others. Without `completion_window` text goes to another provider's background calls, not to the Batch API.
"""

from __future__ import annotations

import asyncio
import json
import os

import job
from autobatcher import BatchOpenAI

from peers import ending

BATCH = 50_000


def main() -> None:
    given = job.arguments(__doc__).parse_args()
    records = list(job.records(given.input))

    async def ask() -> list[str]:
        async with BatchOpenAI(
            api_key=os.environ["OPENAI_API_KEY"],
            base_url=given.base_url,
            batch_size=min(BATCH, len(records)),
            poll_interval_seconds=ending.POLL_SECONDS,
            completion_window="24h",
        ) as client:
            completions = await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model=job.MODEL, messages=job.messages(record), response_format=job.RESPONSE_FORMAT
                    )
                    for record in records
                )
            )
        return [completion.choices[0].message.content for completion in completions]

    answers = asyncio.run(ask())
    keys = [record["id"] for record in records]
    ending.write(given, len(records), zip(keys, map(json.loads, answers), strict=True))


if __name__ == "__main__":
    main()
