"""Building search indexes, for `index` and `up`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from tritonrepo.diagnostics import Faults, Span, closest, fatal
from tritonrepo.flows.events import Indexed
from tritonrepo.flows.paths import reading
from tritonrepo.flows.stack import Loaded, not_overtaken, write_lock
from tritonrepo.indexing import chunks, files, vectors
from tritonrepo.indexing.chunks import Settings
from tritonrepo.indexing.documents import Document, Reading
from tritonrepo.indexing.files import Files
from tritonrepo.indexing.vectors import EMBEDDINGS, PASSAGES
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec.lock import Index
from tritonrepo.spec.part import Embeds, Encoding, Recipe
from tritonrepo.spec.stack import Stack
from tritonrepo.stores import open_store
from tritonrepo.stores.links import inside
from tritonrepo.tree import File, on_disk

Told = Callable[[int, int], None]
"""Receives how many of how many are done; the latter is 0 if it is not known."""

OFTEN = 100
"""After so many documents it is told how many were cut."""

NAMED = 3
"""How many files without text are named."""


@reading()
def index(loaded: Loaded, only: str | None = None) -> tuple[list[Indexed], Loaded]:
    """Build every index that is not current, or that of `only`; return them and the stack with its new lock.

    Indexes and lock are written. Raise Stop with every obstacle.
    """
    recipes = _recipes(loaded.stack)
    if only is not None and only not in recipes:
        hint = closest(only, recipes) if recipes else ""
        raise fatal("index-model", only, f'the stack has no retriever "{only}"', hint)
    gathering, count = loaded.gathering(), loaded.work.counting
    faults = Faults()
    with ExitStack() as kept:
        tried = [
            faults.tried(partial(_make, name, recipe, gathering, kept, count), None)
            for name, recipe in recipes.items()
            if only in {None, name}
        ]
        faults.stop()
        made = [each for each in tried if each is not None]
        indexes = dict(loaded.lock.indexes) | {done.name: pin for done, pin, _ in made}
        sources = dict(loaded.lock.sources) | loaded.lock.pinned(gathering.pins)
        lock = replace(loaded.lock, indexes=indexes, sources=sources)
        not_overtaken(loaded, lock)
        for done, _, content in made:  # only after all are built: an index and its pin change together
            _write(done.place, content)
    write_lock(loaded, lock)
    return [done for done, _, _ in made], loaded._replace(lock=lock)


def missing(loaded: Loaded) -> Iterator[str]:
    """Yield the retrievers whose index is missing or not in the lock."""
    for name, recipe in _recipes(loaded.stack).items():
        place = _place(recipe, loaded.stack.models[name].places["index"], loaded.work.links)
        if name not in loaded.lock.indexes or not (place / EMBEDDINGS).is_file() or not (place / PASSAGES).is_file():
            yield name


def _recipes(stack: Stack) -> dict[str, Recipe]:
    """Return, for each model with an index, what the index is built from."""
    found = ((name, model, stack.part(name).index) for name, model in stack.models.items())
    return {name: index(model) for name, model, index in found if index is not None}


def _write(place: Path, files: dict[str, File]) -> None:
    store, prefix = open_store(str(place))
    try:
        for name, file in files.items():
            store.put(f"{prefix}/{name}", file)
    finally:
        store.tidy()


def _make(
    name: str, recipe: Recipe, gathering: Gathering, kept: ExitStack, count: Callable[[str, str], Told]
) -> tuple[Indexed, Index, dict[str, File]]:
    """Return the index, its pin, and the files to write, which are there until `kept` is closed."""
    embeds = gathering.embeds(recipe.embed_with)
    places = gathering.stack.models[name].places
    found = files.find(recipe.documents, places["documents"], gathering.links)
    sources = (files.digest(found.all), embeds.identity, chunks.pinned(recipe.chunks))
    place = _place(recipe, places["index"], gathering.links)
    before = gathering.lock.indexes.get(name)
    same = before and (before.documents, before.embedder, before.chunks) == sources and _whole(place, before)
    if before and same and not _is_bare(place, found):
        return Indexed(name, place, 0), before, {}
    reading, drafts, faults = files.each(found.all), kept.enter_context(vectors.drafts(place)), Faults()
    ready = faults.tried(lambda: _ready(embeds, recipe), None)
    told = count(f"{name}: cutting", "documents")
    rows = faults.tried(
        lambda: vectors.cut_all(_counted(reading, told), *ready, drafts) if ready else len([*reading]), 0
    )
    faults.stop()
    assert ready is not None  # noqa: S101  nothing was found
    vectors.embed_all(ready[0], drafts, rows, count(f"{name}: embedding", "passages"))
    made = {EMBEDDINGS: drafts.embeddings.file(), PASSAGES: drafts.passages.file()}
    pin = Index(*sources[:2], made[EMBEDDINGS].sha256, made[PASSAGES].sha256, sources[2])
    return Indexed(name, place, rows, tuple(_left(found, reading))), pin, made


def _ready(embeds: Embeds, recipe: Recipe) -> tuple[Encoding, Settings]:
    """Return the encoder, and how it cuts."""
    encoding = embeds.load()
    return encoding, chunks.settings(recipe.chunks, encoding.limit, recipe.embed_with)


def _counted(documents: Iterable[Document], told: Told) -> Iterator[Document]:
    """Yield documents, and tell after some of them how many they were."""
    for number, document in enumerate(documents, 1):
        yield document
        if number % OFTEN == 0:
            told(number, 0)


def _is_bare(place: Path, found: Files) -> bool:
    """Return whether an index has no metadata although its documents have: earlier versions did not keep any."""
    with (place / PASSAGES).open("rb") as lines:
        if any(b'"metadata": {' in line for line in lines):
            return False
    return any(each.metadata for each in files.each(found.all))


def _left(found: Files, read: Reading) -> Iterator[str]:
    """Yield what was not indexed."""
    if found.left:
        count = len(found.left)
        which = "1 file is" if count == 1 else f"{count:,} files are"
        yield f"{which} in formats that are not read, and left out: {files.kinds(found.left)}"
    if read.empty:
        count = len(read.empty)
        named = ", ".join(map(str, read.empty[:NAMED]))
        more = f" and {count - NAMED:,} more" if count > NAMED else ""
        yield f"{'1 file has' if count == 1 else f'{count:,} files have'} no text, and left out: {named}{more}"


def _place(recipe: Recipe, at: Span, links: Sequence[Path]) -> Path:
    """Return the directory of an index; raise Stop if it or its content links out of the stack's directory."""
    base = Path(at.path).parent
    for name in (EMBEDDINGS, PASSAGES):
        inside(base / recipe.directory / name, base, links, at)
    return base / recipe.directory


def _whole(place: Path, pin: Index) -> bool:
    return _sha256(place / EMBEDDINGS) == pin.embeddings and _sha256(place / PASSAGES) == pin.passages


def _sha256(path: Path) -> str:
    file: File | None = on_disk(path, path.stat().st_size) if path.is_file() else None
    return file.sha256 if file else ""
