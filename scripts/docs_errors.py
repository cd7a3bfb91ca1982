"""List every exception in docs/reference/errors.md from nightmail/errors.py."""

from __future__ import annotations

import inspect

from generated import publish, table

import nightmail
from nightmail import errors


def body() -> str:
    """The tree at the top of the module, then each class with its first line and its base."""
    found = [
        each
        for each in vars(errors).values()
        if inspect.isclass(each) and issubclass(each, Exception) and each.__module__ == errors.__name__
    ]
    tree = (errors.__doc__ or "").strip()
    rows = [
        [
            f"`{each.__name__}`",
            f"`{each.__base__.__name__ if each.__base__ else ''}`",
            "yes" if each.__name__ in nightmail.__all__ else "",
            " ".join((inspect.getdoc(each) or "").split("\n\n")[0].split()),
        ]
        for each in found
    ]
    head = ["exception", "is a", "`nightmail.` has it", "means"]
    return f"```text\n{tree}\n```\n\n{table(head, rows)}"


if __name__ == "__main__":
    publish("docs/reference/errors.md", body(), script=__file__)
