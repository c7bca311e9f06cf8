"""Write tritonrepo/data/language_models.json from scripts/language_models.yaml, which alone holds these facts.

`--check` only reports whether it is stale. If the source is wrong, its faults are reported and nothing is written.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from scripts.writing import ROOT, write_or_check
from tritonrepo.llm.config import read

SOURCE = Path(__file__).with_name("language_models.yaml")
TARGET = ROOT / "tritonrepo" / "data" / "language_models.json"
NEEDED = {"names", "source", "config"}
POSSIBLE = {*NEEDED, "parameters"}


def content(source: dict[str, Any]) -> str:
    """Return the content of the file; raise ValueError if an entry is incomplete or a name is listed twice."""
    if faults := [*_faults(source["models"])]:
        raise ValueError("\n".join(faults))
    rows = ",\n".join(f"  {json.dumps(model, ensure_ascii=False)}" for model in source["models"])
    return f'{{\n "what": {json.dumps(source["what"])},\n "models": [\n{rows}\n ]\n}}\n'


def _faults(models: list[dict[str, Any]]) -> Iterator[str]:
    for model in models:
        name = (model.get("names") or ["?"])[0]
        yield from (f"{name}: {key} is missing" for key in sorted(NEEDED) if not model.get(key))
        yield from (f"{name}: unknown fact {key}" for key in sorted(model.keys() - POSSIBLE))
        if read(model.get("config", {})) is None:
            yield f"{name}: config lacks a size"
    named = Counter(name for model in models for name in model.get("names", ()))
    yield from (f"{name} is listed {count} times" for name, count in named.items() if count > 1)


def main() -> int:
    """Write or check the file."""
    try:
        made = content(yaml.safe_load(SOURCE.read_text("utf-8")))
    except ValueError as fault:
        print(f"{SOURCE.name} has faults, so nothing was written:\n{fault}")
        return 1
    return write_or_check({TARGET: made}, "update_language_models")


if __name__ == "__main__":
    sys.exit(main())
