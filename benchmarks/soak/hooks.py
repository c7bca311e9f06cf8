"""The hook with pre-commit itself: `python -m benchmarks.soak.hooks` (pip install pre-commit).

It types the session of docs/ci.md, line by line, in a shell that has this package and pre-commit.
It tries this checkout's hook on a repository, then installs it and commits: a model that is fine, one that is broken,
and the removal of one that another still calls. What git does must be what the hook decides.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.documents import blocks
from tests.test_changed import BROKEN, FILES, PLAIN, written

ROOT = Path(__file__).parent.parent.parent
NAMED = ("-c", "user.name=x", "-c", "user.email=x@example.com")
CONFIG = """\
repos:
  - repo: {root}
    rev: {commit}
    hooks:
      - id: tritonrepo-validate
        args: [--gpus, "0"]
"""


def run(place: Path, *words: str) -> tuple[int, str]:
    """Return the exit code of a command, and what it printed."""
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def git(place: Path, *words: str) -> tuple[int, str]:
    return run(place, "git", *NAMED, *words)


def expected(what: str, done: tuple[int, str], code: int, says: str = "") -> bool:
    """Print whether a step ended as it must."""
    good = done[0] == code and says in done[1]
    print(f"{'ok' if good else 'FAILED'}  {what}", flush=True)
    if not good:
        print(done[1])
    return good


def steps(place: Path) -> list[bool]:
    """Run all steps in a new repository, and return whether each ended as it must."""
    commit = git(ROOT, "rev-parse", "HEAD")[1].strip()
    git(place, "init", "-qb", "main")
    written(place / "models", {name: text for name, text in FILES.items() if not name.startswith("other/")})
    written(place, {"models/leaf/config.pbtxt": PLAIN})
    git(place, "add", ".")
    tried = run(place, "pre-commit", "try-repo", str(ROOT), "tritonrepo-validate", "--all-files", "--verbose")
    found = [expected("try-repo on all files", tried, 0, "concern 4 of 4 models")]
    written(place, {".pre-commit-config.yaml": CONFIG.format(root=ROOT, commit=commit)})
    git(place, "add", ".")
    found.append(expected("install", run(place, "pre-commit", "install"), 0))
    found.append(expected("a first commit", git(place, "commit", "-qm", "x"), 0))
    written(place, {"README.md": ""})
    git(place, "add", ".")
    found.append(expected("a commit without models", git(place, "commit", "-qm", "x"), 0))
    written(place, {"models/new/config.pbtxt": BROKEN, "models/new/1/x": ""})
    git(place, "add", ".")
    found.append(expected("a broken model", git(place, "commit", "-qm", "x"), 1, "1 of 5 models"))
    written(place, {"models/new/config.pbtxt": PLAIN})
    found.append(expected("fixed, but not staged", git(place, "commit", "-qm", "x"), 1, "1 of 5 models"))
    git(place, "add", ".")
    found.append(expected("fixed", git(place, "commit", "-qm", "x"), 0))
    git(place, "rm", "-qr", "models/leaf")
    found.append(expected("a model that is still called", git(place, "commit", "-qm", "x"), 1, "leaf"))
    return found


def session(place: Path, programs: Path) -> list[bool]:
    """Type the session of the page, and return whether each line printed what it must."""
    programs.mkdir()
    found_in = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    start = f'PYTHONPATH="{found_in}" exec "{sys.executable}" -P -m tritonrepo "$@"'
    (programs / "tritonrepo").write_text(f"#!/bin/sh\n{start}\n", "utf-8")
    (programs / "tritonrepo").chmod(0o755)
    commit, found = git(ROOT, "rev-parse", "HEAD")[1].strip(), list[bool]()
    (config,) = (block.text for block in blocks("ci.md") if block.text.startswith("repos:"))
    config = re.sub(r"repo: \S+", f"repo: {ROOT}", re.sub(r"rev: \S+", f"rev: {commit}", config))
    written(place, {".pre-commit-config.yaml": config})
    page = "".join(block.text for block in blocks("ci.md") if block.language == "console")
    named = [f"GIT_{role}_{what}=x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    for line, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", page, re.MULTILINE):
        words = ("env", "-u", "PYTHONPATH", f"PATH={programs}:{os.environ['PATH']}", *named, "bash", "-c", line)
        _, printed = run(place, *words)
        pattern = re.sub(r"^…\\\n", "(?:.*\n)*", re.escape(shown), flags=re.MULTILINE)
        found.append(expected(line, (int(re.fullmatch(pattern, printed) is None), printed), 0))
    found.append(expected("the commit", git(place, "log", "--format=%s."), 0, "Add a ranker."))
    return found


def main() -> int:
    """Run the steps, and return the exit code."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory, "tree")
        place.mkdir()
        os.environ["PRE_COMMIT_HOME"] = str(Path(directory, "home"))
        (typed := Path(directory, "typed")).mkdir()
        return 0 if all([*steps(place), *session(typed, Path(directory, "programs"))]) else 1


if __name__ == "__main__":
    sys.exit(main())
