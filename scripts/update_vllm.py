"""Write what vLLM's engine takes, by version: tritonrepo/data/vllm_values.json and vllm_architectures.json.

`python -m scripts.update_vllm SOURCES` reads SOURCES/VERSION/vllm, the Python files of each version in
data/vllm_arguments.json, as its source or wheel on PyPI has them. They are parsed, never imported.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.vllm_sources import architectures, pipelined, values

DATA = Path(__file__).parent.parent / "tritonrepo" / "data"
ARGUMENTS = DATA / "vllm_arguments.json"

VALUES = {
    "what": (
        "The values that the keys of model.json can have, by the vLLM version of each Triton release. Written "
        "by scripts/update_vllm.py."
    ),
    "source": (
        "vllm-project/vllm, vllm/engine/arg_utils.py and vllm/config, of each version's source on PyPI; "
        "0.4.0.post1 and 0.15.1 from their wheels."
    ),
    "form": (
        "Of each key, spans of versions, from `since` to `until`; without until, to the newest. types: the "
        "JSON types that are accepted; without types, any. choices: the only values. lower: choices are "
        "compared in lower case. above, min, max, below: bounds of a number. config: the class that checks the value "
        "with pydantic, which converts strings and integral floats to numbers; without it, the value is "
        "compared as it is, and null is not checked. with_lora: the check is only made if enable_lora is set."
    ),
}
ARCHITECTURES = {
    "what": (
        "The architectures that vLLM has a model for, by the vLLM version of each Triton release. Written by "
        "scripts/update_vllm.py."
    ),
    "source": (
        "vllm-project/vllm, vllm/model_executor/models/registry.py (models/__init__.py before 0.6, "
        "model_loader.py of 0.2.3), of each version."
    ),
    "form": (
        "since, until: the first and last of `versions` with the architecture. others_since: from this "
        "version on, vLLM can run other architectures with the classes of transformers. pipelines: the only "
        "architectures that these versions run with pipeline_parallel_size; none before."
    ),
}
OTHERS = "0.7.0"
"""The first version in an image that falls back on the model classes of transformers: registry.py, _normalize_archs."""


def main() -> int:
    """Write the files."""
    if not sys.argv[1:]:
        print("usage: python -m scripts.update_vllm SOURCES")
        return 2
    versions = json.loads(ARGUMENTS.read_text("utf-8"))["versions"]
    sources = {version: Path(sys.argv[1], version, "vllm") for version in versions}
    if missing := [version for version, source in sources.items() if not source.is_dir()]:
        print(f"no sources of {', '.join(missing)}")
        return 2
    found = {version: values(source) for version, source in sources.items()}
    known = {version: architectures(source) for version, source in sources.items()}
    limited = {version: names for version, source in sources.items() if (names := pipelined(source))}
    _write("vllm_values.json", VALUES | {"versions": versions}, "values", _merged(found, versions))
    head = ARCHITECTURES | {"versions": versions, "others_since": OTHERS, "pipelines": limited}
    _write("vllm_architectures.json", head, "architectures", _lifetimes(known, versions))
    return 0


def _merged(found: Mapping[str, Mapping[str, Any]], versions: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the spans of each key with the same facts."""
    keys = sorted({key for facts in found.values() for key in facts})
    return {key: list(spans([found[version].get(key) for version in versions], versions)) for key in keys}


def spans(facts: Sequence[Any], versions: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the spans of versions with the same facts; None is a version without any."""
    first = 0
    for place in range(1, len(facts) + 1):
        if place < len(facts) and facts[place] == facts[first]:
            continue
        if facts[first] is not None:
            until = {"until": versions[place - 1]} if place < len(versions) else {}
            yield {"since": versions[first], **until, **facts[first]}
        first = place


def _lifetimes(known: Mapping[str, set[str]], versions: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    names = sorted({name for each in known.values() for name in each})
    return {name: list(spans([{} if name in known[each] else None for each in versions], versions)) for name in names}


def _write(name: str, head: Mapping[str, Any], key: str, rows: Mapping[str, Any]) -> None:
    lines = ",\n".join(f"  {json.dumps(row)}: {json.dumps(facts)}" for row, facts in rows.items())
    start = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    DATA.joinpath(name).write_text(f'{start},\n "{key}": {{\n{lines}\n }}\n}}\n', "utf-8")
    print(f"{name} written")


if __name__ == "__main__":
    sys.exit(main())
