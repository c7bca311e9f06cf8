"""The prompts of a load on a target: from a file, from a stack's documents, or made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tritonrepo.bench.prompts import Source
from tritonrepo.bench.prompts_file import questions, trace
from tritonrepo.bench.prompts_made import Making
from tritonrepo.bench.prompts_passages import Kind, asked, cut
from tritonrepo.bench.target import Protocol, Target
from tritonrepo.diagnostics import Span, fatal, uninstalled
from tritonrepo.flows.named import content
from tritonrepo.flows.stack import Loaded, load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.indexing import files
from tritonrepo.indexing.vectors import PASSAGES

RANKED = 8
"""Documents of a request to a reranker."""

ROLES = {"embedder": Kind.PASSAGE, "reranker": Kind.RANKING}
PROMPTS = "bench-prompts"
USE = "Use a file with a text on each line, or with JSON Lines."
KINDS = {Protocol.EMBEDDINGS: Kind.PASSAGE, Protocol.RERANK: Kind.RANKING}


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What the prompts are: those of a file, of a trace, of a stack, or else made of words.

    `tokens`, `spread` and `shared` are of made prompts. `documents` is how many a request to a reranker has. None: 8,
    and none for other targets.
    """

    questions: Path | None = None
    trace: Path | None = None
    stack: Path | None = None
    tokens: int = 128
    spread: int = 0
    shared: float = 0.0
    documents: int | None = None
    seed: int = 0


def sources(
    options: PromptOptions, work: Workspace, count: Callable[[str], int] | None = None
) -> Callable[[Target], Source]:
    """Return what gives the source of a target's prompts; raise Stop if a file cannot be used. Files are read once."""
    if options.questions is not None:
        source = questions(content(options.questions, PROMPTS, USE), str(options.questions))
        return lambda _: source
    if options.trace is not None:
        source = trace(content(options.trace, PROMPTS, USE), str(options.trace), options.seed)
        return lambda _: source
    if options.stack is not None:
        return _of_stack(options, load(options.stack, work))
    return lambda target: _made(options, target, count).source


def counter(path: Path) -> Callable[[str], int]:
    """Return what counts the tokens of a text, by a tokenizer.json; raise Stop if it is not one."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise uninstalled("onnx", "counting tokens needs tokenizers", error) from None
    found = content(path, "bench-tokenizer", "Use the model's tokenizer.json.")
    try:
        tokenizer = Tokenizer.from_str(found.decode())
    except Exception as error:  # noqa: BLE001  the library raises nothing narrower
        message = f"the file is not a tokenizer: {error}"
        raise fatal("bench-tokenizer", Span(str(path)), message, "Use the model's tokenizer.json.") from None
    tokenizer.no_truncation()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _made(options: PromptOptions, target: Target, count: Callable[[str], int] | None) -> Making:
    documents = options.documents or (RANKED if target.protocol is Protocol.RERANK else 0)
    return Making(options.tokens, options.spread, options.shared, documents, options.seed, count)


def _of_stack(options: PromptOptions, loaded: Loaded) -> Callable[[Target], Source]:
    passages = list(dict.fromkeys(_passages(loaded)))
    path = str(loaded.paths[0])
    if not passages:
        message = "the stack has no retriever, so no documents to take prompts from"
        raise fatal(PROMPTS, Span(path), message, "Use --questions or --input-tokens.")
    roles = {name: model.role for name, model in loaded.stack.models.items()}

    def source(target: Target) -> Source:
        kind = KINDS.get(target.protocol) or ROLES.get(roles.get(target.model, ""), Kind.QUESTION)
        if options.documents:
            kind = Kind.RANKING
        return asked(passages, kind, options.documents or RANKED, path, options.seed)

    return source


def _passages(loaded: Loaded) -> Iterator[str]:
    """Yield the passages of every search index; of a retriever whose index is not built, those of its documents."""
    for name, model in loaded.stack.models.items():
        recipe = loaded.stack.part(name).index
        if recipe is None:
            continue
        made, at = recipe(model), model.places["documents"]
        index = Path(at.path).parent / made.directory / PASSAGES
        if index.is_file():
            yield from _indexed(index)
        else:
            found = files.read(files.find(made.documents, at, loaded.work.links).all)
            yield from (passage for document in found.all for passage in cut(document.text))


def _indexed(index: Path) -> Iterator[str]:
    """Yield the passages of a search index."""
    for number, line in enumerate(content(index, PROMPTS, "Build the index again.").splitlines(), 1):
        try:
            text = json.loads(line)["text"]
        except (ValueError, TypeError, KeyError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise fatal(
                "bench-prompts", Span(str(index), number), "the line is not a passage", "Build the index again."
            )
        yield text
