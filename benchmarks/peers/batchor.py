"""The job with batchor 0.0.7: a `BatchJob` over a `JsonlItemSource`, kept in SQLite, with a pydantic model.

tiktoken's vocabulary, which it would download, is that of another package (see peers.toml). Ends with its own
export of the answers. Polls every 0.1 s (1 s unless told).
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

# Before batchor: found without importing the package that has it.
_found = importlib.util.find_spec("litellm")
if _found is not None and _found.origin is not None:
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(_found.origin).parent / "litellm_core_utils" / "tokenizers")

import job  # noqa: E402
from batchor import (  # noqa: E402
    BatchItem,
    BatchJob,
    BatchRunner,
    JsonlItemSource,
    OpenAIEndpoint,
    OpenAIProviderConfig,
    PromptParts,
    SQLiteStorage,
)

from peers import answer, ending  # noqa: E402


def ask(item: BatchItem[Any]) -> PromptParts:
    return PromptParts(prompt=job.QUESTION + item.payload, system_prompt=job.SYSTEM)


def main() -> None:
    given = job.arguments(__doc__).parse_args()
    source = JsonlItemSource(
        given.input,
        item_id_from_row=lambda row: row["id"],
        payload_from_row=lambda row: row["description"],
    )
    runner = BatchRunner(
        storage=SQLiteStorage(path=given.home / "batchor.sqlite3"), temp_root=given.home / "batchor"
    )
    run = runner.run_and_wait(
        BatchJob(
            items=source,
            build_prompt=ask,
            structured_output=answer.Filed,
            provider_config=OpenAIProviderConfig(
                model=job.MODEL,
                endpoint=OpenAIEndpoint.CHAT_COMPLETIONS,
                request_timeout_sec=600,
                poll_interval_sec=ending.POLL_SECONDS,
            ),
        )
    )
    summary = run.summary()
    run.export_terminal_results(str(given.output), append=False)
    ending.tell(given, summary.total_items, summary.completed_items)


if __name__ == "__main__":
    main()
