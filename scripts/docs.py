"""Write what is generated from the code: JSON Schemas of files, the stack file's reference, and the index of rules.

`--check` only reports what is stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import reference
from scripts.writing import ROOT, write_or_check
from tritonrepo.cost.schema import schema as cost_file
from tritonrepo.parts import PARTS
from tritonrepo.report.bench.schema import compared
from tritonrepo.report.bench.schema import schema as bench
from tritonrepo.report.pages import index
from tritonrepo.report.registry import REGISTRY
from tritonrepo.rules import RULES
from tritonrepo.rules.families import FAMILIES
from tritonrepo.settings.keys import schema as settings
from tritonrepo.spec.schema import schema

INTRODUCTION = """
Every check of `tritonrepo validate`, and everything else that is reported under a name in brackets. Each name links to
its page, which `tritonrepo explain NAME` prints. In an example, `...` at the end of a config stands for the rest of a
working model: an input, an output, and a version directory with the model's file."""


def pages() -> dict[Path, str]:
    """Return path → content of everything that is generated; docs/stack.md keeps what is written by hand."""
    stack = ROOT / "docs" / "stack.md"
    return {
        ROOT / "schemas" / "stack.schema.json": json.dumps(schema(PARTS), indent=2, ensure_ascii=False) + "\n",
        ROOT / "schemas" / "settings.schema.json": json.dumps(settings(), indent=2, ensure_ascii=False) + "\n",
        ROOT / "schemas" / "bench.schema.json": json.dumps(bench(), indent=2, ensure_ascii=False) + "\n",
        ROOT / "schemas" / "bench-compare.schema.json": json.dumps(compared(), indent=2, ensure_ascii=False) + "\n",
        ROOT / "schemas" / "cost-file.schema.json": json.dumps(cost_file(), indent=2, ensure_ascii=False) + "\n",
        stack: reference.page(PARTS, stack.read_text("utf-8")),
        ROOT / "docs" / "rules.md": "\n".join(rules()),
    }


def rules() -> Iterator[str]:
    """Yield the lines of the index: a table per family of rules, then what the other commands report."""
    yield "# Rules"
    yield INTRODUCTION
    for family in FAMILIES:
        prefix, heading = family.__name__, (family.__doc__ or "").strip().rstrip(".")
        found = [REGISTRY[name] for name, rule in RULES.items() if rule.check.__module__.startswith(prefix)]
        if found:
            yield from ("", f"## {heading}", "", index(found, "../tritonrepo/rules/pages"))
    others = [entry for name, entry in REGISTRY.items() if name not in RULES]
    yield from ("", "## Reported by other commands", "", index(others, "../tritonrepo/report/pages"), "")


def main() -> int:
    """Write the files, or check them."""
    return write_or_check(pages(), "docs")


if __name__ == "__main__":
    sys.exit(main())
