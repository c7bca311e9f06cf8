"""Settings of a vLLM model that load and then do nothing, or not what they say."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.editor import delete, put
from tritonrepo.pbtxt.nodes import Field, Placed
from tritonrepo.repository import Model
from tritonrepo.repository.json_text import place
from tritonrepo.rules.backends.arguments import adapters, objects
from tritonrepo.rules.backends.vllm_json import shown
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, rule

METRICS = "REPORT_CUSTOM_METRICS"
SCHEDULERS = ("dynamic_batching", "sequence_batching")
OFF = {"false", "no", "off", "0", ""}
ON = {"true", "yes", "on", "1"}
OF_BATCHES = {"preferred_batch_size", "max_queue_delay_microseconds"}
"""Fields of dynamic_batching that do nothing for batches of one request, unlike those of queues and priorities."""


@rule("vllm-scheduler-useless", Severity.WARNING, "backend=vllm")
def scheduler_useless(model: Model) -> Iterator[Finding]:
    """A vLLM model should have no batching scheduler, because vLLM forms its own batches."""
    for name in SCHEDULERS:
        field = model.config.get(name)
        if field is not None:
            yield Finding(
                field,
                f"{name} does nothing for a vLLM model, whose engine forms its own batches",
                hint="Remove it. max_num_seqs and max_num_batched_tokens of model.json limit vLLM's batches.",
                fix=edited(model, delete(field), safe=name == SCHEDULERS[0] and _only_batches(field)),
            )


@rule("vllm-custom-metrics-value", Severity.WARNING, "parameters")
def custom_metrics_value(model: Model) -> Iterator[Finding]:
    """REPORT_CUSTOM_METRICS should have the value that the release's backend asks for."""
    release = model.target.release
    if model.backend != "vllm" or not release.has("vllm-metrics"):
        return
    wanted = "true" if release.has("vllm-metrics-as-boolean") else "yes"
    for entry in model.config.messages("parameters"):
        value = entry.message("value")
        if entry.text("key") != METRICS or value is None:
            continue
        said = value.text("string_value")
        on = said.lower() == wanted if wanted == "true" else said == wanted
        if not on and said.strip().lower() not in OFF:
            yield Finding(
                _text(value) or entry.get("key"),
                f'{METRICS} is "{said}", but the backend of Triton {release.name} reports metrics only for "{wanted}"',
                hint=f'Write `string_value: "{wanted}"`.',
                fix=edited(model, put(value, "string_value", wanted), safe=said.strip().lower() in ON),
            )


@rule("vllm-enable-lora-string", Severity.WARNING, "backend=vllm")
def enable_lora_string(model: Model) -> Iterator[Finding]:
    """enable_lora should be a boolean where the backend can read one."""
    for each, value in objects(model) if model.target.release.has("vllm-lora-as-boolean") else ():
        wanted = value.get("enable_lora")
        if isinstance(wanted, str) and wanted.lower() == "false":
            yield Finding(
                each.at(model, "enable_lora"),
                f"enable_lora is the string {shown(wanted)}, which the backend reads as false, but vLLM as true",
                hint='Write `"enable_lora": false`, or remove it.',
                fix=each.changed(model, "enable_lora", value=False, safe=True),
            )


@rule("vllm-lora-path", Severity.WARNING, "backend=vllm")
def lora_path(model: Model) -> Iterator[Finding]:
    """The path of a LoRA adapter should be absolute."""
    for each, value in objects(model):
        if not model.target.release.has("vllm-lora") or str(value.get("enable_lora")).lower() != "true":
            continue
        beside = adapters(model, each)
        if beside is None or not isinstance(beside.value, dict):
            continue
        for name, path in beside.value.items():
            if isinstance(path, str) and _relative(path):
                yield Finding(
                    place(f"{model.name}/{beside.path}", beside.text or "", name),
                    f"adapter {shown(name)} is at {shown(path)}, a path that starts at the server's working directory",
                    hint="Write the path on the server from / on. A wrong path fails at the first request.",
                )


def _only_batches(field: Field) -> bool:
    return all(
        isinstance(each, Message) and {inner.name for inner in each.fields} <= OF_BATCHES for each in field.values
    )


def _relative(path: str) -> bool:
    """Whether a path is neither absolute nor a name on the Hugging Face Hub, which has one slash."""
    return not path.startswith(("/", "~")) and (path.startswith(("./", "../")) or path.count("/") > 1)


def _text(value: Message) -> Placed | None:
    return next(reversed(value.scalars("string_value")), None)
