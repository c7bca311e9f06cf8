"""A request of the generator -> the body of a chat completion.

Sampling parameters have vLLM's names, as those of its backend for Triton. Seven of them are OpenAI's own and are sent
as they are. Others are sent if the stack file names them, in `sampling` or `endpoint.extra`, since endpoints may refuse
fields that they do not know.

Sources: https://platform.openai.com/docs/api-reference/chat/create; vLLM 0.32,
vllm/entrypoints/openai/chat_completion/protocol.py, ChatCompletionRequest.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

Message = dict[str, str]

OPENAI = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "logit_bias"})
"""Parameters that both APIs have under the same name."""

NEVER = {
    "n": "the answer is one text",
    "logprobs": "the answer is only text",
    "prompt_logprobs": "the answer is only text",
    "detokenize": "the answer is only text",
    "lora_name": "an adapter is an endpoint's model of its own, which endpoint.model can name",
    "guided_decoding": "set response_format in endpoint.extra",
    "extra_args": "name each argument in endpoint.extra",
}
"""Parameters of vLLM's engine that a chat completion has not, or has for other answers than a text, and why."""


def messages(text: str) -> list[Message]:
    """Return the conversation that the prompt step wrote as JSON; any other text is what the user says."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and found and all(map(is_message, found)):
        return [{"role": each["role"], "content": each["content"]} for each in found]
    return [{"role": "user", "content": text}]


def is_message(value: object) -> bool:
    """Whether a value has the form of a message."""
    if not isinstance(value, dict):
        return False
    return value.get("role") in ("system", "user", "assistant") and isinstance(value.get("content"), str)


def sampling(given: str, defaults: Mapping[str, Any], named: Collection[str]) -> dict[str, Any]:
    """Return the parameters to send: the defaults, overridden by the request; raise ValueError for others."""
    try:
        own = json.loads(given) if given else {}
    except RecursionError:
        raise ValueError("sampling_parameters nests too deeply") from None
    except ValueError as error:
        raise ValueError(f"sampling_parameters is not valid JSON: {error}") from None
    if not isinstance(own, dict):
        raise ValueError('sampling_parameters must be a JSON object such as {"max_tokens": 100}')
    for name, value in own.items():
        if name not in named and name not in OPENAI and name != "max_tokens" and not harmless(name, value):
            why = NEVER.get(name, "the stack file can name it in endpoint.extra")
            raise ValueError(f'sampling parameter "{name[:40]}" is not sent to the endpoint: {why}')
    found = {**defaults, **{name: value for name, value in own.items() if name in named or not harmless(name, value)}}
    most = found["max_tokens"]
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ValueError(f"max_tokens must be an integer of at least 1, not {most!r}")
    return found


def picked(parameters: str, named: Collection[str]) -> str:
    """Return those parameters of a request itself that are sent; the others can be the server's or a client's own."""
    found = json.loads(parameters or "{}")
    return json.dumps({name: found[name] for name in found if name in OPENAI or name in named or name == "max_tokens"})


def harmless(name: str, value: object) -> bool:
    """Whether a parameter can be left out: it is null, says what is so anyway, or makes an answer go on at its end.

    Tools that measure vLLM send ignore_eos with each request, and an answer without it is none the worse.
    """
    return value is None or name == "ignore_eos" or (name == "n" and value == 1)


def body(settings: Mapping[str, Any], said: list[Message], chosen: Mapping[str, Any], *, counted: bool) -> bytes:
    """Return the JSON of a request; the limit of the answer is always in it, under the name that the stack chose.

    `counted`: whether the endpoint is to say how many tokens prompt and answer have, if the stack lets it be asked.
    """
    kept = {name: value for name, value in chosen.items() if name != "max_tokens"}
    limit = {settings["limit"]: chosen["max_tokens"]}
    head = {"model": settings["model"], "messages": said, "stream": True}
    usage = {"stream_options": {"include_usage": True}} if counted and settings["usage"] else {}
    whole = {**head, **usage, **settings["extra"], **kept, **limit}
    return json.dumps(whole, ensure_ascii=False).encode("utf-8", "replace")
