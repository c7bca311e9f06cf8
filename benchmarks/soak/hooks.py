"""The hook of pre-commit with pre-commit itself: `python -m benchmarks.soak.hooks` (pip install pre-commit).

It tries this checkout's hook on a repository, then installs it and commits: a model that is fine, one that is broken,
and the removal of one that another still calls. What git does must be what the hook decides.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

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


def main() -> int:
    """Run the steps, and return the exit code."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory, "tree")
        place.mkdir()
        os.environ["PRE_COMMIT_HOME"] = str(Path(directory, "home"))
        return 0 if all(steps(place)) else 1


if __name__ == "__main__":
    sys.exit(main())
