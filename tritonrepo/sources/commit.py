"""The git commit of a directory, for the record of a push; nothing of its repository is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from tritonrepo.stores import is_remote

WAIT_S = 5
COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""Git names a commit by SHA-1 or SHA-256."""

ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"}
"""What git sets for its hooks, in which a push may run: it names their repository, not that of the directory."""


def commit(directory: str) -> str:
    """Return the commit that is checked out where a directory lies; "" if git does not name one.

    `rev-parse` only reads the name: it compares no files, so it runs no filter, hook or monitor of the repository, and
    needs none of its objects, so it fetches none. A directory that looks like a bare repository is not taken for one
    (git, Documentation/config/safe.adoc, safe.bareRepository): only a working tree has a commit checked out.
    """
    git = shutil.which("git")
    if not git or not os.path.isabs(git) or is_remote(directory):  # noqa: PTH117  text, as PATH has it
        return ""
    command = [git, "-C", directory, "-c", "safe.bareRepository=explicit", "rev-parse", "--verify", "--quiet", "HEAD"]
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    environment |= {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, timeout=WAIT_S, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = done.stdout.decode("utf-8", "replace").removesuffix("\n")
    return found if done.returncode == 0 and COMMIT.fullmatch(found) else ""
