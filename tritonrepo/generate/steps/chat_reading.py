"""The events of a streamed chat completion -> its text.

Sources: https://platform.openai.com/docs/api-reference/chat-streaming; vLLM 0.32,
vllm/entrypoints/openai/chat_completion/serving.py, chat_completion_stream_generator: a failure after the first piece
comes as an event with `error` under status 200, and [DONE] follows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from .refusals import Fault, broken, code, shown, worded  # noqa: TID252

DONE = "[DONE]"
CUT = {
    "content_filter": "its content filter stopped the answer",
    "abort": "it aborted the answer",
    "error": "it failed in the middle of the answer",
    "tool_calls": "the model called a tool in place of an answer",
    "function_call": "the model called a function in place of an answer",
}
"""Reasons to finish with which the text is not an answer."""

COUNTS = {"prompt_tokens": "num_input_tokens", "completion_tokens": "num_output_tokens"}
"""What an endpoint counts, and the outputs of the vLLM backend with the same."""

LARGEST = 1 << 32
LONGEST = 1 << 24
"""Maximum characters of an answer: a limit only for an endpoint that does not keep to max_tokens."""


class Reading:
    """What an endpoint has said so far of one answer, and when; comments, which keep a connection open, say nothing."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Begin before the first event."""
        self.secrets = tuple(secrets)
        self.begun, self.finished, self.done, self.thinks = False, False, False, False
        self.length, self.at = 0, 0.0
        self.reason, self.counts = "", dict[str, int]()

    def read(self, data: str) -> str:
        """Return the text that an event adds; raise Fault if it says that something failed, or is none."""
        if data.strip() == DONE:
            self.done = True
            return ""
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            raise broken(f"sent an event that is not JSON: {self.shown(data)}") from None
        if not isinstance(event, dict):
            raise broken(f"sent an event that is not a JSON object: {self.shown(data)}")
        if event.get("error"):
            raise self.failed(event["error"])
        choices = event.get("choices")
        if not isinstance(choices, list):
            raise broken(f"sent an event that is no piece of a chat completion: {self.shown(data)}")
        self.count(event.get("usage"))
        text = "".join(self.piece(each) for each in choices if isinstance(each, dict) and not each.get("index"))
        self.length += len(text)
        if self.length > LONGEST:
            raise broken(f"sent an answer of more than {LONGEST:,} characters")
        return text

    def piece(self, choice: Mapping[str, Any]) -> str:
        """Return the text of a piece; what a model thinks to itself is not part of the answer."""
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        found = [delta.get(name) for name in ("content", "refusal")]
        thought, reason = any(map(delta.get, ("reasoning", "reasoning_content"))), choice.get("finish_reason")
        self.begun = self.begun or thought or any(found)
        self.thinks = (self.thinks or thought) and reason in (None, "length")
        if isinstance(reason, str) and reason in CUT:
            raise broken(f"did not finish: {CUT[reason]}")
        self.finished = self.finished or reason is not None
        self.reason = reason if isinstance(reason, str) else self.reason
        return "".join(text for text in found if isinstance(text, str))

    def count(self, usage: object) -> None:
        """Keep the numbers of tokens, which an endpoint says at the end, or of all so far with each piece."""
        said = usage if isinstance(usage, dict) else {}
        for name in COUNTS:
            number = said.get(name)
            if type(number) is int and 0 <= number < LARGEST:
                self.counts[name] = number

    def told(self) -> dict[str, str | int]:
        """Return why the answer ended, and its tokens, by the names of the outputs; only what the endpoint said."""
        reason = {"finish_reason": self.reason} if self.reason else {}
        return reason | {output: self.counts[name] for name, output in COUNTS.items() if name in self.counts}

    def failed(self, error: object) -> Fault:
        """Return the fault of an error in the stream; its own code is an HTTP status, if it has one."""
        status = error.get("code") if isinstance(error, dict) else None
        number = status if isinstance(status, int) else 500
        return Fault(f"failed while it answered: {self.shown(worded(error))}", code(number))

    def end(self) -> None:
        """Raise Fault unless the answer is complete."""
        if not self.finished:
            after = f"after {self.length} characters" if self.length else "before the first word"
            raise broken(f"ended its answer {after} without a finish_reason")
        if self.thinks and not self.length:
            raise Fault("reached the limit of tokens while its model reasoned, before the first word", code(400))

    def shown(self, text: str) -> str:
        """Return a text of the endpoint as an error shows it."""
        return shown(text, self.secrets)
