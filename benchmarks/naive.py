"""What people write first: the same work with a JSON loop and the official client; no state, no checks.

Reads all lines, builds the requests, guesses tokens as characters / 4, writes one file per 50,000 requests,
uploads, creates, polls every second (an hour's batch is usually polled every half minute or minute), takes
`.text` of each file, parses it with `json.loads`, and writes JSON lines and a CSV of the failures. A crash of
it loses everything; it does not retry, count exactly, check a label or bound its memory.
"""

from __future__ import annotations

import csv
import json
import time
from typing import Any

import job

ENDED = ("completed", "failed", "expired", "cancelled")
BATCH = 50_000


def request(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "custom_id": record["id"],
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": job.MODEL,
            "messages": job.messages(record),
            "response_format": job.RESPONSE_FORMAT,
        },
    }


def main() -> None:
    parser = job.arguments(__doc__)
    parser.add_argument("--poll-interval", type=float, default=1.0, help="seconds (1)")
    given = parser.parse_args()

    from openai import OpenAI

    client = OpenAI(base_url=given.base_url, api_key="none")
    records = [json.loads(line) for line in given.input.read_text().splitlines()]
    requests = [request(record) for record in records]
    tokens = sum(len(json.dumps(each["body"])) // 4 for each in requests)
    batches = []
    for first in range(0, len(requests), BATCH):
        path = given.home / f"batch-{first}.jsonl"
        path.write_text("\n".join(json.dumps(each) for each in requests[first : first + BATCH]) + "\n")
        uploaded = client.files.create(file=path, purpose="batch")
        batches.append(
            client.batches.create(
                input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        )
    answers: dict[str, Any] = {}
    failures = []
    for batch in batches:
        while batch.status not in ENDED:
            time.sleep(given.poll_interval)
            batch = client.batches.retrieve(batch.id)
        for file_id in (batch.output_file_id, batch.error_file_id):
            for line in client.files.content(file_id).text.splitlines() if file_id else ():
                row = json.loads(line)
                try:
                    content = row["response"]["body"]["choices"][0]["message"]["content"]
                    answers[row["custom_id"]] = json.loads(content)
                except (KeyError, TypeError, ValueError) as error:
                    failures.append((row["custom_id"], repr(error)))
    with given.output.open("w") as file:
        for record in records:
            if record["id"] in answers:
                file.write(json.dumps({"id": record["id"], **answers[record["id"]]}) + "\n")
    with given.output.with_suffix(".failures.csv").open("w", newline="") as file:
        csv.writer(file).writerows(failures)
    told = {
        "records": len(records),
        "succeeded": len(answers),
        "input_tokens": tokens,
    }
    given.told.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
