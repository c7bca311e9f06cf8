"""Write tritonrepo/data/releases.json and vllm_tensors.json from scripts/releases.yaml, the one place of these facts.

`--check` only says what is stale. What is wrong in the source, a fact that has no place or none that says why, ends it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).with_name("releases.yaml")
DATA = Path(__file__).parent.parent / "tritonrepo" / "data"
RELEASE = re.compile(r"2[0-9]\.(0[1-9]|1[0-2])")
FACTS = ("server_version", "python", "cuda", "onnxruntime", "vllm", "vllm_full", "tensorrtllm")
NEEDED = {*FACTS, "backends", "source", "confidence", "notes"}
POSSIBLE = {*NEEDED, "vllm_builds", "server_wheel"}
DATES = {"since", "until"}
TENSOR = {"kind", "name", "data_type", "dims", "since"}


def data(source: dict[str, Any]) -> dict[Path, str]:
    """Give path → content of the files of facts; raise ValueError for what the source lacks or has beyond its form."""
    tensors = source["vllm_tensors"]
    releases = [{"release": name, **facts} for name, facts in source["releases"].items()]
    written = {
        "releases.json": {"what": source["what"], "releases": releases, "differences": source["differences"]},
        "vllm_tensors.json": {"what": "The tensors that Triton's vLLM backend adds to a config.", **tensors},
    }
    faults = [
        *(f"{name}: no release" for name in source["releases"] if not RELEASE.fullmatch(name)),
        *(f"{name}: {_odd(facts, NEEDED, POSSIBLE)}" for name, facts in source["releases"].items()),
        *(f"{name}: {_odd(facts, {'says', 'source'}, DATES)}" for name, facts in source["differences"].items()),
        *(f"{name}: look at since, until" for name, facts in source["differences"].items() if not DATES & facts.keys()),
        *(f"{tensor.get('name')}: {_odd(tensor, TENSOR, {'optional'})}" for tensor in tensors["tensors"]),
    ]
    if wrong := [fault for fault in faults if not fault.endswith(": ")]:
        raise ValueError("\n".join(wrong))
    return {DATA / name: json.dumps(value, indent=1, ensure_ascii=False) + "\n" for name, value in written.items()}


def _odd(facts: dict[str, Any], needed: set[str], possible: set[str]) -> str:
    """Give what is missing of these facts, empty where it must not be, or unknown; "" where all is well."""
    empty = [key for key in ("source", "says") if key in needed and not facts.get(key)]
    odd = sorted({*(needed - facts.keys()), *(facts.keys() - needed - possible), *empty})
    return f"look at {', '.join(odd)}" if odd else ""


def main() -> int:
    """Write or check."""
    made = data(yaml.safe_load(SOURCE.read_text("utf-8")))
    stale = [path for path, content in made.items() if not path.exists() or path.read_text("utf-8") != content]
    for path in stale:
        print(f"{path.name} is stale: python -m scripts.update_releases")
        if "--check" not in sys.argv:
            path.write_text(made[path], "utf-8")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
