"""The graph of a reranker: its own files are read, and its weights exported once per content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Faults, Span, Stop, fatal, uninstalled
from tritonrepo.export import encoder as encoders
from tritonrepo.export import rankers
from tritonrepo.export.family import Encoder
from tritonrepo.export.fields import is_count
from tritonrepo.export.heads import Head, TokenVectors
from tritonrepo.export.layers import IDS, MASK, TYPES
from tritonrepo.export.precision import UnfitError
from tritonrepo.generate.inputs import Prefixes, RerankerFiles
from tritonrepo.sources import encoder_files, tokenizer
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder import LENGTHS
from tritonrepo.sources.encoder_files import INDEX, WEIGHTS
from tritonrepo.sources.precision import AGAIN, converted
from tritonrepo.sources.prefixes import NAMES, PROMPTS
from tritonrepo.sources.relevance import RULE, Relevance, Wanted, relevance
from tritonrepo.spec.part import Places
from tritonrepo.tree import File, digest

EXPORTER = "reranker 1"
"""Increased when the exporter returns other bytes for the same weights, or reads more files."""

CROSS, LATE = "cross-encoder", "late-interaction"

NEEDED = ("config.json", "tokenizer.json", WEIGHTS)
SAID = ("config.json", PROMPTS, "tokenizer_config.json", *LENGTHS)
READ = (*NEEDED, *SAID, "modules.json", INDEX, "model-*.safetensors")
"""All files that are read; a model on the Hub often has copies of its weights in several other formats."""

MODULES = {CROSS: ("Transformer",), LATE: ("Transformer", "Pooling", "Normalize", "Dropout")}
"""The modules of sentence-transformers that the graph computes, or that only come after the vectors of tokens."""

Said = Mapping[str, Mapping[str, Any]]


class Wish(NamedTuple):
    """A reranker in the stack file: the text of its source, what overrides its own files, and their places."""

    source: str
    kind: str
    label: str | None
    activation: str | None
    max_tokens: int | None
    places: Places
    precision: str = "fp32"

    def at(self, key: str) -> Span:
        """Return the place of a key, or that of the source."""
        return self.places.get(key, self.places["source"])

    @property
    def wanted(self) -> Wanted:
        """What the stack file says about scores."""
        return Wanted(self.label, self.activation, self.at("label"), self.at("activation"), self.at("source"))


def reranker(model: Wish, files: Mapping[str, File], cache: Cache) -> RerankerFiles:
    """Return the graph, the tokenizer, and how the graph's output becomes a score.

    Raises Stop if the source lacks a file or needs something that the export cannot do.
    """
    at = model.places["source"]
    try:
        said = own(model, files)
        family, head = _parsed(model, said["config.json"])
        score = scored(model, rankers.labels(said["config.json"], "config.json"), said)
        made = _made(model, files, cache, (family, head))
    except Stop as stop:
        raise _placed(stop, at) from None
    except ImportError as error:
        needs = "exporting a reranker needs numpy, onnx, safetensors and tokenizers"
        raise uninstalled("onnx", needs, error) from None
    inputs = (IDS, MASK, *((TYPES,) if model.kind == CROSS and family.types > 1 else ()))
    special = int(json.loads(made["tokenizer-facts.json"].content())["special"])
    limit = max_tokens(model, said, family.positions, special)
    width = int(head.dims(family.hidden)[-1])
    prefixes = own_prefixes(model, said)
    return RerankerFiles(
        made["model.onnx"], files["tokenizer.json"], inputs, head.output, width, limit, *score, prefixes
    )


def own_prefixes(model: Wish, said: Said) -> Prefixes:
    """Return what an encoder reads before queries and passages by its own files; nothing for a cross-encoder."""
    prompts = said[PROMPTS].get("prompts")
    if model.kind == CROSS or not isinstance(prompts, dict):
        return Prefixes()
    found = (
        next((prompts[name] for name in names if isinstance(prompts.get(name), str)), "") for names in NAMES.values()
    )
    return Prefixes(*found)


def lowered(model: Wish, files: RerankerFiles, cache: Cache) -> RerankerFiles:
    """Return the reranker with its graph in the precision that the stack file sets."""
    try:
        return replace(files, onnx=converted(files.onnx, model.precision, "reranker", cache))
    except UnfitError as error:
        message = f"the reranker's graph cannot be converted to {model.precision}: {error}"
        raise fatal(RULE, model.at("precision"), message, AGAIN) from None


def scored(model: Wish, labels: list[str], said: Said) -> Relevance:
    """Return how the graph's output becomes a score."""
    return Relevance(LATE, 0) if model.kind == LATE else relevance(model.wanted, labels, said)


def own(model: Wish, files: Mapping[str, File]) -> Said:
    """Return what the model's own JSON files say, an empty object for each that it lacks.

    Raises Stop with all faults in them, and with the files that the export needs.
    """
    at, faults = model.places["source"], Faults()
    for name in NEEDED:
        if name not in files and not (name == WEIGHTS and INDEX in files):
            faults.add(*encoder_files.missing(files, name, at).diagnostics)
    said = spoken(files, at, faults)
    faults.tried(lambda: _modules(model, files), None)
    if model.kind == CROSS:
        faults.tried(lambda: _prompted(said[PROMPTS], at), None)
    faults.stop()
    return said


def _prompted(said: Mapping[str, Any], at: Span) -> None:
    """Raise Stop if the model puts a prompt of its own before the query."""
    name, prompts = said.get("default_prompt_name"), said.get("prompts")
    if name and isinstance(prompts, dict) and prompts.get(name):
        message = f'the reranker puts its prompt "{name}" before every query, which is not supported'
        raise fatal(RULE, at, message, "Use a model without a default prompt.")


def spoken(files: Mapping[str, File], at: Span, faults: Faults) -> Said:
    """Return the objects in the model's JSON files; what is wrong with them is added to the faults."""
    own = Faults()
    empty: Mapping[str, Any] = {}
    said = {name: own.tried(partial(encoder_files.mapping, files, name, at), empty) for name in SAID}
    faults.add(*map(_told, own.found))
    return said


def _parsed(model: Wish, config: Mapping[str, Any]) -> tuple[Encoder, Head]:
    if model.kind == LATE:
        return encoders.parsed(config, "config.json"), TokenVectors(normalize=True)
    if config.get("architectures") in [[name] for name in encoders.EMBEDDERS]:
        message = f"{config['architectures'][0]} has no classifier for pairs of texts"
        hint = "Use a model with a classifier, or set `kind: late-interaction`."
        raise fatal("export-architecture", "config.json", message, hint)
    return rankers.classifier(config, "config.json")


def _made(model: Wish, files: Mapping[str, File], cache: Cache, parsed: tuple[Encoder, Head]) -> Mapping[str, File]:
    at, (family, head) = model.places["source"], parsed
    pairs, shards = model.kind == CROSS, encoder_files.shards(files, at)
    rounded = model.precision != "fp32"  # allows FP16 for matrices that do not fit in one file in FP32

    def make(place: Path) -> None:
        special = tokenizer.special(files["tokenizer.json"], family.vocabulary, at, pairs=pairs)
        (place / "tokenizer-facts.json").write_text(json.dumps({"special": special}), "utf-8")
        weights = encoder_files.tensors(files, shards, at)
        weights = encoders.rounded(family, weights) if rounded else weights
        (place / "model.onnx").write_bytes(encoders.exported(family, weights, head, pairs=pairs))

    reads = ["config.json", "tokenizer.json", *(sorted(set(shards.values())) or [WEIGHTS])]
    key = f"{EXPORTER} {digest({name: files[name] for name in reads})} {model.kind}{' rounded' * rounded}"
    return cache.tree(key, f"exporting {model.source} to ONNX", make)


def _placed(stop: Stop, at: Span) -> Stop:
    """Return the export's diagnostics moved to the stack file; the message names the file in the source."""
    return Stop(map(_told, (_moved(d, at) for d in stop.diagnostics)))


def _moved(found: Diagnostic, at: Span) -> Diagnostic:
    name = Path(found.at.path).name
    if name != "config.json" and not name.endswith(".safetensors"):
        return found
    return replace(found, at=at, message=f"{name} of the reranker's source: {found.message}")


def _told(found: Diagnostic) -> Diagnostic:
    """Return a diagnostic of files that an embedder also has, as one of a reranker."""
    rule = RULE if found.rule == encoder_files.RULE else found.rule
    return replace(found, rule=rule, message=found.message.replace("embedder's source", "reranker's source"))


def _modules(model: Wish, files: Mapping[str, File]) -> None:
    """Raise Stop for a module of the model's own modules.json that the graph would omit."""
    at = model.places["source"]
    said = encoder_files.parsed(files, "modules.json", at) or []
    if not isinstance(said, list) or not all(isinstance(module, dict) for module in said):
        raise fatal(RULE, at, '"modules.json" of the reranker\'s source is not a list of modules')
    known = MODULES[model.kind]
    for name in (str(module.get("type", "")).rsplit(".", 1)[-1] for module in said):
        if name not in known:
            message = f'the reranker has a "{name}" module, which a {model.kind} cannot have here'
            hint = "Set `kind: late-interaction`." if name in MODULES[LATE] else "Use another model."
            raise fatal(RULE, at, message, hint)


def max_tokens(model: Wish, said: Said, positions: int | None, special: int) -> int:
    """Return the limit of a pair, or of a text: the stack's, else the model's own, and at most its positions."""
    own = next(filter(None, (said[name].get("max_seq_length") for name in LENGTHS)), None)
    if own is not None and not is_count(own):
        message = f"max_seq_length in the reranker's own files must be an integer of at least 1, not {own!r}"
        raise fatal(RULE, model.at("source"), message, "Fix the file, or use another model.")
    named: tuple[Any, ...] = (own, said["tokenizer_config.json"].get("model_max_length"), positions)
    limits: list[int] = [limit for limit in named if is_count(limit)]
    at, limit = model.at("max_tokens"), model.max_tokens or min(limits, default=0)
    if not limit:
        message = "max_tokens is missing, and the reranker's own files do not say it"
        raise fatal(RULE, at, message, "Set max_tokens to the length at which pairs are cut.")
    if positions is not None and limit > positions:
        message = f"max_tokens is {limit}, but the model has only {positions} positions"
        raise fatal(RULE, at, message, f"Set max_tokens to at most {positions}.")
    texts = 2 if model.kind == CROSS else 1
    if limit < special + texts:
        what = "pair" if model.kind == CROSS else "text"
        message = f"max_tokens is {limit}, but the tokenizer adds {special} tokens to every {what}"
        raise fatal(RULE, at, message, f"Set max_tokens to at least {special + texts}.")
    return limit
