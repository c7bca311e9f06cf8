"""A generator: NAME (vllm; engine arguments in model.json) and NAME_prompt (python; query and passages to a prompt)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tritonrepo.diagnostics import Diagnostic, Faults, Severity, fatal
from tritonrepo.generate import config
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft, json_file, step, vendor
from tritonrepo.generate.inputs import ChatFiles, Inputs
from tritonrepo.generate.own import own
from tritonrepo.parts.sampling import generating
from tritonrepo.pbtxt.printer import Enum
from tritonrepo.smoke import links, prompts
from tritonrepo.smoke.case import Case, Crowd, Result
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.served import Served
from tritonrepo.sources.chat import chat
from tritonrepo.sources.gather import Gathering
from tritonrepo.sources.prompt import checked
from tritonrepo.sources.template import chat_tried
from tritonrepo.spec.nesting import flat
from tritonrepo.spec.part import Part, Places, Port, Step, below, origin, wrong
from tritonrepo.spec.source import Hub, Source
from tritonrepo.spec.stack import Config, Prompt, Stack, config_key, key, places
from tritonrepo.tree import File, of_bytes, of_text
from tritonrepo.vllm_contract import contract

DEFAULT_PROMPT = """\
{# Written by tritonrepo build; edit the stack file instead. #}
{% for passage in passages %}
[{{ loop.index }}] {{ passage }}
{% endfor %}

Question: {{ query }}
"""

MAX_TOKENS = 256
"""The default limit of an answer: a cancelled ensemble does not stop its generator (Triton 24.10)."""

CONTROLS = (
    Port("sampling_parameters", "STRING", (1,), optional=True),
    Port("stream", "BOOL", (1,), optional=True),
    Port("exclude_input_in_output", "BOOL", (1,), optional=True),
)
"""Optional inputs of a pipeline with a generator, besides the query."""

COMMIT = re.compile(r"[0-9a-f]{40}")
"""A Hub revision that no push can move: the name of a Git commit. Branches and tags can be moved."""

STAND_IN = "tokenizer-stand-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A language model on the vLLM backend, and the step that writes its prompt."""

    role: Literal["generator"] = key("role of the model")
    engine: Literal["vllm"] = key("engine that runs the model", "vllm")
    source: Source = key("model on the Hugging Face Hub, as `hf://OWNER/MODEL@REVISION`")
    tokenizer: Source | None = key(
        "GGUF file with the tokenizer and chat template of `source`; required unless `local` is set", None
    )
    weights: Literal["hub"] = key("where the server gets the weights: `hub` is the Hugging Face Hub", "hub")
    local: Source | None = key(
        "GGUF file that `serve` and `up` run on a CPU in place of `source`; required unless `tokenizer` is set", None
    )
    args: Mapping[str, Any] = key("engine arguments of vLLM, written to model.json", {})
    sampling: Mapping[str, Any] = key(
        "default sampling parameters of vLLM, which a request can override; max_tokens defaults to 256", {}
    )
    config: Config = config_key()
    prompt_config: Config = config_key("NAME_prompt")
    places: Places = places()


@dataclass(frozen=True, slots=True)
class _Files:
    """The tokenizer with its chat template, and the stack's own template of a message, if it has one."""

    chat: ChatFiles
    prompt: File | None


def _sources(name: str, model: Generator) -> Iterator[Diagnostic]:
    """Yield what is wrong with where the weights and the tokenizer come from."""
    if not isinstance(model.source, Hub):
        yield wrong(
            model.places,
            "source",
            f'the source of generator "{name}" must be a model on the Hugging Face Hub',
            "Set `source: hf://OWNER/MODEL@REVISION`. If you have a local GGUF file, set local to it.",
        )
    if model.tokenizer is None and model.local is None:
        yield wrong(
            model.places,
            "",
            f'generator "{name}" must set tokenizer to a GGUF file with the tokenizer and chat template of its model',
            "Set tokenizer to a local file or to one in a package. The Hugging Face Hub is not supported yet.",
        )
    for each in ("tokenizer", "local"):
        if isinstance(getattr(model, each), Hub):
            message = f'loading "{each}" from the Hugging Face Hub is not supported yet'
            yield wrong(model.places, each, message, f"Download a GGUF file of the model, and set {each} to its path.")


def _check(name: str, model: Generator, stack: Stack) -> Iterator[Diagnostic]:
    yield from _sources(name, model)
    for each, message, hint in generating(model.args, model.sampling):
        yield wrong(model.places, each, message, hint)
    for each in filter(model.args.__contains__, ("model", "revision")):
        message = f'args cannot set "{each}", which comes from "source"'
        yield wrong(model.places, "args", message, f"Remove {each} from args.")
    first, *others = [pipeline for pipeline, chain in flat(stack).items() if name in chain] or [""]
    for other in others:
        message = f'generator "{name}" is already used in ensemble "{first}"'
        hint = "Add a second generator for this ensemble. A generator's prompt step has only one template."
        yield wrong(stack.ensembles[other].places, "chain", message, hint)


def _window(model: Generator, files: ChatFiles) -> int:
    """Return how many tokens prompt and answer can have together: max_model_len, or the model's own limit."""
    length = model.args.get("max_model_len")
    return length if isinstance(length, int) and length > 0 else files.context_length


def _prompt(name: str, stack: Stack) -> Prompt:
    """Return the prompt of the one pipeline with this generator."""
    using = [stack.ensembles[pipeline].prompt for pipeline, models in flat(stack).items() if name in models]
    return using[0] if using else Prompt()


def _gather(name: str, model: Generator, gathering: Gathering) -> _Files:
    prompt, faults = _prompt(name, gathering.stack), Faults()
    found = faults.tried(lambda: _chat(model, prompt, gathering), None)
    template = faults.tried(lambda: _template(prompt, gathering), None) if prompt.file is not None else None
    faults.stop()
    assert found is not None  # noqa: S101  nothing was wrong
    return _Files(found, template)


def _chat(model: Generator, prompt: Prompt, gathering: Gathering) -> ChatFiles:
    """Return tokenizer and chat template; the template is tried as the prompt step will use it."""
    source = model.tokenizer or model.local
    assert source is not None  # noqa: S101  _check refuses it
    at = model.places["tokenizer" if model.tokenizer else "local"]
    found = chat(gathering.resolve(source, at), gathering.cache, at)
    reads, answers = _window(model, found), int(model.sampling.get("max_tokens", MAX_TOKENS))
    if answers >= reads:
        message = f"an answer may take {answers} tokens, but prompt and answer together must fit in {reads}"
        hint = "Set max_tokens in sampling to a much smaller number, or raise max_model_len in args."
        raise fatal("source-generator", model.places.get("sampling", model.places.get("args", at)), message, hint)
    if gathering.jinja is not None:
        chat_tried(found, prompt.system, gathering.jinja, at)
    return found


def _template(prompt: Prompt, gathering: Gathering) -> File:
    """Return the template of a message, tried by the Jinja that it is served with, if that could be obtained."""
    at = prompt.places["file"]
    path = Path(at.path).parent / str(prompt.file)
    file = gathering.file(path, at)
    if file is None:
        hint = "Check the path. It is relative to the stack file."
        raise fatal("source-missing", at, f'file "{prompt.file}" does not exist', hint)
    return file if gathering.jinja is None else checked(file, path, gathering.jinja)


def _stand_in(_: Generator) -> _Files:
    return _Files(ChatFiles(of_bytes(b""), "", "", "", adds_bos=False, special_tokens=(), context_length=0), None)


def _doubts(name: str, model: Generator, _: Gathering) -> Iterator[Diagnostic]:
    source = model.source
    if model.tokenizer is None:
        message = f'"{name}" uses the tokenizer and chat template of its "local" file, which may be another model\'s'
        hint = f"Set tokenizer to a GGUF file of {source.text}. Until then, --check and --locked reject this stack."
        yield Diagnostic(STAND_IN, Severity.WARNING, model.places["local"], message, hint)
    if isinstance(source, Hub) and not COMMIT.fullmatch(source.revision or ""):
        named = f'"{source.revision}" is not a commit' if source.revision else "it names no commit"
        message = f'the source of "{name}" can change on the Hugging Face Hub: {named}'
        hint = f"Set source to `hf://{source.id}@COMMIT`, with the 40 digits of a commit from the model's history."
        yield Diagnostic("source-not-pinned", Severity.WARNING, model.places["source"], message, hint)


def _cases(served: Served, known: Known) -> Iterable[Case | Crowd | Result]:
    return prompts.cases(served, known.models[served.name]) if served.name in links.prompting(known.models) else ()


def _local(model: Generator) -> Mapping[str, str]:
    """Return what `serve` runs instead of the model on the Hugging Face Hub."""
    return {model.source.id: model.local.text} if isinstance(model.source, Hub) and model.local is not None else {}


def _make(name: str, model: Generator, draft: Draft, inputs: Inputs) -> None:
    """Add the vLLM model, with the tensors that the backend of this release has, and its prompt step.

    decoupled and max_batch_size 0: vllm_backend, src/model.py, auto_complete_config.
    """
    assert isinstance(model.source, Hub)  # noqa: S101  _check refuses others
    at = model.places.get("source")
    revision = {"revision": model.source.revision} if model.source.revision else {}
    version = draft.number(name, {"model.json": json_file({"model": model.source.id} | revision | dict(model.args))})
    tensors = [*contract(inputs.stack.target.release)]
    takes, gives = (
        tuple(Port(t.name, t.data_type.removeprefix("TYPE_"), t.dims, t.optional) for t in tensors if t.kind == kind)
        for kind in ("input", "output")
    )
    draft.configure(
        name,
        config.config(
            name,
            "vllm",
            version,
            0,
            Ports(takes, gives),
            instance_group=[{"count": 1, "kind": Enum("KIND_MODEL")}],
            model_transaction_policy={"decoupled": True},
        ),
        origin(model.places),
        own(model.places, model.config),
    )
    arguments = below(model.places, "args")
    draft.explain(name, "model.json", {**arguments, **origin(arguments, model=at, revision=at)})
    _make_prompt(name, model, draft, inputs)


def _make_prompt(name: str, model: Generator, draft: Draft, inputs: Inputs) -> None:
    """Add the prompt step: query and passages to the text that the model reads, in its own chat template."""
    files: _Files = inputs.files[name]
    prompt, chat_files = _prompt(name, inputs.stack), files.chat
    settings: Mapping[str, Any] = {
        "max_model_len": _window(model, chat_files),
        "max_context_tokens": prompt.max_context_tokens,
        "system": prompt.system,
        "sampling": {"max_tokens": MAX_TOKENS} | dict(model.sampling),
        "bos_token": chat_files.bos_token,
        "eos_token": chat_files.eos_token,
        "adds_bos": chat_files.adds_bos,
        "special_tokens": list(chat_files.special_tokens),
    }
    content = {
        "model.py": step("prompt"),
        "settings.json": json_file(settings),
        "tokenizer.json": chat_files.tokenizer,
        "chat_template.jinja": of_text(chat_files.template),
        "prompt.j2": files.prompt or of_text(DEFAULT_PROMPT),
        **vendor(inputs.vendored, *sorted(PART.vendored)),
    }
    full = f"{name}_prompt"
    chosen = tuple(port._replace(optional=False) for port in CONTROLS)
    draft.configure(
        full,
        config.config(
            full,
            "python",
            draft.number(full, content),
            0,
            Ports(PART.takes, (Port("prompt", "STRING", (1,)), *chosen)),
            instance_group=config.on_cpu(),
        ),
        origin(model.places),
        own(model.places, model.prompt_config, "prompt_config"),
    )


CHOSEN = {port.name: f"chosen_{port.name}" for port in CONTROLS}
"""Controls pass through the prompt step, which sets the defaults."""

PART = Part(
    keys=Generator,
    takes=(Port("query", "STRING", (1,)), Port("passages", "STRING", (-1,)), *CONTROLS),
    gives=(Port("answer", "STRING", (-1,)),),
    steps=(
        Step(
            "_prompt",
            {port: port for port in ("query", "passages", *CHOSEN)},
            {"prompt": "prompt"} | CHOSEN,
        ),
        Step("", {"text_input": "prompt"} | CHOSEN, {"text_output": "answer"}),
    ),
    endings=("_prompt",),
    backends=lambda _: frozenset({"vllm", "python"}),
    vendored=frozenset({"tokenizers", "jinja2", "markupsafe"}),
    pipeline_keys=("prompt",),
    check=_check,
    gather=_gather,
    stand_in=_stand_in,
    doubts=_doubts,
    untrue=frozenset({STAND_IN}),
    cases=_cases,
    local=_local,
    make=_make,
)
