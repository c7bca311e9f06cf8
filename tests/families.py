"""Chat templates with the structure of eight families of models, and tokenizers with their special tokens.

Each is written after the description of its format: what begins a prompt, how turns are marked, where the system
message stands, and what is refused. Names of tokens are those of the models.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

REFUSED = "{{ raise_exception('Conversation roles must alternate') }}"
ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}" + REFUSED + "{% endif %}{% endfor %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
WITHOUT_SYSTEM = "{% set rest = messages[1:] if messages[0].role == 'system' else messages %}"


class Family(NamedTuple):
    """A chat template, its first token, special tokens, and tokens that mark roles without being special."""

    template: str
    bos: str
    special: tuple[str, ...]
    others: tuple[str, ...] = ()
    begins: bool = True
    """Whether the template writes the first token."""
    system: bool = True


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_2 = (
    WITHOUT_SYSTEM
    + "{% for m in rest %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    + REFUSED
    + "{% endif %}"
    "{% if m.role == 'user' %}{{ bos_token }}[INST] "
    "{% if loop.first and rest != messages %}<<SYS>>\n{{ messages[0].content }}\n<</SYS>>\n\n{% endif %}"
    "{{ m.content | trim }} [/INST]{% else %} {{ m.content | trim }} {{ eos_token }}{% endif %}{% endfor %}"
)
LLAMA_3 = (
    "{% for m in messages %}{{ bos_token if loop.first }}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MISTRAL = (
    WITHOUT_SYSTEM + "{{ bos_token }}{% for m in rest %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}" + REFUSED + "{% endif %}"
    "{% if m.role == 'user' %}[INST]"
    "{% if loop.last and rest != messages %}{{ messages[0].content }}\n\n{% endif %}{{ m.content }}[/INST]"
    "{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
QWEN = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content.split('</think>')[-1] if m.role == 'assistant' else m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}" + NO_SYSTEM + ALTERNATE + "{% for m in messages %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
PHI = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}"
    "{{ '<|assistant|>' if add_generation_prompt else eos_token }}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
    "{% elif m.role == 'user' %}<｜User｜>{{ m.content }}"
    "{% else %}<｜Assistant｜>{{ m.content.split('</think>')[-1] }}<｜end▁of▁sentence｜>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)

FAMILIES = {
    "ChatML": Family(CHATML, "", ("<|im_start|>", "<|im_end|>", "<|endoftext|>"), begins=False),
    "Llama 2": Family(LLAMA_2, "<s>", ("<unk>", "</s>")),
    "Llama 3": Family(
        LLAMA_3, "<|begin_of_text|>", ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>")
    ),
    "Mistral": Family(MISTRAL, "<s>", ("</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[IMG]")),
    "Qwen": Family(QWEN, "", ("<|im_start|>", "<|im_end|>", "<|endoftext|>"), ("<think>", "</think>"), begins=False),
    "Gemma": Family(GEMMA, "<bos>", ("<eos>", "<start_of_turn>", "<end_of_turn>"), ("<table>",), system=False),
    "Phi": Family(PHI, "<|endoftext|>", ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"), begins=False),
    "DeepSeek": Family(
        DEEPSEEK,
        "<｜begin▁of▁sentence｜>",
        ("<｜end▁of▁sentence｜>",),
        (
            "<｜User｜>",
            "<｜Assistant｜>",
            "<think>",
            "</think>",
        ),  # added tokens of its tokenizer.json that are not special
    ),
}


def tokenizer(family: Family, *, adds_bos: bool) -> Tokenizer:
    """Return a tokenizer of bytes with the tokens of a family."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made: Any = Tokenizer(models.BPE({letter: place for place, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token) for token in (family.bos or "<s>", *family.special)])
    made.add_tokens([AddedToken(token, normalized=False) for token in family.others])
    if adds_bos:
        bos = family.bos or "<s>"
        made.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, made.token_to_id(bos))]
        )
    whole: Tokenizer = made
    return whole


def settings(family: Family, *, adds_bos: bool) -> dict[str, Any]:
    """Return the settings of a prompt step with the template of a family."""
    return {
        "max_model_len": 4096,
        "max_context_tokens": None,
        "system": "Be brief." if family.system else None,
        "sampling": {"max_tokens": 96},
        "bos_token": family.bos or ("<s>" if adds_bos else ""),
        "eos_token": family.special[0],
        "adds_bos": adds_bos,
        "special_tokens": [*filter(None, (family.bos,)), *family.special],
        "chat_template": family.template,
        "packages": "0456",
        "tokenizer": "0123/tokenizer.json",
    }
