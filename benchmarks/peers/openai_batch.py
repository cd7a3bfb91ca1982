"""The job with openai-batch 0.3: `Batch.add_to_batch`, then `submit_wait_download`.

One object writes the file and another sends it, as its own command line does: with one for both, which its
README shows, 0.3.4 reads a file that it has closed. Ends with the result file on disk, as the package does:
no answer is read, and ids are line numbers. It looks every 0.1 s (60 s unless told).
"""

from __future__ import annotations

import os

import job
from openai_batch import Batch
from openai_batch.providers import get_provider_by_base_url

from peers import ending


def main() -> None:
    given = job.arguments(__doc__).parse_args()
    provider = get_provider_by_base_url(given.base_url)
    provider.api_key = os.environ["OPENAI_API_KEY"]
    requests = given.home / "requests.jsonl"
    with Batch(requests, provider=provider) as written:
        for record in job.records(given.input):
            written.add_to_batch(
                model=job.MODEL, messages=job.messages(record), response_format=job.RESPONSE_FORMAT
            )
    with Batch(requests, given.output, provider=provider) as sent:
        sent.submit_wait_download(interval=ending.POLL_SECONDS)
    ending.tell(given, written.n_requests, ending.lines(given.output))


if __name__ == "__main__":
    main()
