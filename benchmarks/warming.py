"""A batch of nobody's before a program starts: a provider is up when a client comes, its processes too.

The simulator starts them when it gets its first large batch. That took a second of both processors, amid the
program's own work, or after it, as it happened.
"""

from __future__ import annotations

import io
import json
import time

import dataset
import job

# Some pieces for each process: 4 MB of requests are one.
RECORDS = 16_000
POLL_SECONDS = 0.05


def warm(base_url: str) -> None:
    """Have a large batch answered."""
    import openai

    lines = io.BytesIO()
    for number, (_, text) in enumerate(dataset.texts(RECORDS)):
        body = {"model": job.MODEL, "messages": job.messages({"description": text})}
        line = {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body}
        lines.write(json.dumps(line).encode() + b"\n")
    lines.seek(0)
    with openai.OpenAI(base_url=base_url, api_key="none") as client:
        file = client.files.create(file=("requests.jsonl", lines), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        while batch.status != "completed":
            assert batch.status in ("validating", "in_progress", "finalizing"), batch
            time.sleep(POLL_SECONDS)
            batch = client.batches.retrieve(batch.id)
