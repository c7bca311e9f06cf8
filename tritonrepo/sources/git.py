"""Questions to git about the working tree that a directory is in; nothing of its repository is run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"}
"""What git sets for its hooks, in which this may run: it names their repository, not that of the directory."""

QUIET = ("safe.bareRepository=explicit", "core.fsmonitor=false", f"core.hooksPath={os.devnull}")
"""Settings of a repository that would run its programs, and one that takes a plain directory for a repository.

A directory that looks like a bare repository is not taken for one (git, Documentation/config/safe.adoc): only a working
tree has a commit checked out.
"""

ASKED = {
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


def git(directory: str, *arguments: str, wait_s: float) -> subprocess.CompletedProcess[bytes] | None:
    """Run git in a directory, without input; return None if it is not installed, cannot be started, or takes longer."""
    program = shutil.which("git")
    if not program or not os.path.isabs(program):  # noqa: PTH117  text, as PATH has it
        return None
    settings = [word for setting in QUIET for word in ("-c", setting)]
    command = [program, "-C", directory, "--no-pager", *settings, *arguments]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=wait_s, check=False, env=_environment()
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):  # ValueError: a NUL in an argument
        return None


def _environment() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ELSEWHERE} | ASKED


def text(content: bytes) -> str:
    """Return a path or a line that git printed; what is not UTF-8 is kept as it is on the disk."""
    return os.fsdecode(content).removesuffix("\n")
