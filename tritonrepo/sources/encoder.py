"""The graph of an embedder: its sentence-transformers files are read, and its weights exported once per content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Faults, Span, Stop, fatal
from tritonrepo.export.family import Encoder
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.sources import tokenizer
from tritonrepo.sources.cache import Cache
from tritonrepo.spec.part import Places
from tritonrepo.tree import File, digest

RULE = "source-encoder"
EXPORTER = "encoder 2"
"""Increased when the exporter returns other bytes for the same weights, or reads more files."""

WEIGHTS = "model.safetensors"
NEEDED = ("config.json", "tokenizer.json", WEIGHTS)
READ = (*NEEDED, "modules.json", "sentence_bert_config.json", "1_Pooling/config.json")
"""All files that are read; a model on the Hub often has copies of its weights in several other formats."""

MODULES = frozenset({"Transformer", "Pooling", "Normalize", "Dropout"})
"""The modules of sentence-transformers that the graph computes; Dropout does nothing in a trained model."""


class Wish(NamedTuple):
    """An encoder in the stack file: the text of its source, what overrides its own files, and their places."""

    source: str
    pooling: str | None
    normalize: bool | None
    max_tokens: int | None
    places: Places


def encoder(model: Wish, files: dict[str, File], cache: Cache) -> EncoderFiles:
    """Return the graph, including pooling and normalisation, and the tokenizer.

    Raises Stop if the source lacks a file or needs something that the export cannot do.
    """
    at = model.places["source"]
    config, own, modules, pooling = _said(model, files)
    normalize = model.normalize if model.normalize is not None else "Normalize" in modules
    key = f"{EXPORTER} {digest({name: files[name] for name in NEEDED})} {pooling} {normalize}"

    def make(place: Path) -> None:
        from tritonrepo.export import heads, weights

        path = files[WEIGHTS].path
        assert path is not None  # noqa: S101  sources give files of this machine
        said = tokenizer.traits(files["tokenizer.json"], found.vocabulary, at)
        (place / "tokenizer-facts.json").write_text(json.dumps(said._asdict()), "utf-8")
        head = heads.Pooling(heads.Pool(pooling), normalize)
        (place / "model.onnx").write_bytes(export.exported(found, weights.safetensors(path), head))

    try:
        from tritonrepo.export import encoder as export

        found = export.parsed(config, "config.json")
        made = cache.tree(key, f"exporting {model.source} to ONNX", make)
    except Stop as stop:
        raise _placed(stop, at) from None
    except ImportError as error:
        needs = "exporting an embedder needs numpy, onnx, safetensors and tokenizers"
        raise fatal("extra-missing", "tritonrepo", needs, f"Run `pip install 'tritonrepo[onnx]'` ({error}).") from None
    traits = tokenizer.Traits(**json.loads(made["tokenizer-facts.json"].content()))
    limit = _max_tokens(model, found, own, traits)
    return EncoderFiles(made["model.onnx"], files["tokenizer.json"], found.hidden, limit)


Said = tuple[Mapping[str, Any], Mapping[str, Any], list[str], str]


def _said(model: Wish, files: dict[str, File]) -> Said:
    """Return config.json, sentence_bert_config.json, modules and pooling; raise Stop with all faults in them."""
    at = model.places["source"]
    faults = Faults()
    hint = f"Add the file, or use another source. This one contains: {', '.join(sorted(files)[:10])}."
    for name in NEEDED:
        if name not in files:
            faults.add(*fatal(RULE, at, f'"{name}" is missing from the embedder\'s source', hint).diagnostics)
    said: Said = (
        faults.tried(lambda: _mapping(files, "config.json", at), {}),
        faults.tried(lambda: _mapping(files, "sentence_bert_config.json", at), {}),
        faults.tried(lambda: _modules(files, at), []),
        model.pooling or faults.tried(lambda: _pooling(files, at), ""),
    )
    faults.stop()
    return said


def _placed(stop: Stop, at: Span) -> Stop:
    """Return the export's diagnostics moved to the stack file; the message names the file in the source."""
    return Stop(
        d if d.at == at else replace(d, at=at, message=f"{Path(d.at.path).name} of the embedder's source: {d.message}")
        for d in stop.diagnostics
    )


def _json(files: dict[str, File], name: str, at: Span) -> Any:  # noqa: ANN401  foreign data
    try:
        return json.loads(files[name].content()) if name in files else None
    except (ValueError, RecursionError) as error:
        raise fatal(RULE, at, f'"{name}" of the embedder\'s source is not valid JSON: {error}') from None


def _mapping(files: dict[str, File], name: str, at: Span) -> Mapping[str, Any]:
    """Return the object in a JSON file; an empty one if the file is missing."""
    said = _json(files, name, at)
    if said is not None and not isinstance(said, dict):
        raise fatal(RULE, at, f'"{name}" of the embedder\'s source is not a JSON object')
    return said or {}


def _modules(files: dict[str, File], at: Span) -> list[str]:
    """Return the modules of the model's own modules.json; raise Stop for one that the graph would omit."""
    said = _json(files, "modules.json", at) or []
    if not isinstance(said, list) or not all(isinstance(module, dict) for module in said):
        raise fatal(RULE, at, '"modules.json" of the embedder\'s source is not a list of modules')
    names = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in said]
    for name in names:
        if name not in MODULES:
            message = f'the embedder has a "{name}" module, which cannot be exported'
            raise fatal(
                RULE, at, message, "Use a model with only Transformer, Pooling and, optionally, Normalize modules."
            )
    return names


def _pooling(files: dict[str, File], at: Span) -> str:
    """Read the pooling from sentence-transformers' own file (sentence_transformers/models/Pooling.py)."""
    said = _mapping(files, "1_Pooling/config.json", at)
    modes = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
    chosen = [name for name, flag in modes.items() if said.get(flag)]
    others = [
        flag for flag, on in said.items() if flag.startswith("pooling_mode_") and on and flag not in modes.values()
    ]
    if len(chosen) != 1 or others:
        seen = ", ".join([*chosen, *others]) or "none"
        message = f"the embedder's own files must name one pooling that can be exported, not {seen}"
        raise fatal(RULE, at, message, "Set pooling to mean, cls or last.")
    return chosen[0]


def _max_tokens(model: Wish, encoder: Encoder, own: Mapping[str, Any], traits: tokenizer.Traits) -> int:
    """Return the limit: the stack's, else the model's own, and at most its number of positions."""
    at = model.places["source"]
    said = own.get("max_seq_length") or encoder.positions
    if not isinstance(said, int) or said < 1:
        message = f"max_seq_length in the embedder's own files must be an integer of at least 1, not {said!r}"
        raise fatal(RULE, at, message, "Fix sentence_bert_config.json.")
    if own.get("do_lower_case") and not traits.lowers:
        message = "the embedder's own files require lower case, but its tokenizer.json does not convert texts to it"
        raise fatal(RULE, at, message, "Use a model whose tokenizer.json converts texts to lower case.")
    if model.max_tokens and model.max_tokens > encoder.positions:
        raise fatal(
            RULE,
            model.places["max_tokens"],
            f"max_tokens is {model.max_tokens}, but the model has only {encoder.positions} positions",
            f"Set max_tokens to at most {encoder.positions}.",
        )
    limit = min(model.max_tokens or said, encoder.positions)
    if limit <= traits.special:
        message = f"max_tokens is {limit}, but the tokenizer adds {traits.special} tokens to every text"
        raise fatal(
            RULE, model.places.get("max_tokens", at), message, f"Set max_tokens to at least {traits.special + 1}."
        )
    return limit
