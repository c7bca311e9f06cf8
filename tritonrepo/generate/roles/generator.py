"""A generator: NAME (vllm; engine arguments in model.json) and NAME_prompt (python; query and passages to a prompt)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonrepo.generate import config
from tritonrepo.generate.config import Tensor, Tensors
from tritonrepo.generate.draft import Draft, json_file, step, vendor
from tritonrepo.generate.inputs import ChatFiles, Inputs
from tritonrepo.pbtxt.printer import Enum
from tritonrepo.spec.source import Hub
from tritonrepo.spec.stack import Generator, Prompt, Stack
from tritonrepo.tree import of_text
from tritonrepo.vllm_contract import contract

DEFAULT_PROMPT = """\
{# Written by tritonrepo build; edit the stack file instead. #}
{% for passage in passages %}
[{{ loop.index }}] {{ passage }}
{% endfor %}

Question: {{ query }}
"""

MAX_TOKENS = 256
"""The limit of an answer where nobody says one: a cancelled ensemble does not stop its generator (Triton 24.10)."""

CONTROLS = (
    Tensor("sampling_parameters", "STRING", (1,), optional=True),
    Tensor("stream", "BOOL", (1,), optional=True),
    Tensor("exclude_input_in_output", "BOOL", (1,), optional=True),
)
"""What a request may say to a pipeline with a generator, besides its query."""


def add(draft: Draft, name: str, model: Generator, release: str) -> None:
    """Add the vLLM model, with the tensors that the backend of this release has.

    decoupled and max_batch_size 0: vllm_backend, src/model.py, auto_complete_config.
    """
    assert isinstance(model.source, Hub)  # noqa: S101  spec.check refuses others
    revision = {"revision": model.source.revision} if model.source.revision else {}
    version = draft.number(name, {"model.json": json_file({"model": model.source.id} | revision | dict(model.args))})
    tensors = [
        (t.kind, Tensor(t.name, t.data_type.removeprefix("TYPE_"), t.dims, t.optional)) for t in contract(release)
    ]
    inputs = tuple(tensor for kind, tensor in tensors if kind == "input")
    outputs = tuple(tensor for kind, tensor in tensors if kind == "output")
    draft.configure(
        name,
        config.config(
            name,
            "vllm",
            version,
            0,
            Tensors(inputs, outputs),
            instance_group=[{"count": 1, "kind": Enum("KIND_MODEL")}],
            model_transaction_policy={"decoupled": True},
        ),
    )


def window(model: Generator, chat: ChatFiles) -> int:
    """Give how many tokens the model reads with its answer: max_model_len, or the model's own where it is left open."""
    length = model.args.get("max_model_len")
    return length if isinstance(length, int) and length > 0 else chat.context_length


def longest_answer(model: Generator) -> int:
    """Give the limit of an answer where a request names none, in tokens."""
    return int(model.sampling.get("max_tokens", MAX_TOKENS))


def add_prompt(draft: Draft, name: str, stack: Stack, inputs: Inputs) -> None:
    """Add the prompt step: query and passages to the text that the model reads, in its own chat template.

    It takes the prompt of the one ensemble that the generator stands in.
    """
    model, chat = stack.models[name], inputs.chats[name]
    assert isinstance(model, Generator)  # noqa: S101  the caller's match
    ensemble = next((key for key, value in stack.ensembles.items() if name in value.chain), "")
    prompt = stack.ensembles[ensemble].prompt if ensemble else Prompt()
    settings: Mapping[str, Any] = {
        "max_model_len": window(model, chat),
        "max_context_tokens": prompt.max_context_tokens,
        "system": prompt.system,
        "sampling": {"max_tokens": MAX_TOKENS} | dict(model.sampling),
        "bos_token": chat.bos_token,
        "eos_token": chat.eos_token,
        "adds_bos": chat.adds_bos,
        "special_tokens": list(chat.special_tokens),
    }
    content = {
        "model.py": step("prompt"),
        "settings.json": json_file(settings),
        "tokenizer.json": chat.tokenizer,
        "chat_template.jinja": of_text(chat.template),
        "prompt.j2": inputs.prompts.get(ensemble, of_text(DEFAULT_PROMPT)),
        **vendor(inputs.vendored, "tokenizers", "jinja2", "markupsafe"),
    }
    full = f"{name}_prompt"
    draft.configure(
        full,
        config.config(
            full,
            "python",
            draft.number(full, content),
            0,
            Tensors(
                (Tensor("query", "STRING", (1,)), Tensor("passages", "STRING", (-1,)), *CONTROLS),
                (
                    Tensor("prompt", "STRING", (1,)),
                    *(Tensor(control.name, control.data_type, control.dims) for control in CONTROLS),
                ),
            ),
            instance_group=config.on_cpu(),
        ),
    )
