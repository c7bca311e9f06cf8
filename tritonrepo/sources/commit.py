"""The git commit of a directory, for the record of a push; nothing of its repository is run."""

from __future__ import annotations

import re

from tritonrepo.sources.git import git
from tritonrepo.stores import is_remote

WAIT_S = 5
COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""Git names a commit by SHA-1 or SHA-256."""


def commit(directory: str) -> str:
    """Return the commit that is checked out where a directory lies; "" if git does not name one.

    `rev-parse` only reads the name: it compares no files, so it runs no filter, hook or monitor of the repository, and
    needs none of its objects, so it fetches none.
    """
    if is_remote(directory):
        return ""
    done = git(directory, "rev-parse", "--verify", "--quiet", "HEAD", wait_s=WAIT_S)
    found = done.stdout.decode("utf-8", "replace").removesuffix("\n") if done is not None else ""
    return found if done is not None and done.returncode == 0 and COMMIT.fullmatch(found) else ""
