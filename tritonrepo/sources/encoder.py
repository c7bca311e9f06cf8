"""The graph of an embedder: its sentence-transformers files are read, and its weights exported once per content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Faults, Span, Stop, fatal, uninstalled
from tritonrepo.export.family import Encoder
from tritonrepo.export.fields import is_count
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.sources import encoder_files, modules, tokenizer
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder_files import RULE, WEIGHTS
from tritonrepo.sources.modules import Module, Sentence
from tritonrepo.spec.part import Places
from tritonrepo.tree import File, digest

EXPORTER = "encoder 3"
"""Increased when the exporter returns other bytes for the same weights, or reads more files."""

LONGEST = 8192
"""How many tokens a text has at most if neither the stack nor sentence-transformers' own file says more: the attention
of a text has the square of them as scores, for each head, and 32,768 tokens would take a hundred gigabytes."""

NEEDED = ("config.json", "tokenizer.json", WEIGHTS)
LENGTHS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""The names that the Transformer module's own file can have (sentence-transformers, base/modules/transformer.py)."""

READ = (
    *NEEDED,
    "tokenizer_config.json",
    modules.LIST,
    "sentence_*_config.json",
    encoder_files.INDEX,
    "model-*.safetensors",
    "[0-9]*_*/*.json",
    "[0-9]*_*/model*.safetensors",
)
"""All files that are read; a model on the Hub often has copies of its weights in several other formats."""


class Wish(NamedTuple):
    """An encoder in the stack file: the text of its source, what overrides its own files, and their places.

    With `rounded`, weights that would not fit in one ONNX file in FP32 can be rounded to FP16.
    """

    source: str
    pooling: str | None
    normalize: bool | None
    max_tokens: int | None
    places: Places
    rounded: bool = False


def encoder(model: Wish, files: dict[str, File], cache: Cache) -> EncoderFiles:
    """Return the graph, including pooling and normalisation, and the tokenizer.

    Raises Stop if the source lacks a file or needs something that the export cannot do.
    """
    at = model.places["source"]
    said = _said(model, files)
    try:
        from tritonrepo.export import encoder as export

        found = export.parsed(said.config, "config.json")
        sentence, width = said.sentence, modules.width(said.sentence, found.hidden, at)
        normalize = modules.normalized(sentence, files, at, wanted=model.normalize)
        reads = {name: said.files[name] for name in said.weighed()} | {name: files[name] for name in sentence.files()}
        key = f"{EXPORTER} {digest(reads)} {sentence.pools} {sentence.after} {normalize}{' rounded' * model.rounded}"

        def make(place: Path) -> None:
            traits = tokenizer.traits(said.files["tokenizer.json"], found.vocabulary, at)
            (place / "tokenizer-facts.json").write_text(json.dumps(traits._asdict()), "utf-8")
            head = modules.head(sentence, files, normalize=normalize, at=at)
            weights = encoder_files.tensors(said.files, said.shards, at)
            weights = export.rounded(found, weights) if model.rounded else weights
            (place / "model.onnx").write_bytes(export.exported(found, weights, head))

        made = cache.tree(key, f"exporting {model.source} to ONNX", make)
    except Stop as stop:
        raise _placed(stop, at) from None
    except ImportError as error:
        needs = "exporting an embedder needs numpy, onnx, safetensors and tokenizers"
        raise uninstalled("onnx", needs, error) from None
    traits = tokenizer.Traits(**json.loads(made["tokenizer-facts.json"].content()))
    limit = _max_tokens(model, found, said, traits)
    return EncoderFiles(made["model.onnx"], said.files["tokenizer.json"], width, limit)


class Said(NamedTuple):
    """What an embedder's own files say.

    `files` are those of its Transformer, by their names in its directory; `shards` has the file of each of its tensors
    if these are in several.
    """

    files: Mapping[str, File]
    config: Mapping[str, Any]
    own: Mapping[str, Any]
    tokens: Mapping[str, Any]
    sentence: Sentence
    shards: Mapping[str, str]

    def weighed(self) -> list[str]:
        """Return the names of the files that decide the encoder."""
        parts = [encoder_files.INDEX, *sorted(set(self.shards.values()))] if self.shards else [WEIGHTS]
        return ["config.json", "tokenizer.json", *parts]


def _said(model: Wish, files: dict[str, File]) -> Said:
    """Read the embedder's own files; raise Stop with all faults in them."""
    at = model.places["source"]
    faults, listing = Faults(), Faults()
    none: list[Module] = []
    empty: Mapping[str, Any] = {}
    listed = listing.tried(lambda: modules.listed(files, at), none)
    home = f"{listed[0].path}/" if listed and listed[0].path else ""
    inner = {name.removeprefix(home): file for name, file in files.items() if name.startswith(home)}
    for name in NEEDED:
        if name not in inner and not (name == WEIGHTS and encoder_files.weighed(inner)):
            faults.add(*encoder_files.missing(files, home + name, at).diagnostics)
    length = next((name for name in LENGTHS if name in inner), LENGTHS[0])
    config, own, tokens = (
        faults.tried(partial(encoder_files.mapping, inner, name, at), empty)
        for name in ("config.json", length, "tokenizer_config.json")
    )
    faults.add(*listing.found)
    faults.tried(lambda: _plain(own, length, at), None)
    said = Said(
        inner,
        config,
        own,
        tokens,
        faults.tried(lambda: modules.sentence(listed, files, model.pooling, at), Sentence((), ())),
        faults.tried(lambda: encoder_files.shards(inner, at), {}),
    )
    faults.stop()
    return said


def _plain(own: Mapping[str, Any], name: str, at: Span) -> None:
    """Raise Stop if the Transformer module has another use for its model, or another config than its config.json."""
    plain = {
        "transformer_task": "feature-extraction",
        "module_output_name": "token_embeddings",
        "config_args": {},
        "config_kwargs": {},
    }
    for key, value in plain.items():
        if own.get(key, value) != value:
            message = f'"{name}" of the embedder\'s source: {key} is {own[key]!r}, but it must be {value!r} or missing'
            raise fatal(RULE, at, message, "Use another model.")


def _placed(stop: Stop, at: Span) -> Stop:
    """Return the export's diagnostics moved to the stack file; the message names the file in the source."""
    return Stop(
        d if d.at == at else replace(d, at=at, message=f"{Path(d.at.path).name} of the embedder's source: {d.message}")
        for d in stop.diagnostics
    )


def _max_tokens(model: Wish, encoder: Encoder, files: Said, traits: tokenizer.Traits) -> int:
    """Return the limit: the stack's, else the model's own, and at most its number of positions.

    sentence-transformers 5.6 and later keep their limit with the tokenizer (base/modules/transformer.py). There, it can
    also be all that a language model reads, so this is bounded.
    """
    at, own = model.places["source"], files.own
    kept = files.tokens.get("model_max_length")
    said = own.get("max_seq_length") or min(kept if is_count(kept) else encoder.positions, LONGEST)
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
