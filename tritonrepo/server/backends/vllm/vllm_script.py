"""The engine without a model: it echoes the words of the prompt, one per token, for tests of the contract."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ScriptEngine:
    """Echoes one token every TRITONREPO_SCRIPT_TOKEN_MS milliseconds (default 5). A token is a word of the prompt."""

    eos_token_ids: frozenset[int] = frozenset()
    prefill_tokens = 1 << 30

    def __init__(self, context_length: int | None) -> None:
        self.context_length = context_length or 1 << 20
        given = os.environ.get("TRITONREPO_SCRIPT_TOKEN_MS") or "5"
        try:
            self.token_s = float(given) / 1000
        except ValueError as error:
            raise ValueError(f"TRITONREPO_SCRIPT_TOKEN_MS must be a number of milliseconds, not '{given}'") from error

    def begin(self, prompt: str) -> tuple[list[int], dict[str, Any]]:
        """Return one token per word; the state holds the words and how many were echoed."""
        words = prompt.split()
        return list(range(len(words))), {"words": words, "echoed": 0}

    def feed(self, state: dict[str, Any], ids: list[int]) -> NDArray[Any]:  # noqa: ARG002  the next word depends on no token
        """Return logits that leave one choice: the next word."""
        logits = np.full(len(state["words"]), -np.inf, np.float32)
        logits[state["echoed"] % len(logits)] = 0
        state["echoed"] += 1
        return logits

    def decode(self, state: dict[str, Any], ids: list[int], *, skip_special: bool) -> str:  # noqa: ARG002  it has no special tokens
        """Return the words, each followed by a space."""
        return "".join(f"{state['words'][index]} " for index in ids)
