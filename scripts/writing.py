"""The end of a script that makes files: those that differ are written, or with `--check` only reported as stale."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent


def write_or_check(made: Mapping[Path, str], script: str, hint: str = "") -> int:
    """Write the files, or check them, and return the exit code; `hint` is printed after a file that was written."""
    stale = [path for path, content in made.items() if not path.exists() or path.read_text("utf-8") != content]
    check = "--check" in sys.argv
    for path in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[path], "utf-8")
        said = f"is stale; run `python -m scripts.{script}`" if check else f"written{hint}"
        print(f"{path.relative_to(ROOT)} {said}")
    return int(check and bool(stale))
