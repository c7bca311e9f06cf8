"""An embedder's own ONNX graph: it is served as it is, or with pooling added if it returns vectors of tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Span, Stop, fatal, uninstalled
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.onnxfile import BrokenError, Header, header
from tritonrepo.sources import limits, modules
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder import Wish
from tritonrepo.sources.encoder_files import RULE
from tritonrepo.sources.given import TOKENIZER, Given
from tritonrepo.sources.signature import Signature, faults, signature
from tritonrepo.tree import File, digest

MERGER, PROBE, POOLER = "merger 1", "probe 1", "pooler 1"
"""Increased when the same graph is tried otherwise, or when the same graph is given other nodes."""

POINTER = b"version https://git-lfs"
GRAPH = "model.onnx"
AGAIN = "Download or export the file again."


def own_graph(model: Wish, given: Given, cache: Cache) -> EncoderFiles:
    """Return the graph and its tokenizer; raise Stop with everything that is wrong."""
    at = model.places["source"]
    said, wrong = _header(given, at)
    signed = signature(said, pooled=model.pooling is not None) if said is not None and not wrong else None
    if signed is not None and not signed.tokens:
        wrong += _conflicts(model)
    tokens = given.own.get(TOKENIZER)
    if tokens is None:
        hint = f"Set tokenizer to the {TOKENIZER} of the model, or to its directory."
        wrong.append(_fault(model.places.get("tokenizer", at), f"the embedder has no {TOKENIZER}", hint))
    others = Faults()
    limit = others.tried(lambda: limits.limit(model, given.own, cache), 0)
    if found := [*wrong, *others.found]:
        raise Stop(found)
    assert signed is not None and tokens is not None  # noqa: S101, PT018  nothing was wrong
    whole = _whole(given, at, cache)
    width = _width(whole, signed, at, cache)
    made = EncoderFiles(whole, tokens, width, limit, inputs=signed.inputs, output=signed.output)
    return _pooled(model, given, made, cache) if signed.tokens else made


def _header(given: Given, at: Span) -> tuple[Header | None, list[Diagnostic]]:
    """Return the header of the file, and what is wrong with it and with the files that hold its weights."""
    graph = given.graph
    if graph.read(0, len(POINTER)) == POINTER:
        message = "the ONNX file of the embedder is a Git LFS pointer, not the file itself"
        return None, [_fault(at, message, "Run `git lfs pull`.")]
    try:
        said = header(graph)
    except BrokenError as error:
        reason = "it is empty" if not graph.size else str(error)
        return None, [_fault(at, f"the ONNX file of the embedder is damaged or incomplete: {reason}", AGAIN)]
    return said, [*faults(said, at), *_lost(given, at)]


def _lost(given: Given, at: Span) -> Iterator[Diagnostic]:
    """Yield the files with weights that are not there, or that cannot be next to the graph."""
    for name in sorted({*given.missing, *given.data}):
        path = PurePosixPath(name)
        if path.is_absolute() or not {"", ".", ".."}.isdisjoint(name.split("/")) or name == GRAPH:
            message = f"the ONNX file of the embedder keeps weights in {name!r}, which is not next to it"
            yield _fault(at, message, "Save the model again, with its weights next to it.")
        elif name in given.missing:
            message = f"the ONNX file of the embedder keeps weights in {name!r}, which the source does not have"
            yield _fault(at, message, "Add the file next to the ONNX file.")


def _conflicts(model: Wish) -> Iterator[Diagnostic]:
    """Yield the keys that say what a graph that returns vectors of texts decides itself."""
    for name in ("pooling", "normalize"):
        if name in model.places:
            yield _fault(model.places[name], f"{name} is part of the ONNX file in source", f"Remove {name}.")


def _whole(given: Given, at: Span, cache: Cache) -> File:
    """Return the graph with its weights; raise Stop if they do not fit in one file."""
    if not given.data:
        return given.graph

    def make(place: Path) -> None:
        import onnx
        from google.protobuf.message import DecodeError

        from tritonrepo.export import given as export

        try:
            graph = onnx.load(str(given.graph.path), load_external_data=False)
            (place / GRAPH).write_bytes(export.whole(graph, given.data))
        except (export.UnfitError, DecodeError) as error:
            message = f"the ONNX file of the embedder cannot be used: {error}"
            raise fatal(RULE, at, message, "Use a smaller model, or download all its files again.") from None

    digests = [str(given.graph.sha256), *(f"{name} {file.sha256}" for name, file in sorted(given.data.items()))]
    return cache.tree(f"{MERGER} {digests}", "putting the embedder's weights into one file", make)[GRAPH]


def _width(graph: File, signed: Signature, at: Span, cache: Cache) -> int:
    """Return the number of a vector's values, from a run of the graph on two texts; raise Stop if it fails."""

    def make(place: Path) -> None:
        (place / "width.json").write_text(json.dumps(_tried(graph, signed, at)), "utf-8")

    made = cache.tree(f"{PROBE} {graph.sha256} {signed}", "trying the embedder's ONNX file", make)
    return int(json.loads(made["width.json"].content()))


def _tried(graph: File, signed: Signature, at: Span) -> int:
    try:
        import numpy as np
        import onnxruntime
    except ImportError as error:
        needs = "an embedder's own ONNX file needs numpy, onnx, onnxruntime and tokenizers"
        raise uninstalled("onnx", needs, error) from None
    kinds = {"INT32": np.int32, "INT64": np.int64}
    feed = {name: np.full((2, 3), int(name == "attention_mask"), kinds[kind]) for name, kind in signed.inputs.items()}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is told below
    try:
        session = onnxruntime.InferenceSession(str(graph.path), options, providers=["CPUExecutionProvider"])
        (found,) = session.run([signed.output], feed)
    except Exception as error:  # noqa: BLE001  onnxruntime's own exceptions have only this base class in common
        message = f"ONNX Runtime cannot run the ONNX file of the embedder: {error}"
        raise fatal(RULE, at, message, AGAIN) from None
    shape = (2, 3) if signed.tokens else (2,)
    if found.shape[:-1] != shape or signed.width not in {-1, found.shape[-1]}:
        message = f"the ONNX file of the embedder returns {signed.output} {list(found.shape)} for 2 texts of 3 tokens"
        raise fatal(RULE, at, message, "Export it again with variable dims for batch and tokens.")
    return int(found.shape[-1])


class _Pooling(NamedTuple):
    """What is added to a graph: how the model pools, and the number of a vector's values after it."""

    sentence: modules.Sentence
    normalize: bool
    width: int


def _pooled(model: Wish, given: Given, tokens: EncoderFiles, cache: Cache) -> EncoderFiles:
    """Return the graph with the model's pooling added; raise Stop if nothing says how it pools."""
    at = model.places["source"]
    own = given.own
    sentence = modules.sentence(modules.listed(own, at), own, model.pooling, at)
    normalize = modules.normalized(sentence, own, at, wanted=model.normalize)
    added = _Pooling(sentence, normalize, modules.width(sentence, tokens.dimensions, at))
    weights = digest({name: own[name] for name in sentence.files()})

    def make(place: Path) -> None:
        import onnx

        from tritonrepo.export import given as export

        head = modules.head(sentence, own, normalize=normalize, at=at)
        try:
            graph = onnx.load(str(tokens.onnx.path))
            headed = export.headed(graph, tokens.output, head, added.width)
        except export.UnfitError as error:
            message = f"the ONNX file of the embedder returns vectors of tokens, and {error}"
            raise fatal(RULE, at, message, "Export it with a newer opset.") from None
        (place / GRAPH).write_bytes(headed.content)
        (place / "output").write_text(headed.output, "utf-8")

    key = f"{POOLER} {tokens.onnx.sha256} {tokens.output} {added} {weights}"
    made = cache.tree(key, f"adding pooling to {model.source}", make)
    output, limit = made["output"].content().decode(), tokens.max_tokens
    return EncoderFiles(made[GRAPH], tokens.tokenizer, added.width, limit, inputs=tokens.inputs, output=output)


def _fault(at: Span, message: str, hint: str) -> Diagnostic:
    return Diagnostic(RULE, Severity.FATAL, at, message, hint)
