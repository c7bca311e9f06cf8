"""One request being answered: its tokens so far, and the step that makes the next one."""

from __future__ import annotations

import time
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from vllm_request import Answer
from vllm_sampler import Choice, Sampler
from vllm_sampling import SamplingParameters
from vllm_text import Transcript


class Engine(Protocol):
    """A source of logits: a graph on onnxruntime, or the script that echoes the prompt."""

    context_length: int
    eos_token_ids: frozenset[int]
    prefill_tokens: int
    token_s: float

    def begin(self, prompt: str) -> tuple[list[int], dict[str, Any]]:
        """Return the prompt's tokens and an empty state."""

    def feed(self, state: dict[str, Any], ids: list[int]) -> NDArray[Any]:
        """Add tokens to the state; return the [vocabulary] logits of the last one."""

    def decode(self, state: dict[str, Any], ids: list[int], *, skip_special: bool) -> str:
        """Return the text of tokens."""


class Delta(NamedTuple):
    """What one token adds to the answer; `reason` is stop or length for the last one."""

    text: str
    reason: str | None
    logprob: float | None
    likeliest: dict[int, dict[str, Any]] | None


class Generation:
    """The sequence of one request; `due` is the time of its next step on the monotonic clock, in seconds."""

    def __init__(self, engine: Engine, given: SamplingParameters, answer: Answer, seed: int | None) -> None:
        self.engine, self.given, self.answer, self.due = engine, given, answer, time.monotonic()
        self.pending, self.state = engine.begin(answer.prompt)
        answer.num_input_tokens = self.total = len(self.pending)
        refuse_length(self.total, engine.context_length)
        self.stopping = set(given.stop_token_ids) | (set() if given.ignore_eos else engine.eos_token_ids)
        self.sampler = Sampler(given, list(self.pending), self.stopping, seed)
        self.transcript = Transcript(self.decode, given.stop, include_stop=given.include_stop_str_in_output)

    def decode(self, ids: list[int]) -> str:
        """Return the text of tokens of this sequence."""
        return self.engine.decode(self.state, ids, skip_special=self.given.skip_special_tokens)

    def advance(self) -> bool:
        """Read a part of the prompt or make one token; return whether there is more to do."""
        if self.answer.is_cancelled():
            self.answer.cancel()
            return False
        fed, self.pending = self.pending[: self.engine.prefill_tokens], self.pending[self.engine.prefill_tokens :]
        logits = self.engine.feed(self.state, fed)
        more = bool(self.pending) or self.make_token(logits)
        self.due = time.monotonic() + self.engine.token_s
        return more

    def make_token(self, logits: NDArray[Any]) -> bool:
        """Choose a token and add its text to the answer; return whether another one follows."""
        choice = self.sampler.choose(logits)
        self.total, self.pending = self.total + 1, [choice.token]
        reason = self.reason_to_end(choice.token)
        piece = self.transcript.take(finished=reason is not None)
        self.answer.add(Delta(piece, reason, choice.logprob, self.described(choice)))
        return reason is None

    def reason_to_end(self, token: int) -> str | None:
        """Add the token's text; return the reason if the sequence ends with it."""
        if token in self.stopping:
            if self.given.include_stop_str_in_output:
                self.transcript.add(token)
            return "stop"
        self.transcript.add(token)
        count = len(self.sampler.output)
        if self.transcript.meets_stop(may_end=count > self.given.min_tokens):
            return "stop"
        return "length" if count == self.given.max_tokens or self.total >= self.engine.context_length else None

    def described(self, choice: Choice) -> dict[int, dict[str, Any]] | None:
        """Return the log probabilities with the tokens' text, as the backend's `logprobs` output shows them."""
        if choice.likeliest is None:
            return None
        return {
            token: {"logprob": logprob, "rank": rank, "decoded_token": self.decode([token])}
            for token, (logprob, rank) in choice.likeliest.items()
            if np.isfinite(logprob)
        }


def refuse_length(tokens: int, limit: int) -> None:
    """Reject a prompt that is empty or leaves no room for an answer (vLLM 0.10, v1/engine/processor.py)."""
    if tokens == 0:
        raise ValueError("The decoder prompt cannot be empty")
    if tokens >= limit:
        raise ValueError(
            f"The decoder prompt (length {tokens}) is longer than the maximum model length of {limit}. "
            "Make sure that `max_model_len` is no smaller than the number of text tokens."
        )
