"""The model that a model.json names: its place, its files, and whether the release's vLLM runs it."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.llm.config import architectures as named_in
from tritonrepo.llm.config import rope_scaling, text_part
from tritonrepo.repository import Model
from tritonrepo.rules.backends.arguments import objects
from tritonrepo.rules.backends.vllm_arguments import keys, vllm
from tritonrepo.rules.backends.vllm_json import shown
from tritonrepo.rules.backends.vllm_model import CONFIG_JSON, WEIGHTS, below, described, inside
from tritonrepo.rules.backends.vllm_versions import architectures, before, first_release, versions
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

LLAMA31 = "0.5.3.post1"
"""The first vLLM in an image that knows rope_type llama3. Source: vllm, config.py, _get_and_verify_max_len."""

OF_MISTRAL = "params.json"
OTHER_FORMATS = ("load_format", "model_loader_extra_config", "tokenizer_mode")
"""Keys with which vLLM may read other files."""


@rule("vllm-model-relative-path", Severity.WARNING, "backend=vllm")
def relative_path(model: Model) -> Iterator[Finding]:
    """The model in model.json should be an absolute path, or a name on the Hugging Face Hub."""
    for each, value in objects(model):
        name = value.get("model")
        if isinstance(name, str) and _relative(name):
            yield Finding(
                each.at(model, "model"),
                f"model is {shown(name)}, a path that starts at the server's working directory, not at model.json",
                hint="Write the path on the server from / on, or OWNER/NAME of the Hugging Face Hub.",
            )


@rule("vllm-model-dir-incomplete", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-value-type"))
def directory_incomplete(model: Model) -> Iterator[Finding]:
    """The directory that model.json names must hold a model: config.json and weights."""
    for each, value in objects(model):
        path = inside(model, value)
        if path is None or any(key in value for key in OTHER_FORMATS):
            continue
        names = {name for name, _ in below(model, path)}
        if any(name.endswith(".gguf") for name in names) or OF_MISTRAL in names:
            continue
        if CONFIG_JSON not in names and "hf_config_path" not in value:
            reason = CONFIG_JSON
        elif not any(name.endswith(WEIGHTS) for name in names):
            reason = "Cannot find any model weights with"
        else:
            continue
        lacks = CONFIG_JSON if reason == CONFIG_JSON else "weights: no file *.safetensors, *.bin or *.pt"
        yield Finding(
            each.at(model, "model"),
            f"model names {model.name}/{path}, which has no {lacks}",
            hint="Copy all files of the model there, also config.json and those of the tokenizer.",
            reason=reason,
        )


@rule("vllm-llama31-too-old", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-model-dir-incomplete"))
def llama31_too_old(model: Model) -> Iterator[Finding]:
    """A model of Llama 3.1 or later must have a vLLM that knows how it scales positions."""
    for each, value, config in described(model) if before(model, LLAMA31) else ():
        scaling = rope_scaling(text_part(config)) if config is not None and "rope_scaling" not in value else {}
        if scaling.get("rope_type") == "llama3":
            yield Finding(
                each.at(model, "model"),
                f"{vllm(model)}, cannot load {shown(value['model'])}, which scales positions as Llama 3.1 does",
                hint=f"Use Triton {first_release(LLAMA31)} or later.",
                reason="`rope_scaling` must be a dictionary",
            )


@rule(
    "vllm-architecture-unsupported",
    Severity.ERROR,
    "backend=vllm",
    at=Stage.INSTANCE.after("vllm-pipeline-unsupported"),
)
def architecture_unsupported(model: Model) -> Iterator[Finding]:
    """The model's architecture must be one that the release's vLLM runs."""
    for each, value, config in described(model) if before(model, architectures().others_since) else ():
        named = named_in(config) if config is not None else ()
        if named and not any(_runs(name, version) for name in named for version in versions(model)):
            first = next((since for since, _ in architectures().known.get(named[0], ())), "")
            # transformers, which is as old, may be the first to refuse a model that is newer than the image
            later = f"Use Triton {first_release(first)} or later." if first else "Use a model that vLLM runs."
            yield Finding(
                each.at(model, "model"),
                f"{vllm(model)}, does not run {shown(named[0])}, the architecture of {shown(value['model'])}",
                hint=later,
                reason=""
                if first or len(named) > 1
                else f"Model architectures {list(named)} are not supported for now",
            )


def _runs(name: str, version: int) -> bool:
    index = keys().versions.index
    return any(index(since) <= version <= index(until) for since, until in architectures().known.get(name, ()))


def _relative(name: str) -> bool:
    """Whether a model's name can only be a path, and not an absolute one."""
    if name.startswith(("/", "~")) or "://" in name or name.endswith(".gguf"):
        return False
    return name.startswith(("./", "../")) or name in {".", ".."} or name.strip("/").count("/") > 1
