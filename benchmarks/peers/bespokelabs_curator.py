"""The job with bespokelabs-curator 0.1: an `LLM` with `batch=True` and a pydantic `response_format`.

Its batches are as large as they may be (10,000 requests unless told), and it looks every second, which is the
least (60 s unless told).
"""

from __future__ import annotations

from typing import Any

import job
from bespokelabs import curator
from datasets import Dataset

from peers import answer, ending

BATCH = 50_000


class Sections(curator.LLM):
    response_format = answer.Filed

    def prompt(self, input: dict[str, Any]) -> list[dict[str, Any]]:
        return job.messages(input)

    def parse(self, input: dict[str, Any], response: answer.Filed) -> dict[str, Any]:
        return {"id": input["id"], "section": response.section, "why": response.why}


def main() -> None:
    given = job.arguments(__doc__).parse_args()
    records = Dataset.from_list(list(job.records(given.input)))
    sections = Sections(
        model_name=job.MODEL,
        batch=True,
        backend="openai",
        backend_params={
            "base_url": given.base_url,
            "batch_size": BATCH,
            "batch_check_interval": 1,
        },
    )
    found = sections(records, working_dir=str(given.home / "curator"))
    found.dataset.to_json(given.output)
    ending.tell(given, len(records), found.dataset.num_rows)


if __name__ == "__main__":
    main()
