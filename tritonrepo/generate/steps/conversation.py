"""`messages`, a conversation in the form of OpenAI's chat completions, as JSON -> its texts.

Source of the form: https://platform.openai.com/docs/api-reference/chat/create, `messages`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
"""Roles of messages, and what they are to a chat template; developer is a newer name of system."""

EXAMPLE = '[{"role": "user", "content": "Why?"}]'
SHOWN = 40
"""Maximum characters of a value that a message shows."""

Turn = dict[str, str]


class Conversation(NamedTuple):
    """The request's own system message, its exchanges before the question, and the question if there is one.

    An exchange is a turn of the user and the answers to it.
    """

    system: str = ""
    earlier: Sequence[Sequence[Turn]] = ()
    question: str | None = None


def conversation(text: bytes) -> Conversation:
    """Return the conversation; raise ValueError if it is not one of texts.

    The question is the last turn if that is the user's. Answers before the first turn of the user are left out, since
    many templates only accept a conversation that the user begins.
    """
    turns = [turn(value, f"messages[{place}]") for place, value in enumerate(listed(text))]
    system = "\n\n".join(each["content"] for each in turns if each["role"] == "system")
    turns = [each for each in turns if each["role"] != "system"]
    question = turns.pop()["content"] if turns and turns[-1]["role"] == "user" else None
    exchanges: list[list[Turn]] = []
    for each in turns:
        if each["role"] == "user":
            exchanges.append([])
        if exchanges:
            exchanges[-1].append(each)
    return Conversation(system, exchanges, question)


def listed(text: bytes) -> list[Any]:
    """Return the list in the JSON."""
    found = parsed(text, "messages")
    if not isinstance(found, list):
        raise ValueError(f"messages must be a JSON list such as {EXAMPLE}")
    return found


def parsed(text: bytes, name: str) -> Any:  # noqa: ANN401  foreign data
    """Return the value of a JSON text; `name` says what it is."""
    try:
        return json.loads(text.decode("utf-8", "replace"))
    except RecursionError:
        raise ValueError(f"{name} nests too deeply") from None
    except ValueError as error:
        raise ValueError(f"{name} is not valid JSON: {error}") from None


def turn(value: object, at: str) -> Turn:
    """Return a message as role and text; `at` says which it is."""
    if not isinstance(value, dict) or "role" not in value:
        raise ValueError(f'{at} must be an object with "role" and "content"')
    role = value["role"]
    if not isinstance(role, str) or role not in ROLES:
        raise ValueError(f"the role of {at} must be {', '.join(list(ROLES)[:-1])} or assistant, not {shown(role)}")
    if value.get("tool_calls") or value.get("function_call"):
        raise ValueError(f"{at} calls a tool, but only text can be in a prompt")
    return {"role": ROLES[role], "content": content(value.get("content"), f"{at}.content")}


def content(value: object, at: str) -> str:
    """Return the text of a message: a string, or parts that are all text."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise ValueError(f"{at} must be a string or a list of text parts, not {shown(value)}")
    texts = []
    for place, part in enumerate(value):
        kind, text = (part.get("type"), part.get("text")) if isinstance(part, dict) else (part, None)
        if kind != "text":
            raise ValueError(f'{at}[{place}] must be {{"type": "text", "text": "…"}}, not of type {shown(kind)}')
        if not isinstance(text, str):
            raise ValueError(f"{at}[{place}].text must be a string, not {shown(text)}")
        texts.append(text)
    return "\n".join(texts)


def shown(value: object) -> str:
    """Return a value as a message shows it."""
    text = value if isinstance(value, (dict, list)) else json.dumps(value)
    if not isinstance(text, str):
        return "an object" if isinstance(value, dict) else "a list"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def joined(turns: list[Turn]) -> list[Turn]:
    """Return the turns with neighbours of the same role as one, since many templates demand that roles alternate."""
    groups = groupby(turns, key=lambda turn: turn["role"])
    return [{"role": role, "content": "\n\n".join(turn["content"] for turn in group)} for role, group in groups]
