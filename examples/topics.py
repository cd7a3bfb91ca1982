from dataclasses import dataclass
from typing import Literal

import nightmail


@dataclass
class Topic:
    topic: Literal["text", "numbers", "files", "network", "processes", "language", "other"]
    why: str


class Topics(nightmail.Task):
    """What is a module of the standard library about?"""

    model = "gpt-4o-mini"
    system = "You sort Python modules by what they are for."
    output = Topic

    def build(self, record):
        return f"Module {record['id']}:\n\n{record['text']}"

    def check(self, output, record):
        if not output.why.strip():
            raise nightmail.Rejected("give a reason in `why`")
