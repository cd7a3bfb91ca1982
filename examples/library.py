"""The library instead of the command line: records from Python, outputs as a table, no key needed."""

import tempfile
from pathlib import Path

from topics import Topics

import nightmail
from nightmail.testing import simulator

RECORDS = [
    {"id": "json", "text": "JSON is a lightweight data interchange format."},
    {
        "id": "socket",
        "text": "Networking interface: connect, listen, send and receive over the network.",
    },
    {"id": "statistics", "text": "Mean, median, variance and other statistics of numbers."},
]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home, simulator() as server:
        run = nightmail.run(Topics, RECORDS, home=Path(home), base_url=server.url)
        for row in run.outputs().to_pylist():
            print(row["id"], row["topic"], row["why"], sep=" | ")
        print(run.summary["succeeded"], "succeeded, cost", run.cost, "USD (simulated)")
        run.close()
