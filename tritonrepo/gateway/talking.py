"""A conversation in OpenAI's form, checked: what only text can be in a prompt is refused, not left out.

Source of the form: https://platform.openai.com/docs/api-reference/chat/create, `messages`.
"""

from __future__ import annotations

from typing import Any

from tritonrepo.gateway.fields import sendable, shown
from tritonrepo.gateway.problem import wrong

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

Turn = dict[str, str]


def conversation(messages: object) -> list[Turn]:
    """Return the turns of a conversation, which ends with one of the user."""
    if not isinstance(messages, list) or not messages:
        raise wrong("`messages` must be a list with at least one message", "messages")
    turns = [_turn(each, f"messages[{place}]") for place, each in enumerate(messages)]
    if turns[-1]["role"] != "user":
        raise wrong("`messages` must end with a message of the user", f"messages[{len(turns) - 1}].role")
    if not turns[-1]["content"].strip():
        raise wrong("the last message is empty", f"messages[{len(turns) - 1}].content")
    return turns


def _turn(value: object, at: str) -> Turn:
    if not isinstance(value, dict):
        raise wrong(f"`{at}` must be an object with `role` and `content`", at)
    role = value.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise wrong(f"`{at}.role` must be system, developer, user or assistant, not {shown(role)}", f"{at}.role")
    if value.get("tool_calls") or value.get("function_call"):
        raise wrong(f"`{at}` calls a tool, which is not supported", at, "unsupported_parameter")
    return {"role": ROLES[role], "content": _content(value.get("content"), f"{at}.content")}


def _content(value: object, at: str) -> str:
    if isinstance(value, str):
        return sendable(value)
    if not isinstance(value, list):
        raise wrong(f"`{at}` must be a string or a list of text parts, not {shown(value)}", at)
    return "\n".join(_part(each, f"{at}[{place}]") for place, each in enumerate(value))


def _part(value: Any, at: str) -> str:  # noqa: ANN401  foreign data
    kind = value.get("type") if isinstance(value, dict) else None
    if kind != "text":
        raise wrong(f"`{at}` must be a part of type text, not {shown(kind)}", at, "unsupported_parameter")
    if not isinstance(value.get("text"), str):
        raise wrong(f"`{at}.text` must be a string", at)
    return sendable(value["text"])
