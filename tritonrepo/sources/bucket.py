"""Objects in a bucket, downloaded into the cache; without a pin, what the bucket has now."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from tritonrepo.diagnostics import Severity, Span, Stop, fatal
from tritonrepo.sources import foreign
from tritonrepo.sources.cache import Cache
from tritonrepo.spec.lock import Pin
from tritonrepo.spec.source import Bucket
from tritonrepo.stores import open_store
from tritonrepo.stores.store import PIECE, lacking, tag_of
from tritonrepo.tree import File, digest
from tritonrepo.tree import files as only_files

RULE = "source-bucket"
SINGLE = ""
"""The path of a source that is one object."""


def files(source: Bucket, cache: Cache, pin: Pin | None, at: Span) -> tuple[dict[str, File], Pin, bool]:
    """Return all objects under a prefix, or one object, the pin, which is the digest of their tree, and which it is.

    If the lock pins objects that are in the cache, the network is not used.
    """
    known = cache.known(f"bucket {source.text} {pin.sha256}") if pin else None
    if pin and known is not None:
        return _named(known, source), pin, SINGLE in known
    try:
        found = _downloaded(source, cache, at)
    except Stop as stop:
        raise _placed(stop, source, at) from None
    got = Pin(sha256=digest(found), size=sum(file.size for file in found.values()))
    if pin and pin.sha256 != got.sha256:
        message = f"{source.text} has the digest {got.sha256[:12]}…, but the lock pins {pin.sha256[:12]}…"
        check = "Check why its objects have changed."
        hint = f"{check} To accept them, run `tritonrepo lock --upgrade {source.text}`."
        raise fatal("source-changed", at, message, hint)
    cache.enter(f"bucket {source.text} {got.sha256}", found)
    return _named(found, source), got, SINGLE in found


def _named(found: dict[str, File], source: Bucket) -> dict[str, File]:
    """Return the files by their paths; a single object has the last name in its key."""
    return {path or source.text.rstrip("/").rpartition("/")[2]: file for path, file in found.items()}


def _downloaded(source: Bucket, cache: Cache, at: Span) -> dict[str, File]:
    store, prefix = open_store(source.text)
    found = only_files(store.scan(prefix))
    if not found and prefix:
        parent, _, name = prefix.rpartition("/")
        object_ = only_files(store.scan(parent)).get(name)
        found = {SINGLE: object_} if object_ else {}
    if not found:
        hint = "Check the bucket and the prefix. It must be the key of an object, or what precedes a slash in keys."
        raise fatal("source-missing", at, f"{source.text} does not exist", hint)
    foreign.checked(_named(found, source), RULE, at, source.text)
    seen = {path: f"{file.size} {tag_of(file)}" for path, file in found.items()}
    key = f"bucket {source.text} {sorted(seen.items())}"
    known = cache.known(key)
    if known is not None:
        return known
    foreign.announced(cache, source.text, {path: file.size for path, file in found.items()}, {})
    made = {path: _object(f"{source.text} {path} {seen[path]}", file, cache) for path, file in found.items()}
    cache.enter(key, made)
    return made


def _object(name: str, file: File, cache: Cache) -> File:
    """Read an object into the cache, from where a killed run left it; the store refuses if it changes meanwhile."""
    what = f"downloading {name.split(' ', 1)[0]}"
    with cache.partial(f"object-{hashlib.sha256(name.encode()).hexdigest()}", what) as stream:
        offset = stream.seek(0, os.SEEK_END)
        while offset < file.size and (piece := file.read(offset, PIECE)):
            with cache.writing():
                stream.write(piece)
            offset += len(piece)
            cache.count(what, offset, file.size)
        if offset != file.size:
            stream.truncate(0)
            raise lacking(what, "read", f"{file.size:,} bytes", "Run the command again, and read the store's log.")
        stream.flush()
        return cache.keep(Path(stream.name))


def _placed(stop: Stop, source: Bucket, at: Span) -> Stop:
    """Return the store's diagnostics moved to where the source is named."""
    return Stop(
        d
        if d.at == at or d.rule == "cache-access"
        else replace(d, at=at, severity=Severity.FATAL, message=f"{source.text}: {d.message}")
        for d in stop.diagnostics
    )
