"""Write what is made from the code: the stack file's JSON Schema and reference, the rule pages.

`--check` only says what is stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from scripts import reference
from tritonrepo.parts import PARTS
from tritonrepo.report.pages import markdown, table
from tritonrepo.report.registry import REGISTRY
from tritonrepo.rules import FAMILIES, RULES
from tritonrepo.spec.schema import schema

ROOT = Path(__file__).parent.parent


def pages() -> dict[Path, str]:
    """Return path → content of everything that is generated."""
    found = {
        ROOT / "schemas" / "stack.schema.json": json.dumps(schema(PARTS), indent=2, ensure_ascii=False) + "\n",
        ROOT / "docs" / "stack.md": reference.page(PARTS),
    }
    index = [
        "# Rules",
        "",
        "Every check of `tritonrepo validate`; `tritonrepo explain RULE` prints the same pages.",
        "",
    ]
    for family in FAMILIES:
        name = family.__name__.rsplit(".", 1)[-1]
        rules = [REGISTRY[name] for name, rule in RULES.items() if rule.check.__module__.startswith(family.__name__)]
        title = (family.__doc__ or "").strip().rstrip(".")
        if rules:
            found[ROOT / "docs" / "rules" / f"{name}.md"] = markdown(rules, title)
            index += [f"## [{title}]({name}.md)", "", "```text", table(rules), "```", ""]
    found[ROOT / "docs" / "rules" / "README.md"] = "\n".join(index)
    return found


def main() -> int:
    """Write or check."""
    stale = [path for path, content in pages().items() if not path.exists() or path.read_text("utf-8") != content]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: python -m scripts.docs")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages()[path], "utf-8")
        print(f"{path.relative_to(ROOT)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
