"""The version numbers that a repository has already given, with the digests of their contents."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tritonrepo.diagnostics import fatal
from tritonrepo.flows.events import Busy
from tritonrepo.flows.stack import Loaded
from tritonrepo.repository.versions import versions
from tritonrepo.spec.lock_text import LARGEST
from tritonrepo.stores import open_store
from tritonrepo.stores.links import kept
from tritonrepo.stores.store import Stored
from tritonrepo.sync import record as records
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.push import uploadable
from tritonrepo.tree import Entry, Tree, digest

RULE = "lock-from"


def served(uri: str, loaded: Loaded, names: Collection[str]) -> dict[str, dict[int, str]]:
    """Return, for these models, the numbers that a repository has, with the digest that a build gives each version.

    Digests come from the record of the last push; only what that does not know is read. Of several numbers with one
    content, only one has the digest: that of the last push, or the highest one. Raise Stop if there is no repository,
    or another stack's.
    """
    store, prefix = open_store(uri, loaded.work.links)
    if not prefix:
        hint = f"Add the prefix of the repository, such as `{uri.rstrip('/')}/NAME`."
        raise fatal(RULE, uri, "the URI is a bucket's root, but push writes only to prefixes", hint)
    before, _ = revisions.read(store, prefix, uri)
    have = store.scan(prefix)
    owner = before.name if before else records.load(have, uri).name
    if not have:
        hint = "Check the URI. Before the first push, run the command without --from."
        raise fatal(RULE, uri, "the repository does not exist or is empty", hint)
    if owner not in {"", loaded.stack.name}:
        message = f'the repository holds the stack "{owner}", but this is the stack "{loaded.stack.name}"'
        raise fatal(RULE, uri, message, "Use the URI of this stack's own repository.")
    own = _versions(kept(uploadable(revisions.known(have, before)), uri), names, uri)
    _announce(own, uri, loaded)
    released = revisions.versions(before) if before else {}
    return {name: _once(trees, released.get(name, ())) for name, trees in own.items()}


def _versions(have: Tree, names: Collection[str], uri: str) -> dict[str, dict[int, Tree]]:
    """Return the files of each version of these models, without models that have none."""
    directories: dict[str, dict[str, dict[str, Entry]]] = {}
    for path, entry in have.items():
        name, _, rest = path.partition("/")
        top, _, inner = rest.partition("/")
        if name in names and inner:
            directories.setdefault(name, {}).setdefault(top, {})[inner] = entry
    found: dict[str, dict[int, Tree]] = {}
    for name, tops in directories.items():
        for number, top in versions(sorted(tops)).found.items():
            if number > LARGEST:
                message = f"version {number} leaves no number for a next one"
                raise fatal(RULE, f"{uri.rstrip('/')}/{name}", message, "Remove that version.")
            if number > 0:
                found.setdefault(name, {})[number] = tops[top]
    return found


def _announce(own: Mapping[str, Mapping[int, Tree]], uri: str, loaded: Loaded) -> None:
    """Report what must be read of a bucket."""
    entries = (entry for trees in own.values() for tree in trees.values() for entry in tree.values())
    count = sum(isinstance(entry, Stored) and entry.known_sha256 is None for entry in entries)
    if count:
        loaded.work.tell(Busy(f"reading {count} file{'s'[: count > 1]} of {uri} that the last push's record lacks"))


def _once(trees: Mapping[int, Tree], released: Collection[int]) -> dict[int, str]:
    digests = {number: digest(tree) for number, tree in trees.items()}
    chosen = {digests[number]: number for number in sorted(digests, key=lambda number: (number in released, number))}
    return {number: found if chosen[found] == number else "" for number, found in digests.items()}
