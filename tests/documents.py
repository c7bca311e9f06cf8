"""The documents, taken apart: their blocks of code, and the statements that they make.

A statement is a heading, a sentence, an item's sentence, a row of a table, a block of `text`, or a comment in a
block of code. How lines are wrapped does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import click

from tritonrepo.cli import COMMANDS, root

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = {path.name: path for path in (README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
SENTENCE = re.compile(r"(?<=[.?!])(\*\*)? +")
CHUNK = re.compile(r"\n(?=- |\d+\. |\| |#)|\n\n+")


class Block(NamedTuple):
    """A fenced block: the document, its language, its text."""

    page: str
    language: str
    text: str


def blocks(name: str) -> list[Block]:
    return [Block(name, language, text) for language, text in FENCE.findall(PAGES[name].read_text("utf-8"))]


def statements(text: str) -> Iterator[str]:
    """Yield what a text in Markdown states, in its order."""
    plain = FENCE.sub(_spoken, text)
    for chunk in CHUNK.split(re.sub(r"^[|-]+\n", "", plain, flags=re.MULTILINE)):
        line = " ".join(chunk.split())
        if not line:
            continue
        if line.startswith(("| ", "#")):
            yield line
        else:
            yield from _sentences(re.sub(r"^(?:-|\d+\.) ", "", line))


def _spoken(fence: re.Match[str]) -> str:
    """Return what a block says to a reader: all of a `text`, the comments of code."""
    language, text = fence.groups()
    said = [text.strip()] if language == "text" else re.findall(r"# .*", text) if language != "console" else []
    return "".join(f"\n\n`{each}`\n\n" for each in said)


def _sentences(line: str) -> Iterator[str]:
    """Yield the sentences of a paragraph; a period in code ends none."""
    spans = SPAN.findall(line)
    bare = SPAN.sub("`\0`", line)
    for part in SENTENCE.sub(lambda end: f"{end[1] or ''}\n", bare).split("\n"):
        yield re.sub("\0", lambda _: spans.pop(0), part)


@cache
def stated() -> dict[str, list[str]]:
    """Return page → statements, in order. Of what is made from the code, only what is written by hand counts."""
    pages = {
        Path(name).stem: [cells for each in statements(_by_hand(name)) if (cells := _meaning(name, each))]
        for name in PAGES
    }
    return pages | {"help": [*_help()]}


def commands() -> dict[str, click.Command]:
    """Return every command by its words, subcommands after their group."""
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        assert command is not None
        found[name] = command
        below = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{name} {each}": one for each, one in below.items()}
    return found


def _help() -> Iterator[str]:
    """Yield what the help of each command states, then that of each option, with the commands that have it."""
    options: dict[str, list[str]] = {}
    for name, command in commands().items():
        yield from (f"{name}: {each}" for each in statements((command.help or "").replace("\b", "")))
        for option in command.params:
            if isinstance(option, click.Option):
                options.setdefault(f"{option.opts[-1]}: {' '.join((option.help or '').split())}", []).append(name)
    every = len(commands())
    for text, names in options.items():
        yield f"{'every command' if len(names) == every else ', '.join(names)} {text}"


def _by_hand(name: str) -> str:
    """Return the text of a page; of the index of rules, only what comes before its tables."""
    text = PAGES[name].read_text("utf-8")
    return text.partition("\n## ")[0] if name == "rules.md" else text


def _meaning(name: str, statement: str) -> str:
    """Return a row of the stack's reference without its type and default, which are the code's."""
    if name != "stack.md" or not statement.startswith("| "):
        return statement
    key, _, rest = statement.partition(" | ")
    return f"{key} | {rest.rpartition(' | ')[2].removeprefix('| ')}"
