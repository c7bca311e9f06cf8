"""Write what is made from the code: the JSON Schema of the stack file. `--check` only says what is stale, by exit 1."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tritonrepo.spec.schema import schema

ROOT = Path(__file__).parent.parent


def pages() -> dict[Path, str]:
    """Give path → content of everything that is generated."""
    return {ROOT / "schemas" / "stack.schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"}


def main() -> int:
    """Write or check."""
    stale = [path for path, content in pages().items() if not path.exists() or path.read_text("utf-8") != content]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is stale: python -m scripts.docs")
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(pages()[path], "utf-8")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
