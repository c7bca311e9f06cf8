"""How GitHub's runner reads a line of a step's output as a command.

Source: actions/runner, src/Runner.Common/ActionCommand.cs (TryParseV2, TryParse and what they unescape), and
src/Runner.Worker/ActionCommandManager.cs, where the first form is tried before the second.
"""

from __future__ import annotations

from typing import NamedTuple

REGISTERED = {
    *("add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice"),
    *("remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning"),
}
DATA = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))
PROPERTY = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))
LEGACY = (("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%25", "%"))


class Command(NamedTuple):
    """A command with its properties and data, unescaped."""

    name: str
    properties: dict[str, str]
    data: str


def command(line: str) -> Command | None:
    """Return the command that the runner sees in a line; None if it prints the line."""
    text = line.lstrip()
    if text.startswith("::") and "::" in text[2:]:
        head, _, data = text[2:].partition("::")
        if found := _command(head, data, ",", (PROPERTY, DATA)):
            return found
    _, prefix, rest = line.partition("##[")
    head, bracket, data = rest.partition("]")
    return _command(head, data, ";", (LEGACY, LEGACY)) if prefix and bracket else None


def _command(head: str, data: str, comma: str, escapes: tuple[tuple[tuple[str, str], ...], ...]) -> Command | None:
    name, _, rest = head.partition(" ")
    if name.lower() not in REGISTERED:
        return None
    pairs = (pair.partition("=") for pair in rest.strip().split(comma) if pair)
    properties = {key: _unescaped(value, escapes[0]) for key, _, value in pairs if value}
    return Command(name, properties, _unescaped(data, escapes[1]))


def _unescaped(text: str, escapes: tuple[tuple[str, str], ...]) -> str:
    for written, meant in escapes:
        text = text.replace(written, meant)
    return text
