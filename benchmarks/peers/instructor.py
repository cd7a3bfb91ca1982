"""The job with instructor 1.17: `BatchProcessor` of its `batch` package, with a pydantic model.

Requests go through memory, which is faster than its file. The loop that polls is the caller's. The schema,
`max_tokens` and `temperature` of a request are its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import job
from instructor.batch import BatchProcessor

from peers import answer, ending


def main() -> None:
    given = job.arguments(__doc__).parse_args()
    records = list(job.records(given.input))
    processor = BatchProcessor(f"openai/{job.MODEL}", answer.Filed)
    requests = processor.create_batch_from_messages([job.messages(record) for record in records])
    batch_id = processor.submit_batch(requests)
    while processor.get_batch_status(batch_id)["status"] not in ending.ENDED:
        time.sleep(ending.POLL_SECONDS)
    results = processor.get_results(batch_id)

    def answers() -> Iterator[tuple[str, dict[str, Any]]]:
        for result in results:
            if result.success:
                number = int(result.custom_id.removeprefix("request-"))
                yield records[number]["id"], result.result.model_dump()

    ending.write(given, len(records), answers())


if __name__ == "__main__":
    main()
