"""Files of models on the Hugging Face Hub: resolved to a commit, listed, and fetched only as far as they are needed.

The library `huggingface_hub` resolves and lists, in one request (hf_api.py, HfApi.model_info: `sha`, and `siblings`
with sizes and digests); `transfer` fetches the files into the cache of this package. What the Hub lists for a commit is
pinned as a whole, so that the pin does not depend on which files were needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.sources import foreign, hub_api, hub_refusals
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.patience import Again
from tritonrepo.sources.transfer import Broken, Different, Refused, Wanted, fetched
from tritonrepo.spec.lock import Pin
from tritonrepo.spec.source import Hub
from tritonrepo.tree import File

RULE = "source-hub"
LISTING, COMMIT = "listing.json", "commit"
DENIED = frozenset({401, 403})


class Listing(NamedTuple):
    """What the Hub says of a commit: path → size and digest of each file."""

    commit: str
    files: Mapping[str, hub_api.Listed]


class _Fetching(NamedTuple):
    """A source whose files are fetched, and where it is named."""

    source: Hub
    listing: Listing
    cache: Cache
    at: Span


def files(
    source: Hub, only: Sequence[str], cache: Cache, pin: Pin | None, at: Span
) -> tuple[dict[str, File], Pin, bool]:
    """Return the files of a source whose paths match one of the patterns, or all without patterns, and the pin.

    The last value is whether the source is a single file, which need not match. If the files are in the cache, and the
    stack or the lock names the commit, the network is not used.
    """
    listing = _listing(source, cache, source.commit or (pin.revision if pin else ""), at)
    there = foreign.within(listing.files, source.path)
    if not there:
        whole = source.text.removesuffix(source.path).rstrip("/")
        message = f'"{source.path}" does not exist in {whole}' if listing.files else f"{whole} has no files"
        raise fatal("source-missing", at, message, f"Check the path. The source has: {foreign.some(listing.files)}.")
    got = _pin(source, listing)
    if pin and pin.sha256 not in {"", got.sha256}:
        message = f"{source.text} is {got.sha256[:12]}… at commit {got.revision}, but the lock pins {pin.sha256[:12]}…"
        check = "Check why the files of this commit have changed."
        hint = f"{check} To accept them, run `tritonrepo lock --upgrade {source.text}`."
        raise fatal("source-changed", at, message, hint)
    single = bool(source.path) and source.path in listing.files
    chosen = there if single else {name: path for name, path in there.items() if _matches(name, only)}
    if not chosen:
        message = f"{source.text} has no file that is needed here: {', '.join(only)}"
        raise fatal("source-missing", at, message, f"Use another source. This one has: {foreign.some(there)}.")
    foreign.checked(chosen, RULE, at, source.text)
    key = json.dumps(["hub", source.id, listing.commit, source.path, *sorted(only)])
    found = cache.known(key) or _fetched(_Fetching(source, listing, cache, at), key, chosen)
    return found, got, single


def pinned(source: Hub, cache: Cache, at: Span) -> Pin | None:
    """Return the pin of what the Hub has now; None if it, or its library, cannot be reached.

    Neither can a model that the Hub does not show to this user.
    """
    if find_spec("huggingface_hub") is None:
        return None
    try:
        return _pin(source, _current(source, cache))
    except (Broken, Again):
        return None
    except Refused as refused:
        if refused.status in DENIED:
            return None
        raise hub_refusals.refusal(source, at, refused) from None


def _matches(name: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(name, pattern) for pattern in only)


def _pin(source: Hub, listing: Listing) -> Pin:
    total, size = hashlib.sha256(), 0
    for name, path in sorted(foreign.within(listing.files, source.path).items()):
        total.update(f"{name}\0{listing.files[path].digest}\n".encode("utf-8", "surrogatepass"))
        size += listing.files[path].size
    return Pin(sha256=total.hexdigest(), revision=listing.commit, size=size)


def _listing(source: Hub, cache: Cache, commit: str, at: Span) -> Listing:
    """Return the listing of a commit, or of what the revision is now; raise Stop if it cannot be obtained."""
    try:
        if not commit:
            return _current(source, cache)
        return _known(source, cache, commit) or _asked(source, cache, commit)
    except (Broken, Again) as broken:
        raise hub_refusals.unreachable(source, at, str(broken), pinned=bool(commit)) from None
    except Refused as refused:
        raise hub_refusals.refusal(source, at, refused) from None


def _current(source: Hub, cache: Cache) -> Listing:
    """Return what the revision is now; if the Hub cannot be reached, what it was when it was last seen."""
    key = json.dumps(["hub revision", source.id, source.revision])
    try:
        found = _asked(source, cache, source.revision)
    except (Broken, Again):
        seen = cache.known(key)
        listing = _known(source, cache, seen[COMMIT].content().decode()) if seen else None
        if listing is None:
            raise
        cache.tell(f"the Hugging Face Hub cannot be reached: using commit {listing.commit} of {source.text}")
        return listing

    def make(place: Path) -> None:
        (place / COMMIT).write_text(found.commit, "utf-8")

    cache.remade(key, make)
    return found


def _key(source: Hub, commit: str) -> str:
    return json.dumps(["hub listing", source.id, commit])


def _known(source: Hub, cache: Cache, commit: str) -> Listing | None:
    known = cache.known(_key(source, commit))
    if known is None:
        return None
    return Listing(commit, {p: hub_api.Listed(*f) for p, f in json.loads(known[LISTING].content()).items()})


def _asked(source: Hub, cache: Cache, revision: str | None) -> Listing:
    listing = Listing(*hub_api.listed(source.id, revision))

    def make(place: Path) -> None:
        (place / LISTING).write_text(json.dumps(listing.files, sort_keys=True), "utf-8")

    cache.remade(_key(source, listing.commit), make)
    return listing


def _fetched(fetching: _Fetching, key: str, chosen: Mapping[str, str]) -> dict[str, File]:
    """Fetch what the cache does not have, each file by itself, and enter all of them under the key."""
    source, cache = fetching.source, fetching.cache
    listed = {name: fetching.listing.files[path] for name, path in chosen.items()}
    have = {name: file for name, each in listed.items() if (file := _had(cache, each)) is not None}
    foreign.announced(cache, source.text, {name: each.size for name, each in listed.items()}, have)
    found = {name: have[name] if name in have else _file(fetching, path) for name, path in chosen.items()}
    cache.enter(key, found)
    return found


def _had(cache: Cache, listed: hub_api.Listed) -> File | None:
    kind, _, name = listed.digest.partition(":")
    return cache.blob(name, listed.size) if kind == "sha256" else None


def _file(fetching: _Fetching, path: str) -> File:
    source, listing, cache, at = fetching
    url = f"{hub_api.page(source.id)}/resolve/{listing.commit}/{quote(path)}"
    wanted = Wanted(url, listing.files[path].size, listing.files[path].digest, hub_api.headers())
    try:
        hub_api.online()
        return fetched(wanted, cache, f"downloading {path} of {source.id}")
    except Refused as refused:
        raise hub_refusals.refusal(source, at, refused, path) from None
    except Broken as broken:
        raise hub_refusals.unreachable(source, at, str(broken), path) from None
    except Different:
        message = f'"{path}" of {source.text} is not what the Hugging Face Hub lists: its digest differs'
        raise fatal(RULE, at, message, "Try again later. If the digest still differs, use another source.") from None
