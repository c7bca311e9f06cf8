"""Names of files that somebody else chose, checked before any of them becomes a path on this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tritonrepo import diagnostics
from tritonrepo.diagnostics import Span, fatal
from tritonrepo.sources.cache import Cache
from tritonrepo.tree import File, amount, parents

LONGEST = 255
"""Most bytes of a name in a directory, on nearly every file system."""

SHOWN = 8


def checked(paths: Collection[str], rule: str, at: Span, text: str) -> None:
    """Raise Stop if one of the paths could not be a file in a directory, or two could not be there together."""
    lower: dict[str, str] = {}
    for path in sorted(paths):
        if not _is_plain(path):
            message = f'{text} contains the path "{path}", which cannot be a file here'
            raise fatal(rule, at, message, "Use another source, or rename the file there.")
        other = lower.setdefault(path.lower(), path)
        if other != path:
            message = f'{text} contains both "{other}" and "{path}", which is one file where case does not count'
            raise fatal(rule, at, message, "Use another source, or rename one of them there.")
    for path in paths:
        if above := next((each for each in parents(path.lower()) if each in lower), None):
            message = f'{text} contains "{lower[above]}" as a file and as a directory'
            raise fatal(rule, at, message, "Use another source, or rename one of them there.")


def _is_plain(path: str) -> bool:
    names = path.split("/")
    return (
        path.isprintable()
        and "\\" not in path
        and not {"", ".", ".."}.intersection(names)
        and all(len(name.encode("utf-8", "surrogatepass")) <= LONGEST for name in names)
    )


def within(paths: Collection[str], path: str) -> dict[str, str]:
    """Return what a path in a source stands for: name in it → name in the source; a single file has its own name."""
    if path and path in paths:
        return {path.rsplit("/", 1)[-1]: path}
    head = f"{path}/" if path else ""
    return {each.removeprefix(head): each for each in paths if each.startswith(head)}


def some(paths: Collection[str]) -> str:
    """Return a few of the paths, for a hint."""
    return diagnostics.some(sorted(paths), SHOWN)


def announced(cache: Cache, text: str, sizes: Mapping[str, int], have: Mapping[str, File]) -> None:
    """Say what is downloaded and how much it is; raise Stop if the cache has no room for it."""
    left = {path: size for path, size in sizes.items() if path not in have}
    if left:
        total = sum(left.values())
        cache.room(total)
        count = f"{len(left):,} file{'s' if len(left) > 1 else ''}"
        cache.tell(f"downloading {text}: {count}, {amount(total)}")
