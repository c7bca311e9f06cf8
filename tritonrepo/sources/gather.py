"""Everything that a stack names, resolved: what `generate` is given, and the pins that the lock keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.generate.inputs import ChatFiles, EncoderFiles, IndexFiles, Inputs
from tritonrepo.generate.roles.generator import longest_answer, window
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.chat import chat
from tritonrepo.sources.encoder import encoder
from tritonrepo.sources.prompt import checked
from tritonrepo.sources.resolve import Resolved, resolve
from tritonrepo.sources.vendored import vendored
from tritonrepo.spec.lock import Lock, Pin
from tritonrepo.spec.source import Source
from tritonrepo.spec.stack import Embedder, Generator, Retriever, Stack
from tritonrepo.stores.links import inside
from tritonrepo.tree import File, on_disk

EMBEDDINGS = "embeddings.npy"
PASSAGES = "passages.jsonl"


class Gathering:
    """Resolves the sources of one stack against one lock; remembers the pins of what it read.

    `links` are directories into which links may lead out of the stack's own and out of its sources.
    """

    def __init__(self, stack: Stack, lock: Lock, cache: Cache, links: Sequence[Path] = ()) -> None:
        self.stack = stack
        self.lock = lock
        self.cache = cache
        self.links = links
        self.pins: dict[str, Pin] = {}

    def inputs(self) -> Inputs:
        """Give all inputs; raise Stop for the first that is absent, changed or out of reach."""
        models = self.stack.models
        packages = self.vendored()
        return Inputs(
            {name: self.encoder(model) for name, model in models.items() if isinstance(model, Embedder)},
            {name: self.index(name, model) for name, model in models.items() if isinstance(model, Retriever)},
            {name: self.chat(model) for name, model in models.items() if isinstance(model, Generator)},
            self.prompts(packages),
            packages,
        )

    def encoder(self, model: Embedder) -> EncoderFiles:
        """Give an embedder's graph and tokenizer."""
        return encoder(model, self._resolve(model.source, model.places["source"]).files, self.cache)

    def chat(self, model: Generator) -> ChatFiles:
        """Give a generator's tokenizer and template."""
        assert model.local is not None  # noqa: S101  spec.check refuses it
        at = model.places["local"]
        found = chat(self._resolve(model.local, at).files, self.cache, at)
        reads, answers = window(model, found), longest_answer(model)
        if answers >= reads:
            message = f"an answer may take {answers} tokens, and the model reads {reads} with its prompt"
            hint = "Write sampling: {max_tokens: …}, well below that, or raise max_model_len."
            raise fatal("source-generator", model.places.get("sampling", model.places.get("args", at)), message, hint)
        return found

    def index(self, name: str, model: Retriever) -> IndexFiles:
        """Give a retriever's index; raise Stop where it is not there or not the one that the lock pins."""
        at = model.places["index"]
        place = Path(at.path).parent / model.index
        embeddings, passages = self._file(place / EMBEDDINGS, at), self._file(place / PASSAGES, at)
        if embeddings is None or passages is None:
            raise fatal(
                "index-missing", at, f'"{name}" has no index in {place}', f"Make it: tritonrepo index -f {at.path}"
            )
        pin = self.lock.indexes.get(name)
        if pin is None or (pin.embeddings, pin.passages) != (embeddings.sha256, passages.sha256):
            raise fatal(
                "index-changed",
                at,
                f'the index of "{name}" in {place} is not the one that the lock pins',
                f"Make it anew: tritonrepo index -f {at.path}",
            )
        rows = sum(chunk.count(b"\n") for chunk in passages.chunks())
        return IndexFiles(embeddings, passages, rows)

    def prompts(self, packages: Mapping[str, Mapping[str, File]]) -> dict[str, File]:
        """Give the prompt templates of ensembles that name one, read once by the Jinja that they are served with."""
        found: dict[str, File] = {}
        for name, ensemble in self.stack.ensembles.items():
            if ensemble.prompt.file is not None:
                at = ensemble.prompt.places["file"]
                path = Path(at.path).parent / ensemble.prompt.file
                file = self._file(path, at)
                if file is None:
                    raise fatal(
                        "source-missing",
                        at,
                        f'there is no "{ensemble.prompt.file}"',
                        "Paths count from the stack file.",
                    )
                found[name] = checked(file, path, packages, self.cache)
        return found

    def vendored(self) -> dict[str, dict[str, File]]:
        """Give the packages that the steps of this stack carry."""
        roles = {type(model) for model in self.stack.models.values()}
        names = {"tokenizers"} if Embedder in roles else set()
        names |= {"tokenizers", "jinja2", "markupsafe"} if Generator in roles else set()
        packages, pins = vendored(
            frozenset(names), self.stack.target.arch, self.cache, self.lock.sources, self.stack.places[""]
        )
        self.pins |= pins
        return packages

    def _resolve(self, source: Source, at: Span) -> Resolved:
        resolved = resolve(
            source, self.stack.target.arch, self.cache, self.lock.sources.get(source.text), at, links=self.links
        )
        self.pins[source.text] = resolved.pin
        return resolved

    def _file(self, path: Path, at: Span) -> File | None:
        path = inside(path, Path(at.path).parent, self.links, at)
        return on_disk(path, path.stat().st_size) if path.is_file() else None
