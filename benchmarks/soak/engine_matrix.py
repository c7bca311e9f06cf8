"""Manifests of vLLM and NIM in every form, held against Kubernetes, the schemas of custom resources and kustomize.

`python -m benchmarks.soak.engine_matrix [VLLM_PYTHON]` needs kubernetes-validate and kustomize. With the interpreter of
an environment that has vLLM 0.32, that version's own parser reads the arguments of all forms, and must find what the
repository said.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.soak.engine_pairs import disagreed, pairs
from tests.crds import faults, schemas
from tests.test_kube import built
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.flows.deploy_nim import NimOptions, plan_nim
from tritonrepo.flows.deploy_vllm import VllmOptions, plan_vllm
from tritonrepo.flows.deployment import Deployment, apply_deploy
from tritonrepo.flows.workspace import Workspace

RELEASES = ("1.28", "1.37")
READ = "0.32.0"
VERSIONS = ("0.5.3.post1", "0.8.4", "0.15.1", "0.27.1", READ)
IMAGES = ("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.12.0", "nvcr.io/nim/nvidia/model-free-nim:2.1.6")
GPUS: tuple[dict[str, Any], ...] = (
    {},
    {"tensor_parallel_size": 2},
    {"tensor_parallel_size": 8},
    {"tensor_parallel_size": 8, "pipeline_parallel_size": 2},
)
KINDS: Mapping[str, dict[str, Any]] = {
    "plain": {"max_model_len": 8192},
    "lora": {"enable_lora": True, "max_lora_rank": 64},
    "quantized": {"quantization": "fp8", "kv_cache_dtype": "fp8"},
    "booleans": {"enforce_eager": True, "enable_prefix_caching": False, "trust_remote_code": False},
    "objects": {"limit_mm_per_prompt": {"image": 2}, "max_num_seqs": 64, "seed": 0},
}
NEW: Mapping[str, dict[str, Any]] = {
    "overrides": {"hf_overrides": {"a$(HOME)": "b ' \" \\ é 漢 {{x}}"}, "additional_config": {"a": [1, {"b": None}]}},
    "speculative": {"speculative_config": {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 3}},
    "lists": {"logits_processors": ["a:b", "c:d"], "ignore_patterns": ["*.bin", "orig/**"]},
    "limits": {"gpu_memory_utilization": 0.95, "max_num_queued_reqs": 10, "shutdown_timeout": 5},
    "cache": {
        "max_model_len": 8192,
        "kv_cache_memory_bytes": 10**10,
        "kv_transfer_config": {"kv_connector": "X", "kv_role": "kv_both"},
    },
    "gone": {"disable_log_requests": True},
    "token": {"hf_token": True},
}
"""Arguments that old versions do not have."""

CHOICES = {
    "one": Choices(),
    "scaled": Choices(Wanted(replicas=1, scale=(1, 4), keda="http://prometheus:9090", monitor=True), keyless=True),
    "placed": Choices(
        Wanted(replicas=2, scale=(2, 3), product="NVIDIA-L40S", secret="s", pull="p", volumes=(("c", "/mnt"),)),
        "served",
    ),
}
PARSER = """
import dataclasses, json, os, sys
os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
for row in map(json.loads, sys.stdin):
    found = make_arg_parser(FlexibleArgumentParser()).parse_args(row)
    found.model = found.model_tag
    engine = AsyncEngineArgs.from_cli_args(found)
    values = {each.name: getattr(engine, each.name) for each in dataclasses.fields(engine)}
    loras = [[each.name, each.path] for each in found.lora_modules or ()]
    print(json.dumps(values | {"lora_modules": loras}, default=str))
"""


class Form(NamedTuple):
    """A form of the matrix: its name, its files, and what the engine is to get, None for a NIM."""

    name: str
    plan: Deployment
    arguments: dict[str, Any] | None


def main() -> int:
    """Check all forms, and return 1 if one is wrong."""
    found: list[str] = []
    lines: list[tuple[str, list[str], dict[str, Any]]] = []
    number = 0
    with tempfile.TemporaryDirectory() as directory:
        for form in forms(Path(directory)):
            number += 1
            found += [f"{form.name}: {fault}" for fault in judged(form, lines)]
        for pair in pairs(Path(directory) / "pairs"):
            number += 1
            found += [f"{pair}: {fault}" for fault in disagreed(pair)]
    if sys.argv[1:]:
        found += parsed(sys.argv[1], lines)
    print(*found, f"{number} forms, {len(lines) if sys.argv[1:] else 0} command lines, {len(found)} faults", sep="\n")
    return int(bool(found))


def forms(directory: Path) -> Iterator[Form]:
    """Yield the forms."""
    for number, (gpus, (kind, more), (how, choices)) in enumerate(
        product(GPUS, {**KINDS, **NEW}.items(), CHOICES.items())
    ):
        arguments = gpus | more
        made = repository(directory / f"{number}" / "models", arguments, lora=kind == "lora")
        many = gpus.get("pipeline_parallel_size", 1)
        for version in VERSIONS if kind in KINDS else (READ,):
            if many == 1 or version in {"0.15.1", "0.27.1", READ}:
                name = f"vLLM {version} {gpus} {kind} {how}"
                wanted = VllmOptions(version=version, choices=choices)
                out = directory / f"{number}" / version
                if not ({"limit_mm_per_prompt"} & {*more} and version == VERSIONS[0]):
                    yield Form(name, plan_vllm(made, out, Workspace(), wanted), arguments if version == READ else None)
        for image, operated in product(IMAGES if many == 1 else (), (False, True)):
            out = directory / f"{number}" / f"{image.rpartition(':')[2]}{operated}"
            wanted_nim = NimOptions(image, operated=operated, choices=choices._replace(name=""))
            yield Form(f"{image} {operated} {gpus} {kind} {how}", plan_nim(made, out, Workspace(), wanted_nim), None)


def repository(path: Path, arguments: Mapping[str, Any], *, lora: bool) -> Path:
    """Return a repository with one generator."""
    version = path / "llm" / "1"
    version.mkdir(parents=True)
    (path / "llm" / "config.pbtxt").write_text('backend: "vllm"\n')
    model = {"model": "meta-llama/Llama-3.1-8B-Instruct", "revision": "main", **arguments}
    (version / "model.json").write_text(json.dumps(model))
    if lora:
        (version / "multi_lora.json").write_text('{"a": "/mnt/a", "b,c": "/mnt/b,c"}')
    return path


def judged(form: Form, lines: list[tuple[str, list[str], dict[str, Any]]]) -> Iterator[str]:
    """Yield what is wrong with the files of a form; its command line is remembered."""
    apply_deploy(form.plan)
    for layer in ("overlays/dev", "overlays/prod"):
        for each in built(form.plan.out / layer):
            yield from refused(each)
            if form.arguments is not None and layer == "overlays/prod" and each["kind"] == "Deployment":
                (container,) = each["spec"]["template"]["spec"]["containers"]
                lines.append((form.name, [word.replace("$$", "$") for word in container["args"]], form.arguments))


def refused(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the schemas of Kubernetes or of a custom resource refuse in an object."""
    from kubernetes_validate import validate  # noqa: PLC0415  not among the tests' packages

    if (found["apiVersion"], found["kind"]) in schemas():
        yield from faults(found)
    elif "." not in found["apiVersion"].partition("/")[0] or found["apiVersion"].endswith("k8s.io/v1"):
        for release in RELEASES:
            try:
                validate(found, release, strict=True)
            except Exception as error:  # noqa: BLE001  each is a fault
                yield f"{release} {found['kind']}: {error}"[:300]


def parsed(python: str, lines: list[tuple[str, list[str], dict[str, Any]]]) -> Iterator[str]:
    """Yield what vLLM's own parser reads otherwise than the repository said."""
    sent = "\n".join(json.dumps(words) for _, words, _ in lines)
    done = subprocess.run([python, "-c", PARSER], input=sent, capture_output=True, text=True, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if len(answers) != len(lines):
        yield f"the parser ended after {len(answers)} of {len(lines)}: {done.stderr[-600:]}"
    for (name, _, said), got in zip(lines, answers, strict=False):
        want = {key: value for key, value in said.items() if key != "disable_log_requests"}
        want |= {"enable_log_requests": False} if "disable_log_requests" in said else {}
        for key, value in (want | {"served_model_name": got["served_model_name"], "revision": "main"}).items():
            if not same(got[key], value):
                yield f"{name}: {key} is {got[key]!r}, not {value!r}"


def same(got: Any, said: Any) -> bool:  # noqa: ANN401  JSON
    """Whether a value is the one that was said; a class of vLLM is compared by the text of what was said."""
    return got == said or (isinstance(said, dict) and isinstance(got, str) and all(str(each) in got for each in said))


if __name__ == "__main__":
    sys.exit(main())
