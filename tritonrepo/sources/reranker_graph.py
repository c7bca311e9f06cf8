"""A reranker's own ONNX graph, with its tokenizer: nothing is exported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Span, Stop, fatal
from tritonrepo.export import rankers
from tritonrepo.export.heads import TOKENS
from tritonrepo.export.layers import IDS, MASK, TYPES
from tritonrepo.generate.inputs import RerankerFiles
from tritonrepo.onnxfile import BrokenError, Header, Tensor, header
from tritonrepo.sources import tokenizer
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.given import TOKENIZER
from tritonrepo.sources.limits import ANY_VOCABULARY
from tritonrepo.sources.relevance import RULE
from tritonrepo.sources.reranker import CROSS, Said, Wish, max_tokens, own_prefixes, scored, spoken
from tritonrepo.tree import File

READER = "pair tokenizer 1"


def own_graph(model: Wish, files: Mapping[str, File], beside: Mapping[str, File], cache: Cache) -> RerankerFiles:
    """Return the graph and its tokenizer, which is in the files `beside`; raise Stop with everything that is wrong.

    What the model's own JSON files say counts if they are in the source.
    """
    at, faults = model.places["source"], Faults()
    found = [file for path, file in files.items() if path.endswith(".onnx")]
    if len(found) != 1:
        message = f"the source must contain one ONNX file, not {len(found)}"
        raise fatal(RULE, at, message, f"Choose one of them: {', '.join(sorted(files)[:8])}.")
    said = spoken(files, at, faults)
    graph = faults.tried(lambda: _checked(found[0], model), None)
    tokens = beside.get(TOKENIZER)
    if tokens is None:
        hint = f"Set tokenizer to the {TOKENIZER} of the model, or to its directory."
        faults.add(_fault(model.at("tokenizer"), f"the reranker has no {TOKENIZER}", hint))
    faults.stop()
    assert graph is not None and tokens is not None  # noqa: S101, PT018  nothing was wrong
    inputs = tuple(name for name in (IDS, MASK, TYPES) if name in {tensor.name for tensor in graph.inputs})
    output = _output(graph, model)
    width = (output.dims or ())[-1]
    limit = max_tokens(model, said, None, _special(tokens, model, cache))
    score = scored(model, _labels(said, width), said)
    return RerankerFiles(found[0], tokens, inputs, output.name, width, limit, *score, own_prefixes(model, said))


def _labels(said: Said, width: int) -> list[str]:
    """Return the names of the graph's labels: those of config.json if it has as many."""
    config = said["config.json"]
    names = rankers.labels(config, "config.json") if "id2label" in config else []
    return names if len(names) == width else [f"LABEL_{number}" for number in range(width)]


def _checked(file: File, model: Wish) -> Header:
    at = model.places["source"]
    try:
        said = header(file)
    except BrokenError as error:
        hint = "Download or export the file again. If it is a Git LFS pointer, fetch it."
        raise fatal(RULE, at, f"the ONNX file of the reranker is damaged or incomplete: {error}", hint) from None
    wrong = [*_misfits(said, model)]
    if wrong:
        raise Stop(wrong)
    return said


def _misfits(said: Header, model: Wish) -> Iterator[Diagnostic]:
    at, needed = model.places["source"], {IDS, MASK}
    names = {tensor.name for tensor in said.inputs}
    if not needed <= names <= {*needed, TYPES}:
        message = f"the ONNX file of the reranker must have the inputs {IDS} and {MASK}, not {', '.join(sorted(names))}"
        yield _fault(at, message, f"Export it with these inputs; {TYPES} can be a third one.")
    for tensor in said.inputs:
        if tensor.name in {*needed, TYPES} and not _fits(tensor, "INT64", (-1, -1)):
            message = f'input "{tensor.name}" of the reranker\'s ONNX file must be INT64 [batch, tokens], both variable'
            yield _fault(at, message, "Export it again.")
    name, dims, shown = _needed(model)
    output = next((tensor for tensor in said.outputs if tensor.name == name), None)
    if output is None:
        listed = ", ".join(sorted(tensor.name for tensor in said.outputs))
        yield _fault(at, f"the ONNX file of the reranker must have the output {name}, not {listed}", "Export it again.")
    elif not _fits(output, "FP32", dims):
        message = f'output "{name}" of the reranker\'s ONNX file must be FP32 {shown}'
        yield _fault(at, message, "Export it again.")


def _needed(model: Wish) -> tuple[str, tuple[int, ...], str]:
    """Return the output that a kind of reranker has: its name, its dims with 0 for any fixed size, and as text."""
    if model.kind == CROSS:
        return rankers.LOGITS, (-1, 0), "[batch, labels]"
    return TOKENS, (-1, -1, 0), "[batch, tokens, dimensions]"


def _output(said: Header, model: Wish) -> Tensor:
    name = _needed(model)[0]
    return next(tensor for tensor in said.outputs if tensor.name == name)


def _fits(tensor: Tensor, data_type: str, dims: tuple[int, ...]) -> bool:
    have = tensor.dims or ()
    sized = len(have) == len(dims) and all(
        size > 0 if dim == 0 else size == dim for size, dim in zip(have, dims, strict=True)
    )
    return tensor.data_type == data_type and sized


def _special(tokens: File, model: Wish, cache: Cache) -> int:
    """Return how many tokens the tokenizer adds to every pair or text; raise Stop if the file is not a tokenizer."""
    pairs = model.kind == CROSS

    def make(place: Path) -> None:
        special = tokenizer.special(tokens, ANY_VOCABULARY, model.at("tokenizer"), pairs=pairs)
        (place / "facts.json").write_text(json.dumps({"special": special}), "utf-8")

    made = cache.tree(f"{READER} {tokens.sha256} {pairs}", "reading the reranker's tokenizer", make)
    return int(json.loads(made["facts.json"].content())["special"])


def _fault(at: Span, message: str, hint: str) -> Diagnostic:
    return Diagnostic(RULE, Severity.FATAL, at, message, hint)
