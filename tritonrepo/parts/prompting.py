"""A generator's prompt step, NAME_prompt: query, passages and earlier turns to the text that its model reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.generate import config
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft, json_file, step, vendored
from tritonrepo.generate.inputs import ChatFiles, Inputs
from tritonrepo.generate.own import own
from tritonrepo.parts.talking import MAX_TOKENS, Wish, window
from tritonrepo.sources.gather import Gathering
from tritonrepo.sources.prompt import checked
from tritonrepo.spec.nesting import flat
from tritonrepo.spec.part import Port, origin
from tritonrepo.spec.stack import Prompt, Stack
from tritonrepo.tree import File, of_text

DEFAULT_PROMPT = """\
{# Written by tritonrepo build; edit the stack file instead. #}
{% for source in sources %}
[{{ loop.index }}] {% if source.title %}{{ source.title }}: {% endif %}{{ source.text }}
{% endfor %}

Question: {{ query }}
"""

CONTROLS = (
    Port("sampling_parameters", "STRING", (1,), optional=True),
    Port("stream", "BOOL", (1,), optional=True),
    Port("exclude_input_in_output", "BOOL", (1,), optional=True),
)
"""Optional inputs of a pipeline with a generator, besides the query."""

MESSAGES = Port("messages", "STRING", (1,), optional=True)
"""The conversation of a request, as JSON."""

QUERY = Port("query", "STRING", (1,))
TAKES = (
    QUERY,
    Port("passages", "STRING", (-1,)),
    Port("metadata", "STRING", (-1,), optional=True, by_name=True, beside="passages"),
    MESSAGES,
    *CONTROLS,
)
"""What a pipeline gives to the step; a request to the step itself can leave the query to its conversation."""

STEPS = ("prompt", "conversation", "estimating", "fitting", "harmless", "templates")
"""The sources of the step, the first of which is its model.py."""

USED = Port("used", "INT32", (1,))
"""How many passages are in the prompt."""

VENDORED = frozenset({"tokenizers", "jinja2", "markupsafe"})
MESSAGES_ALONE = "{{ messages | tojson }}"
"""The template of a prompt for an endpoint, which applies the model's own."""

MARKERS = (
    *(
        "<|",
        "<｜",
        "[INST]",
        "[/INST]",
        "<<SYS>>",
        "<</SYS>>",
        "[SYSTEM_PROMPT]",
        "[/SYSTEM_PROMPT]",
        "[gMASK]",
        "<sop>",
    ),
    *("<s>", "</s>", "<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<turn|>"),
)
"""What opens turns or special tokens in the chat templates of most models, for one whose files are not at hand: those
of ChatML, Llama, Qwen, Phi and gpt-oss begin with <|, DeepSeek's with <｜; the others are of Mistral, Llama 2, GLM and
Gemma."""


class Files(NamedTuple):
    """The tokenizer and chat template, if they are known, and the stack's own template of a message, if it has one."""

    chat: ChatFiles | None
    message: File | None


def prompt(name: str, stack: Stack) -> Prompt:
    """Return the prompt of the one pipeline with this generator."""
    using = [stack.ensembles[pipeline].prompt for pipeline, models in flat(stack).items() if name in models]
    return using[0] if using else Prompt()


def template(prompt: Prompt, gathering: Gathering) -> File:
    """Return the template of a message, tried by the Jinja that it is served with, if that could be obtained."""
    at = prompt.places["file"]
    path = Path(at.path).parent / str(prompt.file)
    file = gathering.file(path, at)
    if file is None:
        hint = "Check the path. It is relative to the stack file."
        raise fatal("source-missing", at, f'file "{prompt.file}" does not exist', hint)
    return file if gathering.jinja is None else checked(file, path, gathering.jinja)


def add(name: str, wish: Wish, files: Files, draft: Draft, inputs: Inputs) -> None:
    """Add the prompt step: a request's texts to the one that the model reads, in its own chat template."""
    said, chat_files = prompt(name, inputs.stack), files.chat
    full = f"{name}_prompt"
    settings: Mapping[str, Any] = {
        "max_model_len": window(wish.args, chat_files),
        **_spoken(full, wish, chat_files, draft),
        "max_context_tokens": said.max_context_tokens,
        "system": said.system,
        "sampling": {"max_tokens": MAX_TOKENS} | dict(wish.sampling),
        **({"chat_template_kwargs": dict(wish.variables)} if wish.variables else {}),
        "packages": draft.share(full, vendored(inputs.vendored, VENDORED)),
    }
    model, *modules = STEPS
    content = {
        "model.py": step(model),
        **{f"{module}.py": step(module) for module in modules},
        "settings.json": json_file(settings),
        "prompt.j2": files.message or of_text(DEFAULT_PROMPT),
    }
    chosen = tuple(port._replace(optional=False) for port in CONTROLS)
    draft.configure(
        full,
        config.config(
            full,
            "python",
            draft.number(full, content),
            0,
            Ports((QUERY._replace(optional=True), *TAKES[1:]), (Port("prompt", "STRING", (1,)), USED, *chosen)),
            instance_group=config.on_cpu(),
        ),
        origin(wish.places),
        own(wish.places, wish.prompt_config, "prompt_config"),
    )


def _spoken(name: str, wish: Wish, files: ChatFiles | None, draft: Draft) -> dict[str, Any]:
    """Return what the model's own files say of its prompts, and which template writes them."""
    if files is None:
        tokens = {"bos_token": "", "eos_token": "", "adds_bos": False, "special_tokens": list(MARKERS)}
        return {**tokens, "chat_template": MESSAGES_ALONE}
    templates = {"chat_template": MESSAGES_ALONE, "counted_template": files.template}
    return {
        "bos_token": files.bos_token,
        "eos_token": files.eos_token,
        "adds_bos": files.adds_bos,
        **({"begins": list(files.begins)} if files.begins else {}),
        "special_tokens": list(files.special_tokens),
        **(templates if wish.messages else {"chat_template": files.template}),
        "tokenizer": f"{draft.share(name, {'tokenizer.json': files.tokenizer})}/tokenizer.json",
    }
