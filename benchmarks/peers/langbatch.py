"""The job with langbatch 0.1: `OpenAIChatCompletionBatch.create_from_requests`, `start`, `get_results`.

The loop that polls is the caller's; its `BatchHandler`, which has one of its own, looks once an hour unless
told. Answers come as the provider's choices and are parsed as JSON here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

# Before langbatch, which would keep its files beside its own code.
os.environ["LANGBATCH_DATA_PATH"] = "langbatch"

import job
from langbatch.openai import OpenAIChatCompletionBatch

from peers import ending


def main() -> None:
    given = job.arguments(__doc__).parse_args()
    requests = [
        {
            "custom_id": record["id"],
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": job.MODEL,
                "messages": job.messages(record),
                "response_format": job.RESPONSE_FORMAT,
            },
        }
        for record in job.records(given.input)
    ]
    batch = OpenAIChatCompletionBatch.create_from_requests(requests)
    batch.start()
    batch.save()
    while batch.get_status() not in ending.ENDED:
        time.sleep(ending.POLL_SECONDS)
    succeeded, _ = batch.get_results()
    ending.write(given, len(requests), answers(succeeded or []))


def answers(results: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for result in results:
        yield result["custom_id"], json.loads(result["choices"][0]["message"]["content"])


if __name__ == "__main__":
    main()
