"""Making search indexes, for `index` and `up`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tritonrepo.diagnostics import Faults, closest, fatal
from tritonrepo.flows.events import Indexed
from tritonrepo.flows.stack import Loaded, reading, write_lock
from tritonrepo.indexing import documents, vectors
from tritonrepo.sources.gather import EMBEDDINGS, PASSAGES, Gathering, identity
from tritonrepo.spec.lock import Index
from tritonrepo.spec.stack import Embedder, Retriever
from tritonrepo.stores import open_store
from tritonrepo.stores.links import inside
from tritonrepo.tree import File, on_disk


@reading()
def index(loaded: Loaded, only: str | None = None) -> tuple[list[Indexed], Loaded]:
    """Make every index that is not current, or that of `only`; give them, and the stack with the lock that pins them.

    Indexes and lock are written. Raise Stop with all that is in the way.
    """
    retrievers = {name: model for name, model in loaded.stack.models.items() if isinstance(model, Retriever)}
    if only is not None and only not in retrievers:
        raise fatal(
            "index-model", only, "is not a retriever of this stack", closest(only, retrievers) if retrievers else ""
        )
    gathering = loaded.gathering()
    faults = Faults()
    tried = [
        faults.tried(partial(_make, name, model, gathering), None)
        for name, model in retrievers.items()
        if only in {None, name}
    ]
    faults.stop()
    made = [each for each in tried if each is not None]
    for done, _, files in made:  # not before each is made: an index and its pin change together
        _write(done.place, files)
    indexes = dict(loaded.lock.indexes) | {done.name: pin for done, pin, _ in made}
    sources = dict(loaded.lock.sources) | gathering.pins
    lock = replace(loaded.lock, indexes=indexes, sources=sources)
    write_lock(loaded, lock)
    return [done for done, _, _ in made], loaded._replace(lock=lock)


def missing(loaded: Loaded) -> Iterator[str]:
    """Give the retrievers that have no index the lock knows."""
    for name, model in loaded.stack.models.items():
        if isinstance(model, Retriever):
            place = _place(model, loaded.work.links)
            if (
                name not in loaded.lock.indexes
                or not (place / EMBEDDINGS).is_file()
                or not (place / PASSAGES).is_file()
            ):
                yield name


def _write(place: Path, files: dict[str, File]) -> None:
    store, prefix = open_store(str(place))
    try:
        for name, file in files.items():
            store.put(f"{prefix}/{name}", file)
    finally:
        store.tidy()


def _make(name: str, model: Retriever, gathering: Gathering) -> tuple[Indexed, Index, dict[str, File]]:
    """Give the index, its pin, and the files that are to be written."""
    embedder = gathering.stack.models[model.embed_with]
    assert isinstance(embedder, Embedder)  # noqa: S101  spec.check refuses others
    encoder = gathering.encoder(embedder)
    paths = documents.find(model.documents, model.places["documents"], gathering.links)
    sources = (documents.digest(paths), identity(encoder))
    place = _place(model, gathering.links)
    before = gathering.lock.indexes.get(name)
    if before and (before.documents, before.embedder) == sources and _whole(place, before):
        return Indexed(name, place, 0), before, {}
    embeddings, passages = vectors.make(encoder, documents.read(paths))
    rows = passages.content().count(b"\n")
    made = {EMBEDDINGS: embeddings, PASSAGES: passages}
    return Indexed(name, place, rows), Index(*sources, embeddings.sha256, passages.sha256), made


def _place(model: Retriever, links: Sequence[Path]) -> Path:
    """Give the directory of an index; raise Stop where it, or what is in it, is a link out of the stack's directory."""
    at = model.places["index"]
    base = Path(at.path).parent
    for name in (EMBEDDINGS, PASSAGES):
        inside(base / model.index / name, base, links, at)
    return base / model.index


def _whole(place: Path, pin: Index) -> bool:
    return _sha256(place / EMBEDDINGS) == pin.embeddings and _sha256(place / PASSAGES) == pin.passages


def _sha256(path: Path) -> str:
    file: File | None = on_disk(path, path.stat().st_size) if path.is_file() else None
    return file.sha256 if file else ""
