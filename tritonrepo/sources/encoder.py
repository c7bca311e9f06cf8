"""An embedder's source to its graph: sentence-transformers files read, weights exported, once a content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.sources.cache import Cache
from tritonrepo.spec.stack import Embedder
from tritonrepo.tree import File, digest

RULE = "source-encoder"
EXPORTER = "encoder 1"
"""Raised when the exporter gives other bytes for the same weights."""

WEIGHTS = "model.safetensors"


def encoder(model: Embedder, files: dict[str, File], cache: Cache) -> EncoderFiles:
    """Give the graph with pooling and normalisation in it, and the tokenizer.

    Raises Stop where the source lacks a file or says something that the export cannot do.
    """
    at = model.places["source"]
    for name in ("config.json", "tokenizer.json", WEIGHTS):
        if name not in files:
            raise fatal(
                RULE, at, f'the embedder\'s source has no "{name}"', f"It holds: {', '.join(sorted(files)[:10])}."
            )
    config = _json(files, "config.json", at)
    pooling = model.pooling or _pooling(files, at)
    normalize = model.normalize if model.normalize is not None else _normalizes(files, at)
    key = f"{EXPORTER} {digest({name: files[name] for name in ('config.json', WEIGHTS)})} {pooling} {normalize}"

    def make(place: Path) -> None:
        from tritonrepo.export import bert, weights

        path = files[WEIGHTS].path
        assert path is not None  # noqa: S101  sources give files of this machine
        (place / "model.onnx").write_bytes(
            bert.encoder(config, weights.safetensors(path), bert.Pooling(bert.Pool(pooling), normalize))
        )

    return EncoderFiles(
        cache.tree(key, f"exporting {model.source.text} to ONNX", make)["model.onnx"],
        files["tokenizer.json"],
        int(config["hidden_size"]),
        _max_tokens(model, config, files),
    )


def _json(files: dict[str, File], name: str, at: Span) -> Any:  # noqa: ANN401  foreign data
    try:
        return json.loads(files[name].content()) if name in files else None
    except ValueError as error:
        raise fatal(RULE, at, f'"{name}" of the embedder\'s source is not JSON: {error}') from None


def _pooling(files: dict[str, File], at: Span) -> str:
    """Read the pooling from sentence-transformers' own file (sentence_transformers/models/Pooling.py)."""
    said = _json(files, "1_Pooling/config.json", at)
    modes = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
    chosen = [name for name, flag in modes.items() if said and said.get(flag)]
    others = [
        flag
        for flag, on in (said or {}).items()
        if flag.startswith("pooling_mode_") and on and flag not in modes.values()
    ]
    if len(chosen) != 1 or others:
        seen = ", ".join([*chosen, *others]) or "no pooling"
        raise fatal(RULE, at, f"the embedder's own files name {seen}", "Write pooling: mean, cls or last.")
    return chosen[0]


def _normalizes(files: dict[str, File], at: Span) -> bool:
    """Whether the model's own modules.json ends in sentence-transformers' Normalize."""
    return any(str(module.get("type", "")).endswith(".Normalize") for module in _json(files, "modules.json", at) or [])


def _max_tokens(model: Embedder, config: dict[str, Any], files: dict[str, File]) -> int:
    """Give the limit: the stack's, else the model's own, and never more than it has positions for."""
    positions = int(config["max_position_embeddings"])
    at = model.places["source"]
    own = (_json(files, "sentence_bert_config.json", at) or {}).get("max_seq_length") or positions
    if model.max_tokens and model.max_tokens > positions:
        raise fatal(
            RULE,
            model.places["max_tokens"],
            f"max_tokens is {model.max_tokens}; the model has {positions} positions",
            f"Write at most {positions}.",
        )
    return min(model.max_tokens or own, positions)
