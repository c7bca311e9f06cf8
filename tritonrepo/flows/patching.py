"""What becomes of a tree by the steps of fixes, for the patch that shows it."""

from __future__ import annotations

from collections.abc import Sequence

from tritonrepo.fixes import Step, Write, after
from tritonrepo.tree import Change, Directory, Link, Tree, in_bytes, parents


def changes(tree: Tree, steps: Sequence[Step]) -> list[Change]:
    """Return what becomes of the entries that steps change, in the order of their paths.

    A directory only counts if it comes or goes, and not if its last file goes or its first one comes.
    """
    there = after(tree, steps)
    full = {each for path in (*tree, *there) for each in parents(path)}
    moves = [step for step in steps if not isinstance(step, Write)]
    named = after({path: Link(path) for path in tree}, moves)
    origins = {path: entry.target for path, entry in named.items() if isinstance(entry, Link)}
    found = [Change(path, "", tree[path], None) for path in tree.keys() - {*origins.values()}]
    for path, entry in there.items():
        old = origins.get(path, "")
        if old != path or tree[old] is not entry:
            found.append(Change(old, path, tree.get(old), entry))
    found = [
        each
        for each in found
        if not (isinstance(each.before or each.after, Directory) and (each.old or each.new) in full)
    ]
    return sorted(found, key=lambda change: (in_bytes(change.new or change.old), change.new))
