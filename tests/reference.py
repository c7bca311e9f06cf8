"""Forward passes in NumPy and float64, written for reading, one text at a time: they judge the graphs of `export`.

They follow the papers and transformers' modelling code, and share nothing with the exporters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Weights = Mapping[str, NDArray[Any]]

STEP = 1 / 1024
GRID = np.arange(-6, 6 + STEP, STEP)
AT_GRID = np.array([math.erf(x) for x in GRID])
SLOPE = 2 / math.sqrt(math.pi) * np.exp(-(GRID**2))


def erf(x: Array) -> Array:
    """Cubic Hermite interpolation of math.erf, which NumPy lacks; off by less than 1e-13."""
    x = np.clip(x, -5.999, 5.999)
    at = ((x + 6) / STEP).astype(int)
    t = (x - GRID[at]) / STEP
    left = (1 + 2 * t) * (1 - t) ** 2 * AT_GRID[at] + t * (1 - t) ** 2 * STEP * SLOPE[at]
    right = t**2 * (3 - 2 * t) * AT_GRID[at + 1] + t**2 * (t - 1) * STEP * SLOPE[at + 1]
    return np.asarray(left + right)


def activation(name: str, x: Array) -> Array:
    if name == "relu":
        return np.maximum(x, 0)
    if name == "gelu":
        return 0.5 * x * (1 + erf(x / math.sqrt(2)))
    return 0.5 * x * (1 + np.tanh(0.7978845608028654 * x * (1 + 0.044715 * x * x)))


def softmax(x: Array) -> Array:
    shifted = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


class Bert:
    """BERT, or RoBERTa where `padding` is its padding id: positions count from there and skip that id."""

    def __init__(self, config: Mapping[str, Any], weights: Weights, padding: int | None = None) -> None:
        self.config = config
        self.weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}
        self.padding = padding

    def dense(self, name: str, x: Array) -> Array:
        return np.asarray(x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"])

    def layer_norm(self, name: str, x: Array) -> Array:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        unit = (x - mean) / np.sqrt(variance + self.config["layer_norm_eps"])
        return np.asarray(unit * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"])

    def attention(self, name: str, x: Array) -> Array:
        query, key, value = (self.dense(f"{name}.self.{part}", x) for part in ("query", "key", "value"))
        size = x.shape[1] // self.config["num_attention_heads"]
        heads = [slice(start, start + size) for start in range(0, x.shape[1], size)]
        mixed = [softmax(query[:, h] @ key[:, h].T / math.sqrt(size)) @ value[:, h] for h in heads]
        return self.dense(f"{name}.output.dense", np.concatenate(mixed, axis=1))

    def tokens(self, ids: Sequence[int]) -> Array:
        """Token vectors [tokens, hidden] of one text without padding."""
        places = list(range(len(ids)))
        if self.padding is not None:
            real = [token != self.padding for token in ids]
            places = [self.padding + sum(real[: at + 1]) * real[at] for at in places]
        x = self.weights["embeddings.word_embeddings.weight"][list(ids)]
        x = x + self.weights["embeddings.position_embeddings.weight"][places]
        x = self.layer_norm("embeddings.LayerNorm", x + self.weights["embeddings.token_type_embeddings.weight"][0])
        for layer in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{layer}"
            x = self.layer_norm(f"{at}.attention.output.LayerNorm", x + self.attention(f"{at}.attention", x))
            between = activation(self.config["hidden_act"], self.dense(f"{at}.intermediate.dense", x))
            x = self.layer_norm(f"{at}.output.LayerNorm", x + self.dense(f"{at}.output.dense", between))
        return x

    def embedding(self, ids: Sequence[int], pool: str, *, normalize: bool) -> Array:
        x = self.tokens(ids)
        counts = np.arange(1, len(x) + 1)
        vector = {
            "mean": x.mean(0),
            "cls": x[0],
            "last": x[-1],
            "max": x.max(0),
            "mean_sqrt_len": x.sum(0) / math.sqrt(len(x)),
            "weightedmean": counts @ x / counts.sum(),
        }[pool]
        return np.asarray(vector / np.linalg.norm(vector)) if normalize else vector


class Llama:
    """A Llama decoder under GGUF's names, where a rotated pair of values lies side by side."""

    def __init__(self, weights: Weights, heads: int, shared: int, base: float, epsilon: float) -> None:
        self.weights = {name.removesuffix(".weight"): np.asarray(value, np.float64) for name, value in weights.items()}
        self.heads, self.shared, self.base, self.epsilon = heads, shared, base, epsilon
        self.layers = sum(name.endswith(".attn_q") for name in self.weights)

    def norm(self, name: str, x: Array) -> Array:
        return np.asarray(x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * self.weights[name])

    def rotated(self, x: Array) -> Array:
        size = x.shape[1]
        turns = np.arange(len(x))[:, None] * self.base ** (-np.arange(0, size, 2) / size)
        pairs = (x[:, 0::2] + 1j * x[:, 1::2]) * np.exp(1j * turns)
        return np.asarray(np.stack([pairs.real, pairs.imag], -1).reshape(x.shape))

    def attention(self, at: str, x: Array) -> Array:
        query, key, value = (x @ self.weights[f"{at}.attn_{part}"].T for part in "qkv")
        size = query.shape[1] // self.heads
        future = np.triu(np.full((len(x), len(x)), -np.inf), 1)
        mixed = []
        for head in range(self.heads):
            own = slice(head * size, (head + 1) * size)
            group = head * self.shared // self.heads
            read = slice(group * size, (group + 1) * size)
            scores = self.rotated(query[:, own]) @ self.rotated(key[:, read]).T / math.sqrt(size)
            mixed.append(softmax(scores + future) @ value[:, read])
        return np.asarray(np.concatenate(mixed, axis=1) @ self.weights[f"{at}.attn_output"].T)

    def logits(self, ids: Sequence[int]) -> Array:
        """Logits [vocabulary] of the token after these."""
        x = self.weights["token_embd"][list(ids)]
        for layer in range(self.layers):
            at = f"blk.{layer}"
            x = x + self.attention(at, self.norm(f"{at}.attn_norm", x))
            y = self.norm(f"{at}.ffn_norm", x)
            gate = y @ self.weights[f"{at}.ffn_gate"].T
            x = (
                x
                + (gate / (1 + np.exp(-gate)) * (y @ self.weights[f"{at}.ffn_up"].T)) @ self.weights[f"{at}.ffn_down"].T
            )
        output = self.weights.get("output", self.weights["token_embd"])
        return np.asarray(self.norm("output_norm", x)[-1] @ output.T)
