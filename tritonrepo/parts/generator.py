"""A generator: NAME (vllm, or python that asks an endpoint) and NAME_prompt (python; what makes the prompt)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Span, Stop
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.inputs import ChatFiles, Inputs
from tritonrepo.parts import backend, endpoint, lora, prompting, recognition, talking
from tritonrepo.parts.backend import Mounted
from tritonrepo.parts.endpoint import Endpoint
from tritonrepo.parts.lora import Adapter
from tritonrepo.parts.sampling import ARGUMENTS, PARAMETERS, VARIABLES, generating, templating
from tritonrepo.parts.talking import Talk, Wish, talk
from tritonrepo.smoke import links, prompts
from tritonrepo.smoke.case import Case, Crowd, Result
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.served import Served
from tritonrepo.sources.adapter import Facts
from tritonrepo.sources.gather import Gathering
from tritonrepo.sources.template import Given, chat_tried
from tritonrepo.spec.declare import config_key, key, places, switch_key
from tritonrepo.spec.nesting import flat
from tritonrepo.spec.part import Part, Places, Port, Step, wrong
from tritonrepo.spec.source import COMMIT, Hub, Source
from tritonrepo.spec.stack import Config, Prompt, Stack
from tritonrepo.tree import NOT_KNOWN, File

STAND_IN = "tokenizer-stand-in"
BEARER = "hf_token"
"""The engine argument of vLLM that can be a token of the Hugging Face Hub, or true (vllm/config/model.py)."""


SOURCE = "the model: on the Hugging Face Hub, as `hf://OWNER/MODEL@REVISION`, or a directory or package with its files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A language model on the vLLM backend or at an endpoint, and the step that writes its prompt."""

    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "anyOf": [
            {"required": ["source"]},
            {"properties": {"engine": {"enum": [endpoint.ENGINE]}}, "required": ["engine", "endpoint"]},
        ]
    }
    role: Literal["generator"] = key("role of the model", example="generator")
    engine: Literal["vllm", "openai"] = key(
        "what runs the model: `vllm` is Triton's backend, `openai` an endpoint with OpenAI's API, such as a vLLM or "
        "NIM of its own",
        "vllm",
        example="vllm",
    )
    endpoint: Endpoint | None = key(
        "the endpoint of the engine `openai`", None, example="{url: 'http://llm:8000/v1', model: llama}"
    )
    source: Source | None = key(
        f"{SOURCE}; an endpoint can do without",
        None,
        example="hf://meta-llama/Llama-3.1-8B-Instruct",
    )
    tokenizer: Source | None = key(
        "GGUF file, directory with tokenizer files, or NAME_prompt of a repository that was built, whose tokenizer and "
        "chat template the prompt step uses; default: those of `source`",
        None,
        example="./tokenizer",
    )
    weights: Literal["hub"] | Mounted = key(
        "where the server gets the weights: `hub` is the Hugging Face Hub, `{path: /PATH}` a directory on the server",
        "hub",
        example="{path: /mnt/models/llama}",
    )
    local: Source | None = key(
        "model that `serve` and `up` run on a CPU in place of `source`: a GGUF file, or a directory, package or model "
        "of the Hub with safetensors",
        None,
        example="./model.gguf",
    )
    args: Mapping[str, Any] = key(
        "engine arguments of vLLM, written to model.json; of an endpoint, only max_model_len has a meaning in Triton",
        {},
        example="{max_model_len: 8192, tensor_parallel_size: 2}",
        schema=ARGUMENTS,
    )
    lora: Mapping[str, Source | Adapter] = key(
        "LoRA adapters by the name that requests give as `lora_name`: on the Hub, or in a directory of the server",
        {},
        example="{support: {path: /mnt/lora/support}}",
    )
    sampling: Mapping[str, Any] = key(
        "default sampling parameters of vLLM, which a request can override; max_tokens defaults to 256",
        {},
        example="{max_tokens: 512, temperature: 0.2}",
        schema=PARAMETERS,
    )
    chat_template_kwargs: Mapping[str, Any] = key(
        "variables of the model's chat template, for each prompt",
        {},
        example="{enable_thinking: false}",
        schema=VARIABLES,
    )
    switch: Literal["overlap", "replace"] | None = switch_key(
        default=None, shown="; default: `replace` with the engine `vllm`, `overlap` with `openai`"
    )
    config: Config = config_key(example='{parameters: {REPORT_CUSTOM_METRICS: {string_value: "true"}}}')
    prompt_config: Config = config_key("NAME_prompt", example="{instance_group: [{kind: KIND_CPU, count: 2}]}")
    places: Places = places()


@dataclass(frozen=True, slots=True)
class _Files:
    """What the build read: the tokenizer, the stack's own template of a message, the adapters and the revision."""

    talk: Talk
    prompt: File | None = None
    adapters: Mapping[str, Facts] = field(default_factory=dict)
    revision: str | None = None


def _check(name: str, model: Generator, stack: Stack) -> Iterator[Diagnostic]:
    remote = model.engine == endpoint.ENGINE
    yield from backend.mounted(model)
    yield from endpoint.check(model) if remote else backend.check(name, model, SOURCE)
    for each, message, hint in (*generating(model.args, model.sampling), *templating(model.chat_template_kwargs)):
        yield wrong(model.places, each, message, hint)
    yield from () if remote else lora.check(name, model, stack)
    for each in filter(model.args.__contains__, ("model", "revision")):
        message = f'args cannot set "{each}", which comes from "source"'
        yield wrong(model.places, f"args.{each}", message, f"Remove {each} from args.")
    if isinstance(model.args.get(BEARER), str):
        message = f'args cannot set "{BEARER}" to a token, which everybody could read in model.json'
        yield wrong(model.places, f"args.{BEARER}", message, "Remove it, and set HF_TOKEN in the server's environment.")
    first, *others = [pipeline for pipeline, chain in flat(stack).items() if name in chain] or [""]
    for other in others:
        message = f'generator "{name}" is already used in ensemble "{first}"'
        hint = "Add a second generator for this ensemble. A generator's prompt step has only one template."
        yield wrong(stack.ensembles[other].places, "chain", message, hint)


def _gather(name: str, model: Generator, gathering: Gathering) -> _Files:
    prompt, faults = prompting.prompt(name, gathering.stack), Faults()
    found = faults.tried(lambda: _talk(model, prompt, gathering), None) if _reads(model) else Talk(None, Span(""))
    template = faults.tried(lambda: prompting.template(prompt, gathering), None) if prompt.file is not None else None
    adapters = faults.tried(lambda: lora.gather(model, gathering), dict[str, Facts]())
    faults.stop()
    assert found is not None  # noqa: S101  nothing was wrong
    return _Files(found, template, adapters, _revision(model, gathering))


def _talk(model: Generator, prompt: Prompt, gathering: Gathering) -> Talk:
    """Return tokenizer and chat template; the template is tried as the prompt step will use it."""
    found = talk(_wish(model), gathering)
    if gathering.jinja is not None and found.files is not None:
        chat_tried(
            found.files, Given(prompt.system, model.chat_template_kwargs, model.places), gathering.jinja, found.at
        )
    return found


def _reads(model: Generator) -> bool:
    """Return whether the stack names the model's files, by which prompts are counted."""
    return model.source is not None or model.tokenizer is not None


def _wish(model: Generator) -> Wish:
    own, variables, messages = model.prompt_config, model.chat_template_kwargs, model.engine == endpoint.ENGINE
    sources = model.source, model.tokenizer, model.local
    return Wish(*sources, model.args, model.sampling, own, model.places, variables, messages)


def _revision(model: Generator, gathering: Gathering) -> str | None:
    """Return the revision from which the server loads the model: its commit, if the Hub or the lock names it."""
    if not isinstance(model.source, Hub) or model.weights != "hub":
        return None
    return gathering.revision(model.source, model.places["source"]) or model.source.revision


def _stand_in(model: Generator) -> _Files:
    if not _reads(model):
        return _Files(Talk(None, Span("")))
    none = ChatFiles(NOT_KNOWN, "", "", "", adds_bos=False, special_tokens=(), context_length=0)
    return _Files(Talk(none, Span("")))


def _doubts(name: str, model: Generator, gathering: Gathering) -> Iterator[Diagnostic]:
    try:
        files: _Files = gathering.files(name)
    except (Stop, OSError):
        return  # the build reports it
    if files.talk.stands_in and model.source is not None:
        message = f'"{name}" uses the tokenizer and chat template of its "local" file, which may be another model\'s'
        hint = (
            f"The model's own files were out of reach: {files.talk.stands_in}. Set tokenizer to those of "
            f"{model.source.text}. Until then, --check and --locked reject this stack."
        )
        yield Diagnostic(STAND_IN, Severity.WARNING, model.places["local"], message, hint)
    if isinstance(model.source, Hub) and model.weights == "hub" and not COMMIT.fullmatch(files.revision or ""):
        source = model.source
        named = f'"{source.revision}" is not a commit' if source.revision else "it names no commit"
        message = f'the source of "{name}" can change on the Hugging Face Hub: {named}'
        hint = f"Set source to `hf://{source.id}@COMMIT`, with the 40 digits of a commit from the model's history."
        yield Diagnostic("source-not-pinned", Severity.WARNING, model.places["source"], message, hint)
    if files.talk.files is not None:
        yield from talking.doubts(_wish(model), files.talk.files)
    yield from lora.doubts(name, model, files.adapters)


def _cases(served: Served, known: Known) -> Iterable[Case | Crowd | Result]:
    return prompts.cases(served, known.models[served.name]) if served.name in links.prompting(known.models) else ()


def _local(model: Generator) -> Mapping[str, str]:
    """Return what `serve` runs instead of the model that model.json names."""
    return {backend.engine(model, None)["model"]: model.local.text} if model.local is not None else {}


def _make(name: str, model: Generator, draft: Draft, inputs: Inputs) -> None:
    """Add the model of the engine, and its prompt step."""
    files: _Files = inputs.files[name]
    if model.engine == endpoint.ENGINE:
        endpoint.add(name, model, draft)
    else:
        backend.add(name, model, (files.adapters, files.revision), draft, inputs)
    prompting.add(name, _wish(model), prompting.Files(files.talk.files, files.prompt), draft, inputs)


CHOSEN = {port.name: f"chosen_{port.name}" for port in prompting.CONTROLS}
"""Controls pass through the prompt step, which sets the defaults."""

PART = Part(
    keys=Generator,
    takes=prompting.TAKES,
    gives=(Port("answer", "STRING", (-1,)),),
    steps=(
        Step(
            "_prompt",
            {port.name: port.name for port in prompting.TAKES},
            {"prompt": "prompt"} | CHOSEN,
        ),
        Step("", {"text_input": "prompt"} | CHOSEN, {"text_output": "answer"}),
    ),
    endings=("_prompt",),
    streams=True,
    backends=lambda model: frozenset({"python", *(() if model.engine == endpoint.ENGINE else ("vllm",))}),
    vendored=prompting.VENDORED,
    pipeline_keys=("prompt",),
    check=_check,
    gather=_gather,
    stand_in=_stand_in,
    doubts=_doubts,
    untrue=frozenset({STAND_IN}),
    cases=_cases,
    local=_local,
    make=_make,
    recognize=recognition.generator,
)
