"""An embedder's source to its graph: sentence-transformers files read, weights exported, once a content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Faults, Span, Stop, fatal
from tritonrepo.export import bertconfig
from tritonrepo.export.bertconfig import Settings
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.sources import tokenizer
from tritonrepo.sources.cache import Cache
from tritonrepo.spec.part import Places
from tritonrepo.tree import File, digest

RULE = "source-encoder"
EXPORTER = "encoder 2"
"""Raised when the exporter gives other bytes for the same weights, or looks at more."""

WEIGHTS = "model.safetensors"
NEEDED = ("config.json", "tokenizer.json", WEIGHTS)
MODULES = frozenset({"Transformer", "Pooling", "Normalize", "Dropout"})
"""The modules of sentence-transformers that the graph computes; Dropout does nothing once a model is trained."""


class Wish(NamedTuple):
    """What a stack file says of an encoder: the text of its source, what overrides its own files, and where."""

    source: str
    pooling: str | None
    normalize: bool | None
    max_tokens: int | None
    places: Places


def encoder(model: Wish, files: dict[str, File], cache: Cache) -> EncoderFiles:
    """Return the graph with pooling and normalisation in it, and the tokenizer.

    Raises Stop where the source lacks a file or says something that the export cannot do.
    """
    at = model.places["source"]
    config, own, modules, pooling = _said(model, files)
    normalize = model.normalize if model.normalize is not None else "Normalize" in modules
    key = f"{EXPORTER} {digest({name: files[name] for name in NEEDED})} {pooling} {normalize}"

    def make(place: Path) -> None:
        from tritonrepo.export import bert, weights

        path = files[WEIGHTS].path
        assert path is not None  # noqa: S101  sources give files of this machine
        said = tokenizer.traits(files["tokenizer.json"], settings.vocabulary, at)
        (place / "tokenizer-facts.json").write_text(json.dumps(said._asdict()), "utf-8")
        (place / "model.onnx").write_bytes(
            bert.encoder(config, weights.safetensors(path), bert.Pooling(bert.Pool(pooling), normalize))
        )

    try:
        settings = bertconfig.parsed(config, "config.json")
        made = cache.tree(key, f"exporting {model.source} to ONNX", make)
    except Stop as stop:
        raise _placed(stop, at) from None
    except ImportError as error:
        needs = "exporting an embedder needs numpy, onnx, safetensors and tokenizers"
        raise fatal("extra-missing", "tritonrepo", needs, f"pip install 'tritonrepo[onnx]' ({error})") from None
    traits = tokenizer.Traits(**json.loads(made["tokenizer-facts.json"].content()))
    limit = _max_tokens(model, settings, own, traits)
    return EncoderFiles(made["model.onnx"], files["tokenizer.json"], settings.hidden, limit)


Said = tuple[Mapping[str, Any], Mapping[str, Any], list[str], str]


def _said(model: Wish, files: dict[str, File]) -> Said:
    """Return config.json, sentence_bert_config.json, modules and pooling; raise Stop with all that is wrong there."""
    at = model.places["source"]
    faults = Faults()
    hint = f"It holds: {', '.join(sorted(files)[:10])}."
    for name in NEEDED:
        if name not in files:
            faults.add(*fatal(RULE, at, f'the embedder\'s source has no "{name}"', hint).diagnostics)
    said: Said = (
        faults.tried(lambda: _mapping(files, "config.json", at), {}),
        faults.tried(lambda: _mapping(files, "sentence_bert_config.json", at), {}),
        faults.tried(lambda: _modules(files, at), []),
        model.pooling or faults.tried(lambda: _pooling(files, at), ""),
    )
    faults.stop()
    return said


def _placed(stop: Stop, at: Span) -> Stop:
    """Return the export's diagnostics at the place of the stack file; the message names the source's file."""
    return Stop(
        d if d.at == at else replace(d, at=at, message=f"{Path(d.at.path).name} of the embedder's source: {d.message}")
        for d in stop.diagnostics
    )


def _json(files: dict[str, File], name: str, at: Span) -> Any:  # noqa: ANN401  foreign data
    try:
        return json.loads(files[name].content()) if name in files else None
    except (ValueError, RecursionError) as error:
        raise fatal(RULE, at, f'"{name}" of the embedder\'s source is not JSON: {error}') from None


def _mapping(files: dict[str, File], name: str, at: Span) -> Mapping[str, Any]:
    """Return the object in a JSON file; an empty one where there is no such file."""
    said = _json(files, name, at)
    if said is not None and not isinstance(said, dict):
        raise fatal(RULE, at, f'"{name}" of the embedder\'s source is no JSON object')
    return said or {}


def _modules(files: dict[str, File], at: Span) -> list[str]:
    """Return the modules of the model's own modules.json; raise Stop for one that the graph would leave out."""
    said = _json(files, "modules.json", at) or []
    if not isinstance(said, list) or not all(isinstance(module, dict) for module in said):
        raise fatal(RULE, at, '"modules.json" of the embedder\'s source is no list of modules')
    names = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in said]
    for name in names:
        if name not in MODULES:
            message = f'the embedder ends in a "{name}" module, which the export does not compute'
            raise fatal(RULE, at, message, "Choose a model of Transformer, Pooling and, if any, Normalize.")
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
        seen = ", ".join([*chosen, *others]) or "no pooling"
        raise fatal(RULE, at, f"the embedder's own files name {seen}", "Write pooling: mean, cls or last.")
    return chosen[0]


def _max_tokens(model: Wish, settings: Settings, own: Mapping[str, Any], traits: tokenizer.Traits) -> int:
    """Return the limit: the stack's, else the model's own, and never more than it has positions for."""
    at = model.places["source"]
    positions = settings.positions - (0 if settings.padding is None else settings.padding + 1)
    said = own.get("max_seq_length") or positions
    if not isinstance(said, int) or said < 1:
        raise fatal(RULE, at, f"max_seq_length of the embedder's own files is {said!r}", "Mend the file.")
    if own.get("do_lower_case") and not traits.lowers:
        message = "the embedder's own files ask for lower case, which its tokenizer.json does not make"
        raise fatal(RULE, at, message, "Choose a model whose tokenizer has all that it does to a text.")
    if model.max_tokens and model.max_tokens > positions:
        raise fatal(
            RULE,
            model.places["max_tokens"],
            f"max_tokens is {model.max_tokens}; the model has {positions} positions",
            f"Write at most {positions}.",
        )
    limit = min(model.max_tokens or said, positions)
    if limit <= traits.special:
        message = f"max_tokens is {limit}, and the tokenizer adds {traits.special} tokens of its own to every text"
        raise fatal(
            RULE, model.places.get("max_tokens", at), message, f"Write max_tokens: {traits.special + 1} or more."
        )
    return limit
