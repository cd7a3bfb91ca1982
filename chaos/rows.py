"""The input of a night: good rows with keys of the scenario's kind, and some that cannot be read."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from chaos.scenario import Scenario

WORDS = ("chess", "star", "comet", "packet", "router", "violin", "sonata", "enzyme", "opera", "planet")


def write_rows(scenario: Scenario, path: Path, marker: str) -> tuple[dict[str, int], frozenset[int]]:
    """Write the rows; every text begins with `marker`, and some are those of earlier ones. Gives the good
    rows' keys with the number of the record of each, and the numbers of the bad ones."""
    chance = random.Random(f"{scenario.seed}/rows")
    repeating = random.Random(f"{scenario.seed}/repeating")
    before: list[str] = []
    bad = frozenset(chance.sample(range(1, scenario.records + 1), scenario.bad_rows))
    keys: dict[str, int] = {}
    with path.open("w", encoding="utf-8") as file:
        for record in range(1, scenario.records + 1):
            if record in bad:
                file.write('{"text": "a row that ends too soon\n')
                continue
            text = f"{marker} {record}: {' '.join(chance.choices(WORDS, k=chance.randint(5, 25)))}"
            if before and repeating.random() < scenario.repeats:
                text = repeating.choice(before)
            else:
                before.append(text)
            row: dict[str, Any] = {"text": text}
            if scenario.keys != "row":
                row["id"] = record if scenario.keys == "integer" else f"text-{record}"
            file.write(json.dumps(row) + "\n")
            keys[f"text-{record}" if scenario.keys == "text" else str(record)] = record
    return keys, bad
