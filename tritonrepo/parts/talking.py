"""Where a generator's prompt step gets its tokenizer and chat template, and how many tokens it may write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.generate.inputs import ChatFiles
from tritonrepo.releases import RELEASES
from tritonrepo.sources.chat import chat
from tritonrepo.sources.chat_files import NAMES, chat_files, has_tokenizer
from tritonrepo.sources.chat_step import chat_step, is_step
from tritonrepo.sources.formats import READ
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec.part import Places
from tritonrepo.spec.source import Hub, Source

MAX_TOKENS = 256
"""The default limit of an answer: a cancelled ensemble does not stop its generator (Triton 24.10)."""

UNREACHABLE = frozenset({"source-unreachable", "extra-missing"})
"""What is said if the Hugging Face Hub cannot be reached, or its library is not installed."""


WINDOW = "max-model-len-long"


class Wish(NamedTuple):
    """A generator in the stack file: its sources, what limits its prompts and answers, and their places."""

    source: Source | None
    tokenizer: Source | None
    local: Source | None
    args: Mapping[str, Any]
    sampling: Mapping[str, Any]
    prompt_config: Mapping[str, Any]
    places: Places
    variables: Mapping[str, Any] = MappingProxyType({})
    messages: bool = False
    """Whether the prompt is a list of messages, because an endpoint applies the chat template."""


class Talk(NamedTuple):
    """The tokenizer and chat template, where the stack names them, and why they are those of `local`.

    `stands_in` is "" if they are the model's own. An endpoint's model can be without files.
    """

    files: ChatFiles | None
    at: Span
    stands_in: str = ""


def talk(wish: Wish, gathering: Gathering) -> Talk:
    """Return the tokenizer and chat template: those of `tokenizer`, else of `source`, else of `local`.

    `local` only stands in for a Hub that cannot be reached. Raise Stop if nothing can be used.
    """
    if wish.tokenizer is not None:
        at = wish.places["tokenizer"]
        return Talk(_limited(wish, _read(wish.tokenizer, gathering, at), at), at)
    at = wish.places["source"]
    assert wish.source is not None  # noqa: S101  the checks of its part
    try:
        return Talk(_limited(wish, _read(wish.source, gathering, at), at), at)
    except Stop as stop:
        away = isinstance(wish.source, Hub) and all(each.rule in UNREACHABLE for each in stop.diagnostics)
        if not away or wish.local is None:
            raise
        pin = gathering.pinned.get(wish.source.text)
        if pin is not None:
            gathering.pins[wish.source.text] = pin
        at = wish.places["local"]
        return Talk(_limited(wish, _read(wish.local, gathering, at), at), at, stop.diagnostics[0].message)


def _read(source: Source, gathering: Gathering, at: Span) -> ChatFiles:
    files = gathering.resolve(source, at, (*NAMES, *READ))  # a model on the Hub also has its weights
    if is_step(files):
        return chat_step(files, at)
    if not has_tokenizer(files):
        return chat(files, gathering.cache, at)
    by_class = not RELEASES[gathering.stack.target.release].has("transformers-5")
    return chat_files(files, gathering.cache, at, by_class=by_class)


def window(args: Mapping[str, Any], files: ChatFiles | None) -> int:
    """Return how many tokens prompt and answer can have together: max_model_len, or the model's own limit."""
    length = args.get("max_model_len")
    return length if isinstance(length, int) and length > 0 else 0 if files is None else files.context_length


def doubts(wish: Wish, files: ChatFiles) -> Iterator[Diagnostic]:
    """Yield a warning for a max_model_len at which vLLM does not start (vLLM, config, _get_and_verify_max_len)."""
    length = wish.args.get("max_model_len")
    changed = any(key.startswith(("hf_", "rope_")) for key in wish.args)
    if isinstance(length, int) and length > files.longest > 0 and not changed:
        message = f"max_model_len is {length}, but vLLM accepts at most {files.longest} for this model"
        hint = "Lower it, or set VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 in the environment of the server."
        yield Diagnostic(WINDOW, Severity.WARNING, wish.places["args.max_model_len"], message, hint)


def _limited(wish: Wish, files: ChatFiles, at: Span) -> ChatFiles:
    """Return the files; raise Stop if an answer leaves no room for a prompt, or the limit is not known."""
    reads, answers = window(wish.args, files), int(wish.sampling.get("max_tokens", MAX_TOKENS))
    if reads == 0:
        message = "the model's config.json does not say how many tokens the model reads"
        raise fatal("source-generator", at, message, "Set max_model_len in args.")
    if answers >= reads:
        message = f"an answer may take {answers} tokens, but prompt and answer together must fit in {reads}"
        hint = "Set max_tokens in sampling to a much smaller number, or raise max_model_len in args."
        raise fatal("source-generator", wish.places.get("sampling", wish.places.get("args", at)), message, hint)
    return files
