"""Chooses the next token from the logits of the last position.

Source of the order (minimum length, penalties, temperature, min_p, top_k, top_p) and of raw log probabilities: vLLM
0.10, vllm/v1/sample/sampler.py and ops/penalties.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from vllm_sampling import SamplingParameters


class Choice(NamedTuple):
    """A token, its raw log probability, and the likeliest ones as id → (log probability, rank), if requested."""

    token: int
    logprob: float | None
    likeliest: dict[int, tuple[float, int]] | None


class Sampler:
    """Chooses the tokens of one sequence; `stopping` are the tokens that min_tokens forbids at first."""

    def __init__(self, given: SamplingParameters, prompt: list[int], stopping: set[int], seed: int | None) -> None:
        self.given, self.prompt, self.stopping = given, prompt, sorted(stopping)
        self.output: list[int] = []
        self.random = np.random.default_rng(seed if given.seed is None else given.seed)

    def choose(self, raw: NDArray[Any]) -> Choice:
        """Return the next token for `raw` [vocabulary] FP32 logits, and remember it."""
        logits = raw.astype(np.float64)
        if len(self.output) < self.given.min_tokens:
            logits[self.stopping] = -np.inf
        self.penalise(logits)
        token = int(logits.argmax()) if self.given.is_greedy else self.draw(logits)
        self.output.append(token)
        return self.described(token, raw)

    def penalise(self, logits: NDArray[Any]) -> None:
        """Lower the logits of seen tokens: in prompt and output for the repetition penalty, else only in the output."""
        given = self.given
        if given.repetition_penalty != 1:
            seen = np.unique(np.array(self.prompt + self.output, dtype=np.int64))
            values = logits[seen]
            logits[seen] = np.where(values > 0, values / given.repetition_penalty, values * given.repetition_penalty)
        if self.output and (given.frequency_penalty or given.presence_penalty):
            tokens, counts = np.unique(np.array(self.output, dtype=np.int64), return_counts=True)
            logits[tokens] -= given.frequency_penalty * counts + given.presence_penalty

    def draw(self, logits: NDArray[Any]) -> int:
        """Draw a token from the distribution that temperature, min_p, top_k and top_p leave."""
        given = self.given
        # vLLM raises temperatures between 0 and 0.01 to 0.01.
        weights = np.exp((logits - logits.max()) / max(given.temperature, 0.01))
        if given.min_p:
            weights[weights < given.min_p] = 0
        if 0 < given.top_k < len(weights):
            weights[weights < np.partition(weights, -given.top_k)[-given.top_k]] = 0
        weights /= weights.sum()
        if given.top_p < 1:
            weights = nucleus(weights, given.top_p)
        total = np.cumsum(weights)
        # Drawn below the actual sum, which rounding can move away from 1: the index always has a weight above 0.
        return int(np.searchsorted(total, self.random.random() * total[-1], side="right"))

    def described(self, token: int, raw: NDArray[Any]) -> Choice:
        """Add the log probabilities if the request asked for them; 0 asks for only the chosen token's."""
        count = self.given.logprobs
        if count is None:
            return Choice(token, None, None)
        finite = raw.astype(np.float64) - raw.max()
        logprobs = finite - np.log(np.exp(finite).sum())
        best = np.argsort(-logprobs, kind="stable")[:count]
        chosen = (float(logprobs[token]), int((logprobs > logprobs[token]).sum()) + 1)
        likeliest = {int(index): (float(logprobs[index]), rank) for rank, index in enumerate(best, 1)}
        return Choice(token, chosen[0], {token: chosen, **{key: likeliest[key] for key in likeliest if key != token}})


def nucleus(probabilities: NDArray[Any], top_p: float) -> NDArray[Any]:
    """Return the probabilities with all but the likeliest tokens, whose sum first reaches `top_p`, set to zero."""
    # All tokens below this bound together weigh less than 1 - top_p, so sorting the others is enough.
    candidates = np.flatnonzero(probabilities >= (1 - top_p) / len(probabilities))
    order = candidates[np.argsort(-probabilities[candidates], kind="stable")]
    kept = order[: int(np.searchsorted(np.cumsum(probabilities[order]), top_p)) + 1]
    left = np.zeros_like(probabilities)
    left[kept] = probabilities[kept]
    return left
