"""A revision of a bucket as something that never changes: it has a prefix of its own, next to that of the pushes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Severity, Span, fatal
from tritonrepo.flows.deployed import EMPTY, Source
from tritonrepo.flows.pull import pulled
from tritonrepo.flows.revisions import addressed
from tritonrepo.flows.target import completes, of_record
from tritonrepo.flows.validate import Aim
from tritonrepo.repository import NOTHING
from tritonrepo.stores import is_remote, open_store
from tritonrepo.tree import File, Tree, files


def is_revision(where: str) -> bool:
    """Return whether this is a revision of a bucket, `URI@N`."""
    return is_remote(where) and addressed(where)[1] is not None


def frozen(where: str, aim: Aim) -> Source:
    """Return the models of a revision; its `uri` is the prefix that has nothing but this revision.

    A warning says how to copy it there if it is not there yet.
    """
    uri, number = addressed(where)
    found = pulled(where)
    kept = f"{uri}-r{number}"
    models = repository.read(found.tree, aim(of_record(found.record, where), NOTHING), where)
    if not models.models:
        raise fatal(
            EMPTY, where, "the revision has no models, so a server would have nothing to serve", "Use another one."
        )
    name = found.record.name or uri.rpartition("/")[2]
    warnings = tuple(_absent(where, kept, found.tree))
    return Source(where, name, models, not completes(found.record), uri=kept, warnings=warnings)


def _absent(where: str, kept: str, want: Tree) -> Iterator[Diagnostic]:
    """Yield a warning if the prefix of a revision does not have its files."""
    store, prefix = open_store(kept)
    have = files(store.scan(prefix))
    if any(_differs(path, each, have) for path, each in want.items() if isinstance(each, File)):
        pull, push = (shlex.join(["tritonrepo", *words]) for words in (["pull", where, "DIR"], ["push", "DIR", kept]))
        message = f"the pods read this revision at {kept}, where it is not, or not as a whole"
        hint = f"Copy it before you apply the manifests: `{pull}`, then `{push}`."
        yield Diagnostic("deploy-revision-absent", Severity.WARNING, Span(where), message, hint)


def _differs(path: str, want: File, have: dict[str, File]) -> bool:
    """Return whether a file is not there, or has another size; a push compares contents."""
    return path not in have or have[path].size != want.size
