"""Write the facts about releases below tritonrepo/data from scripts/releases.yaml, which alone holds them.

python_modules.json comes from scripts/python_modules.yaml, metrics.json from scripts/metrics.yaml.

`--check` only reports what is stale. If the source is wrong, its faults are reported and nothing is written.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from scripts.writing import ROOT, write_or_check

SOURCE = Path(__file__).with_name("releases.yaml")
MODULES = Path(__file__).with_name("python_modules.yaml")
METRICS = Path(__file__).with_name("metrics.yaml")
DATA = ROOT / "tritonrepo" / "data"
RELEASE = re.compile(r"2[0-9]\.(0[1-9]|1[0-2])")
FACTS = (
    *("server_version", "python", "cuda", "driver", "compute_capability", "tensorrt", "openvino", "onnxruntime"),
    *("vllm", "vllm_full", "tensorrtllm"),
)
NEEDED = {*FACTS, "backends", "source", "confidence", "notes"}
POSSIBLE = {*NEEDED, "vllm_builds", "server_wheel", "server_wheel_sha256", "absent"}
DATES = {"since", "until"}
TENSOR = {"kind", "name", "data_type", "dims", "since"}
GPU = {"name", "capability", "source"}
BANDWIDTH = {"gb_per_s", "sheet"}
"""The bandwidth of a GPU's memory, and the data sheet that states it; of several kinds, the highest."""

METRIC = {"says", "kind", "unit", "per", "names"}
KINDS = {"counter", "gauge", "histogram", "summary"}
TABLES = {"onnxruntime": {"ir_version", "opsets", "source"}, "vllm_memory": {"since", "says", "source"}}
GPU_FACTS = "GPUs: compute capability, and memory as the driver reports it; what vLLM does with it, by its version."


def data(source: dict[str, Any]) -> dict[Path, str]:
    """Return path → content of the files of facts; raise ValueError for missing or unknown keys in the source."""
    tensors = source["vllm_tensors"]
    releases = [{"release": name, **facts} for name, facts in source["releases"].items()]
    written = {
        "releases.json": {
            "what": source["what"],
            "releases": releases,
            "onnxruntime": source["onnxruntime"],
            "differences": source["differences"],
        },
        "vllm_tensors.json": {"what": "The tensors that Triton's vLLM backend adds to a config.", **tensors},
        "gpus.json": {"what": GPU_FACTS, "gpus": source["gpus"], "vllm": source["vllm_memory"]},
        "python_modules.json": yaml.safe_load(MODULES.read_text("utf-8")),
    }
    metrics = yaml.safe_load(METRICS.read_text("utf-8"))
    written["metrics.json"] = metrics
    if faults := [*_faults(source), *metric_faults(metrics)]:
        raise ValueError("\n".join(faults))
    return {DATA / name: json.dumps(value, indent=1, ensure_ascii=False) + "\n" for name, value in written.items()}


def _faults(source: dict[str, Any]) -> Iterator[str]:
    for name, facts in source["releases"].items():
        if not _is_release(name):
            yield f"{name!r} is not a release{_quotes(name)}"
        yield from (f"{name}: {fault}" for fault in (*_odd(facts, NEEDED, POSSIBLE), *_no_text(facts)))
    for name, facts in source["differences"].items():
        if not DATES & facts.keys():
            yield f"{name}: since or until is missing"
        yield from (f"{name}: {fault}" for fault in (*_odd(facts, {"says", "source"}, DATES), *_no_release(facts)))
    for tensor in source["vllm_tensors"]["tensors"]:
        found = (*_odd(tensor, TENSOR, {"optional"}), *_no_release(tensor))
        yield from (f"{tensor.get('name')}: {fault}" for fault in found)
    for gpu in source["gpus"]:
        needed = GPU | BANDWIDTH if BANDWIDTH & gpu.keys() else GPU
        yield from (f"{gpu.get('name')}: {fault}" for fault in _odd(gpu, needed, {"sold", "gib", "linked"}))
    tables = ((name, facts, needed) for table, needed in TABLES.items() for name, facts in source[table].items())
    for name, facts, needed in tables:
        yield from (f"{name}: {fault}" for fault in _odd(facts, needed, set()))


def metric_faults(source: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the metrics: each name belongs to one meaning, and its exposer is listed."""
    seen: dict[tuple[str, str], str] = {}
    for exposer, facts in source["exposers"].items():
        yield from (
            f"{exposer}: {fault}" for fault in _odd(facts, {"says", "counted_by", "read", "labels", "source"}, set())
        )
    for meaning, facts in source["metrics"].items():
        yield from (f"{meaning}: {fault}" for fault in _odd(facts, METRIC, set()))
        if facts.get("kind") not in KINDS or facts.get("per") not in {"model", "gpu", "server"}:
            yield f"{meaning}: kind {facts.get('kind')} per {facts.get('per')} is unknown"
        for name in facts.get("names", ()):
            yield from (f"{meaning}: {fault}" for fault in _odd(name, {"of", "name"}, {"since", "until", "when"}))
            if name["of"] not in source["exposers"]:
                yield f"{meaning}: unknown exposer {name['of']}"
            bounds = [name[key] for key in sorted(DATES & name.keys())]
            yield from (f"{meaning}: {bound} is not a string{_quotes(bound)}" for bound in bounds if _quotes(bound))
            if seen.setdefault((name["of"], name["name"]), meaning) != meaning:
                yield f"{meaning}: {name['name']} already stands for {seen[name['of'], name['name']]}"


def _odd(facts: dict[str, Any], needed: set[str], possible: set[str]) -> Iterator[str]:
    """Yield the facts that are missing, unknown, or empty although they must not be."""
    yield from (f"{key} is missing" for key in sorted(needed - facts.keys()))
    yield from (f"unknown fact {key}" for key in sorted(facts.keys() - needed - possible))
    yield from (f"{key} is empty" for key in ("source", "says") if key in needed & facts.keys() and not facts[key])


def _no_text(facts: dict[str, Any]) -> Iterator[str]:
    """Yield the versions that YAML does not read as strings."""
    for key in FACTS:
        if not isinstance(facts.get(key), str | None):
            yield f"{key}: {facts[key]} is not a string{_quotes(facts[key])}"


def _no_release(facts: dict[str, Any]) -> Iterator[str]:
    """Yield the bounds that are not releases."""
    for key in sorted(DATES & facts.keys()):
        if not _is_release(facts[key]):
            yield f"{key}: {facts[key]!r} is not a release{_quotes(facts[key])}"


def _is_release(value: object) -> bool:
    return isinstance(value, str) and RELEASE.fullmatch(value) is not None


def _quotes(value: object) -> str:
    return "" if isinstance(value, str) else ": put it in quotes"


def main() -> int:
    """Write or check the files."""
    try:
        made = data(yaml.safe_load(SOURCE.read_text("utf-8")))
    except ValueError as fault:
        print(f"{SOURCE.name} has faults, so nothing was written:\n{fault}")
        return 1
    return write_or_check(
        made, "update_releases", "; to update what is generated from it, run `python -m scripts.docs`"
    )


if __name__ == "__main__":
    sys.exit(main())
