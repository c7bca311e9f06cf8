"""Everything that a stack names, resolved: what `generate` is given, and the pins that the lock keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tritonrepo.diagnostics import Faults, Span, fatal
from tritonrepo.generate.inputs import ChatFiles, EncoderFiles, IndexFiles, Inputs
from tritonrepo.generate.roles.generator import longest_answer, window
from tritonrepo.releases import RELEASES
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.chat import chat
from tritonrepo.sources.encoder import encoder
from tritonrepo.sources.package import Tag
from tritonrepo.sources.prompt import checked
from tritonrepo.sources.resolve import Resolved, resolve
from tritonrepo.sources.template import Jinja, chat_tried
from tritonrepo.sources.vendored import VERSIONS, vendored
from tritonrepo.spec.lock import Lock, Pin
from tritonrepo.spec.source import Source
from tritonrepo.spec.stack import Embedder, Generator, Prompt, Retriever, Stack
from tritonrepo.stores.links import inside
from tritonrepo.tree import File, of_bytes, on_disk

EMBEDDINGS = "embeddings.npy"
PASSAGES = "passages.jsonl"
MISSING = "index-missing"

NOTHING = of_bytes(b"")
NO_ENCODER = EncoderFiles(NOTHING, NOTHING, dimensions=1, max_tokens=1)
NO_CHAT = ChatFiles(NOTHING, "", "", "", adds_bos=False, special_tokens=(), context_length=0)


class Gathering:
    """Resolves the sources of one stack against one lock; remembers the pins of what it read.

    `links` are directories into which links may lead out of the stack's own and out of its sources.
    """

    def __init__(
        self, stack: Stack, lock: Lock, cache: Cache, remake: str = "tritonrepo index", links: Sequence[Path] = ()
    ) -> None:
        self.stack = stack
        self.lock = lock
        self.cache = cache
        self.remake = remake
        self.links = links
        self.pins: dict[str, Pin] = {}

    def inputs(self) -> Inputs:
        """Return all inputs; raise Stop with everything that is absent, changed or out of reach."""
        faults = Faults()
        found = self.gathered(faults)
        faults.stop()
        return found

    def gathered(self, faults: Faults) -> Inputs:
        """Return all inputs. What is wrong goes to `faults`, and stand-ins take its place.

        Who finds faults may judge what is generated from the rest, and must not write it.
        """
        models = self.stack.models
        packages = faults.tried(self.vendored, None)
        encoders = {
            name: faults.tried(partial(self.encoder, model), NO_ENCODER)
            for name, model in models.items()
            if isinstance(model, Embedder)
        }
        indexes = {
            name: faults.tried(partial(self.index, name, model, encoders[model.embed_with]), _no_index(model))
            for name, model in models.items()
            if isinstance(model, Retriever)
        }
        chats = {
            name: faults.tried(partial(self.chatting, name, packages), NO_CHAT)
            for name, model in models.items()
            if isinstance(model, Generator)
        }
        prompts = {
            name: faults.tried(partial(self.prompt, ensemble.prompt, packages), NOTHING)
            for name, ensemble in self.stack.ensembles.items()
            if ensemble.prompt.file is not None
        }
        return Inputs(encoders, indexes, chats, prompts, packages or {name: {} for name in VERSIONS})

    def encoder(self, model: Embedder) -> EncoderFiles:
        """Give an embedder's graph and tokenizer."""
        return encoder(model, self._resolve(model.source, model.places["source"]).files, self.cache)

    def chat(self, model: Generator) -> ChatFiles:
        """Give a generator's tokenizer and template."""
        source = model.tokenizer or model.local
        assert source is not None  # noqa: S101  spec.check refuses it
        at = model.places["tokenizer" if model.tokenizer else "local"]
        found = chat(self._resolve(source, at).files, self.cache, at)
        reads, answers = window(model, found), longest_answer(model)
        if answers >= reads:
            message = f"an answer may take {answers} tokens, and the model reads {reads} with its prompt"
            hint = "Write sampling: {max_tokens: …}, well below that, or raise max_model_len."
            raise fatal("source-generator", model.places.get("sampling", model.places.get("args", at)), message, hint)
        return found

    def chatting(self, name: str, packages: Mapping[str, Mapping[str, File]] | None) -> ChatFiles:
        """Return a generator's tokenizer and template, the latter tried as its prompt step will use it."""
        model = self.stack.models[name]
        assert isinstance(model, Generator)  # noqa: S101  the caller's match
        found = self.chat(model)
        if packages is not None:
            systems = (each.prompt.system for each in self.stack.ensembles.values() if name in each.chain)
            chat_tried(
                found,
                next(systems, None),
                Jinja(packages, self.cache),
                model.places["tokenizer" if model.tokenizer else "local"],
            )
        return found

    def index(self, name: str, model: Retriever, encoder: EncoderFiles) -> IndexFiles:
        """Return a retriever's index; raise Stop where it is missing, not the pinned one, or of another encoder.

        Vectors of another encoder mean nothing to this one, and a search over them fails without a word.
        """
        at = model.places["index"]
        place = Path(at.path).parent / model.index
        embeddings, passages = self._file(place / EMBEDDINGS, at), self._file(place / PASSAGES, at)
        if embeddings is None or passages is None:
            raise fatal(MISSING, at, f'"{name}" has no index in {place}', f"Make it: {self.remake}")
        pin = self.lock.indexes.get(name)
        if pin is None or (pin.embeddings, pin.passages) != (embeddings.sha256, passages.sha256):
            raise fatal(
                "index-changed",
                at,
                f'the index of "{name}" in {place} is not the one that the lock pins',
                f"Rebuild it: {self.remake}",
            )
        if encoder is not NO_ENCODER and pin.embedder != identity(encoder):
            message = f'the index of "{name}" was made with another embedder than "{model.embed_with}" is now'
            raise fatal("index-embedder", at, message, f"Rebuild it: {self.remake}")
        rows = sum(chunk.count(b"\n") for chunk in passages.chunks())
        return IndexFiles(embeddings, passages, rows)

    def prompt(self, prompt: Prompt, packages: Mapping[str, Mapping[str, File]] | None) -> File:
        """Return an ensemble's prompt template, read once by the Jinja that it is served with, where that is there."""
        at = prompt.places["file"]
        path = Path(at.path).parent / str(prompt.file)
        file = self._file(path, at)
        if file is None:
            raise fatal("source-missing", at, f'there is no "{prompt.file}"', "Paths count from the stack file.")
        return file if packages is None else checked(file, path, Jinja(packages, self.cache))

    def vendored(self) -> dict[str, dict[str, File]]:
        """Give the packages that the steps of this stack carry."""
        roles = {type(model) for model in self.stack.models.values()}
        names = {"tokenizers"} if Embedder in roles else set()
        names |= {"tokenizers", "jinja2", "markupsafe"} if Generator in roles else set()
        target = self.stack.target
        tag = Tag(target.arch, RELEASES[target.release].python)
        packages, pins = vendored(names, tag, self.cache, self.lock.sources, self.stack.places[""])
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


def identity(encoder: EncoderFiles) -> str:
    """Return the digest of all that decides a vector."""
    return hashlib.sha256(f"{encoder.onnx.sha256} {encoder.tokenizer.sha256} {encoder.max_tokens}".encode()).hexdigest()


def _no_index(model: Retriever) -> IndexFiles:
    return IndexFiles(NOTHING, NOTHING, model.top_k)
