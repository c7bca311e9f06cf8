"""A GGUF file → what is needed to chat with its model: tokenizer, template, special tokens, context length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tritonrepo.diagnostics import fatal
from tritonrepo.export import bpe
from tritonrepo.export.container import Container, read


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """How text becomes the model's tokens and back.

    `tokenizer_json` is what the `tokenizers` library loads; it does not add BOS. `chat_template` and `bos_token` are ""
    if the file has none; `special_tokens` are strings that the texts in a prompt must not contain; `context_length` is
    in tokens.
    """

    tokenizer_json: bytes
    chat_template: str
    bos_token: str
    eos_token: str
    adds_bos: bool
    special_tokens: tuple[str, ...]
    context_length: int


def chat_format(path: Path) -> ChatFormat:
    """Read the chat format of a GGUF file; raise Stop if it is not GGUF or its tokenizer is not supported here."""
    return of_container(read(path))


def of_container(container: Container) -> ChatFormat:
    """Return the chat format of a GGUF file whose header has been read."""
    vocabulary = bpe.vocabulary(container)
    template = container.metadata.get("tokenizer.chat_template", "")
    bos = bos_token_id(container)
    return ChatFormat(
        tokenizer_json=bpe.tokenizer_json(container, vocabulary),
        chat_template=template if isinstance(template, str) else "",
        bos_token="" if bos is None else token(container, vocabulary, bos),
        eos_token=token(container, vocabulary, eos_token_ids(container)[0]),
        adds_bos=adds_bos(container),
        special_tokens=tuple(vocabulary.tokens[at] for at in vocabulary.special),
        context_length=container.whole(f"{container.text('general.architecture')}.context_length"),
    )


def token(container: Container, vocabulary: bpe.Vocabulary, number: int) -> str:
    """Return the text of a token's id; raise Stop if the vocabulary lacks that id."""
    if number < len(vocabulary.tokens):
        return vocabulary.tokens[number]
    raise fatal(
        "gguf-metadata",
        str(container.path),
        f"token id {number} is outside the vocabulary of {len(vocabulary.tokens)}",
        "Use another GGUF file.",
    )


def bos_token_id(container: Container) -> int | None:
    """Return the id of the token that begins a text; None if the file names none."""
    key = "tokenizer.ggml.bos_token_id"
    return container.whole(key) if key in container.metadata else None


def eos_token_ids(container: Container) -> list[int]:
    """Return the ids that end a generation: the file's EOS, then its end of turn and its end of message."""
    names = [f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom")]
    return list(
        dict.fromkeys(container.whole(name) for name in names if name in container.metadata or name == names[0])
    )


def adds_bos(container: Container) -> bool:
    """Return whether a prompt begins with BOS; a missing key leaves it to the kind of tokenizer."""
    said = container.metadata.get("tokenizer.ggml.add_bos_token", bpe.adds_bos(container))
    return said is True and bos_token_id(container) is not None
