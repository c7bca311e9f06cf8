"""The model that `serve` runs on a CPU in place of a generator's: of a GGUF file, or of a model's own files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tritonrepo.diagnostics import Span, fatal, uninstalled
from tritonrepo.generate.inputs import ChatFiles
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.chat import RULE, decoder
from tritonrepo.sources.chat_files import MODEL, NAMES, json_object, tokenizer_files
from tritonrepo.sources.formats import READ
from tritonrepo.spec.source import Hub, Source
from tritonrepo.tree import File, digest

EXPORTER = "decoder of files 1"
"""Increased when the same files give another graph, tokenizer or generation.json."""

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
GENERATION = "generation_config.json"
GGUF = ".gguf"


def wanted(source: Source) -> tuple[str, ...]:
    """Return the glob patterns of the files that are needed; a model on the Hub can have both kinds."""
    if isinstance(source, Hub) and not source.path.endswith(GGUF):
        return (*NAMES, *READ, GENERATION, INDEX, WHOLE, "model-*.safetensors")
    return (f"*{GGUF}",)


def stand_in(files: dict[str, File], cache: Cache, at: Span, *, by_class: bool) -> Path:
    """Return a directory with an 8-bit ONNX graph, its tokenizer and generation.json; exported once.

    A model's own weights come before a GGUF file next to them. Raise Stop if the model cannot be exported.
    """
    if INDEX in files or WHOLE in files:
        return _of_files(files, cache, at, by_class=by_class)
    if not any(path.endswith(GGUF) for path in files):
        message = f"the local model has neither a GGUF file nor {WHOLE}"
        hint = f"Use one that has. This one contains: {', '.join(sorted(files)[:8])}."
        raise fatal(RULE, at, message, hint)
    return decoder(files, cache, at)


def _of_files(files: Mapping[str, File], cache: Cache, at: Span, *, by_class: bool) -> Path:
    weights = _weights(files, at)
    talk = tokenizer_files(files, cache, at, by_class=by_class)
    used = {name: files[name] for name in (MODEL, GENERATION) if name in files}
    key = digest({**used, **weights, "tokenizer.json": talk.tokenizer})

    def make(place: Path) -> None:
        from tritonrepo.export import llama, modelconfig

        paths = [file.path for file in weights.values() if file.path is not None]
        config = json_object(files, MODEL, at)
        where = str(files[MODEL].path) if MODEL in files else str(paths[0].parent / MODEL)
        checkpoint, sizes = modelconfig.fitting(config, paths, where)
        generation = _generation(files, talk, at, (sizes.vocabulary, sizes.context))
        llama.write(checkpoint, sizes, llama.Beside(talk.tokenizer.content(), generation), place)

    order = json.dumps([EXPORTER, key, talk.bos_token, talk.eos_token, talk.adds_bos])
    try:
        made = cache.tree(order, "exporting the local model to ONNX in 8 bits", make)
    except ImportError as error:
        needs = "reading a local model needs numpy, onnx and tokenizers"
        raise uninstalled("onnx", needs, error) from None
    return cache.directory("decoder", made)


def _weights(files: Mapping[str, File], at: Span) -> dict[str, File]:
    """Return the files of the weights: those in the index of shards, or the only one (transformers, modeling_utils)."""
    if INDEX not in files:
        return {WHOLE: files[WHOLE]}
    named = json_object(files, INDEX, at).get("weight_map")
    names = sorted(set(map(str, named.values()))) if isinstance(named, dict) else []
    if not names:
        raise fatal(RULE, at, f"{INDEX} of the local model names no files", "Download the model again.")
    missing = [name for name in names if name not in files]
    if missing:
        message = f"the local model lacks {missing[0]}, which its {INDEX} names"
        raise fatal(RULE, at, message, "Download the model again.")
    return {name: files[name] for name in names}


def _generation(files: Mapping[str, File], talk: ChatFiles, at: Span, sizes: tuple[int, int]) -> dict[str, Any]:
    """Return generation.json; `sizes` are the model's vocabulary and its context length."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(talk.tokenizer.content().decode())
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if highest >= sizes[0]:
        message = f"the local model's tokenizer has the token id {highest}, but the model only {sizes[0]} tokens"
        raise fatal(RULE, at, message, "Use the model's own tokenizer.")
    own = tokenizer.token_to_id(talk.eos_token) if talk.eos_token else None
    ends = [*dict.fromkeys([*([] if own is None else [own]), *_ends(files, at)])]
    if not ends:
        raise fatal(
            RULE, at, "the local model names no token that ends an answer", f"Add eos_token_id to {GENERATION}."
        )
    begins = tokenizer.token_to_id(talk.bos_token) if talk.adds_bos and talk.bos_token else None
    return {
        "context_length": sizes[1],
        "eos_token_ids": ends,
        "adds_bos": begins is not None,
        "bos_token_id": begins,
    }


def _ends(files: Mapping[str, File], at: Span) -> Iterator[int]:
    """Yield the ids that end an answer besides the tokenizer's own.

    Those of config.json only count without generation_config.json (vLLM, config/model.py, try_get_generation_config).
    """
    said = json_object(files, GENERATION if GENERATION in files else MODEL, at).get("eos_token_id")
    for each in said if isinstance(said, list) else [said]:
        if isinstance(each, int) and not isinstance(each, bool):
            yield each
