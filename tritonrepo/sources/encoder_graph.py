"""An embedder's own ONNX graph, with its tokenizer: nothing is exported, and the graph does its pooling itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.onnxfile import BrokenError, Header, Tensor, header
from tritonrepo.sources import tokenizer
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder import Wish
from tritonrepo.sources.encoder_files import RULE, weighed
from tritonrepo.spec.part import Places
from tritonrepo.tree import File

READER = "tokenizer 1"
TOKENIZER = "tokenizer.json"
ANY_VOCABULARY = 1 << 62
"""How many vectors a graph has is not looked up: its weights may be in another file."""

TAKES = {"input_ids": ("INT64", 2), "attention_mask": ("INT64", 2)}
GIVES = {"embedding": ("FP32", 2)}
"""Data type and number of dimensions of the tensors, by name: those of the graphs that are exported."""


def is_graph(files: Mapping[str, File]) -> bool:
    """Return whether a source has an ONNX file, and no weights that would be exported."""
    return not weighed(files) and any(path.endswith(".onnx") for path in files)


def own_graph(model: Wish, files: Mapping[str, File], beside: Mapping[str, File], cache: Cache) -> EncoderFiles:
    """Return the graph and its tokenizer, which is in the files `beside`; raise Stop with everything that is wrong."""
    at = model.places["source"]
    found = [file for path, file in files.items() if path.endswith(".onnx")]
    if len(found) != 1:
        message = f"the source must contain one ONNX file, not {len(found)}"
        raise fatal(RULE, at, message, f"Choose one of them: {', '.join(sorted(files)[:8])}.")
    dimensions, wrong = 0, [*_conflicts(model)]
    try:
        said = header(found[0])
        wrong += _misfits(said, at)
        dimensions = 0 if wrong else (said.outputs[0].dims or ())[-1]
    except BrokenError as error:
        hint = "Download or export the file again. If it is a Git LFS pointer, fetch it."
        wrong.append(_fault(at, f"the ONNX file of the embedder is damaged or incomplete: {error}", hint))
    tokens = beside.get(TOKENIZER)
    if tokens is None:
        hint = f"Set tokenizer to the {TOKENIZER} of the model, or to its directory."
        wrong.append(_fault(model.places.get("tokenizer", at), f"the embedder has no {TOKENIZER}", hint))
    if wrong:
        raise Stop(wrong)
    assert tokens is not None and model.max_tokens is not None  # noqa: S101, PT018  nothing was wrong
    special = _special(tokens, model.places.get("tokenizer", at), cache)
    if model.max_tokens <= special:
        message = f"max_tokens is {model.max_tokens}, but the tokenizer adds {special} tokens to every text"
        raise fatal(RULE, model.places["max_tokens"], message, f"Set max_tokens to at least {special + 1}.")
    return EncoderFiles(found[0], tokens, dimensions, model.max_tokens)


def _conflicts(model: Wish) -> Iterator[Diagnostic]:
    """Yield the keys that say what the graph itself decides, and the one that it does not say."""
    places: Places = model.places
    for name in ("pooling", "normalize"):
        if name in places:
            yield _fault(places[name], f"{name} is part of the ONNX file in source", f"Remove {name}.")
    if model.max_tokens is None:
        message = "max_tokens is missing, and the ONNX file in source does not say it"
        yield _fault(places["source"], message, "Set max_tokens to the length at which texts are cut.")


def _misfits(said: Header, at: Span) -> Iterator[Diagnostic]:
    for kind, tensors, needed in (("input", said.inputs, TAKES), ("output", said.outputs, GIVES)):
        have = {tensor.name: tensor for tensor in tensors}
        listed = ", ".join(sorted(have))
        if have.keys() != needed.keys():
            message = f"the ONNX file of the embedder must have the {kind}s {' and '.join(needed)}, not {listed}"
            yield _fault(at, message, f"Export it with these {kind}s.")
            continue
        for name, tensor in have.items():
            if not _fits(tensor, needed[name], fixed=kind == "output"):
                dims = "[batch, dimensions]" if kind == "output" else "[batch, tokens], both variable"
                message = f'{kind} "{name}" of the embedder\'s ONNX file must be {needed[name][0]} {dims}'
                yield _fault(at, message, "Export it again.")


def _fits(tensor: Tensor, needed: tuple[str, int], *, fixed: bool) -> bool:
    dims = tensor.dims or ()
    sized = len(dims) == needed[1] and dims[0] == -1 and (dims[-1] > 0 if fixed else dims[-1] == -1)
    return tensor.data_type == needed[0] and sized


def _special(tokens: File, at: Span, cache: Cache) -> int:
    """Return how many tokens the tokenizer adds to every text; raise Stop if the file is not a tokenizer."""

    def make(place: Path) -> None:
        said = tokenizer.traits(tokens, ANY_VOCABULARY, at)
        (place / "facts.json").write_text(json.dumps(said._asdict()), "utf-8")

    made = cache.tree(f"{READER} {tokens.sha256}", "reading the embedder's tokenizer", make)
    return int(json.loads(made["facts.json"].content())["special"])


def _fault(at: Span, message: str, hint: str) -> Diagnostic:
    return Diagnostic(RULE, Severity.FATAL, at, message, hint)
