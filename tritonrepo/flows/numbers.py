"""The version numbers that a repository has already given, with the digests of their contents."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from tritonrepo.diagnostics import fatal
from tritonrepo.flows.events import Busy
from tritonrepo.flows.stack import Loaded
from tritonrepo.spec.lock import distinct
from tritonrepo.stores.links import kept
from tritonrepo.stores.store import Stored
from tritonrepo.sync import binding
from tritonrepo.sync import record as records
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.gating import OUT, Call
from tritonrepo.sync.place import Place, placed
from tritonrepo.sync.revision import Revision
from tritonrepo.tree import Tree, digest

RULE = "lock-from"
NUMBER = re.compile("[1-9][0-9]{0,17}")


def served(uri: Place | str, loaded: Loaded, names: Collection[str]) -> dict[str, dict[int, str]]:
    """Return, for these models, the numbers that a repository has given, with the digest of each content.

    Digests come from the record of the last push; only what that does not know is read. Of several numbers with one
    content, only one has the digest: that of the last push, or the highest one. Raise Stop if there is no repository,
    or another stack's.
    """
    place = placed(uri, loaded.work.links)
    uri, (before, _) = place.uri, revisions.of(place)
    have = place.store.scan(place.prefix)
    binding.check(place, have, before)
    owner = before.name if before else records.load(have, uri).name
    if not have:
        hint = "Check the URI. Before the first push, run the command without --from."
        raise fatal(RULE, uri, "the repository does not exist or is empty", hint)
    if owner not in {"", loaded.stack.name}:
        message = f'the repository holds the stack "{owner}", but this is the stack "{loaded.stack.name}"'
        raise fatal(RULE, uri, message, "Use the URI of this stack's own repository.")
    before = before or Revision()
    there = _there(revisions.directories(kept(revisions.known(have, before), uri)), names)
    recorded, released = _recorded(before, names), revisions.versions(before)
    # a push compares what serves, so that is read if it is no longer what was recorded
    compared = {
        (name, number): tree
        for (name, number), tree in there.items()
        if (name, number) not in recorded or number in released.get(name, ())
    }
    _announce(compared, uri, loaded)
    return _by_model(recorded | {call: digest(tree) for call, tree in compared.items()}, released)


def _there(found: Mapping[str, Mapping[int, Tree]], names: Collection[str]) -> dict[Call, Tree]:
    """Return the files of each version of these models that a lock can have."""
    numbered = ((name, number, tree) for name in names for number, tree in found.get(name, {}).items())
    return {(name, number): tree for name, number, tree in numbered if 0 < number != OUT}


def _recorded(before: Revision, names: Collection[str]) -> dict[Call, str]:
    """Return what the pushes so far have published of these models, whether it is still there or not."""
    split = ((path.rpartition("/"), content) for path, content in before.contents.items())
    numbers = ((name, number, content) for (name, _, number), content in split if NUMBER.fullmatch(number))
    return {(name, int(number)): content for name, number, content in numbers if name in names}


def _announce(trees: Mapping[Call, Tree], uri: str, loaded: Loaded) -> None:
    """Report what must be read of a bucket."""
    entries = (entry for tree in trees.values() for entry in tree.values())
    count = sum(isinstance(entry, Stored) and entry.known_sha256 is None for entry in entries)
    if count:
        loaded.work.tell(Busy(f"reading {count} file{'s'[: count > 1]} of {uri} that no push has recorded"))


def _by_model(digests: Mapping[Call, str], released: Mapping[str, Collection[int]]) -> dict[str, dict[int, str]]:
    """Return model → number → digest, each digest once."""
    found: dict[str, dict[int, str]] = {}
    for (name, number), content in digests.items():
        found.setdefault(name, {})[number] = content
    return {name: distinct(contents, released.get(name, ())) for name, contents in found.items()}
