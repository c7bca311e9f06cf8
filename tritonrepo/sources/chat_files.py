"""A language model's own Hugging Face files → its tokenizer, chat template, special tokens and context length.

Source of the names and of which file wins: transformers 4.57 and 5, tokenization_utils_base.py,
PreTrainedTokenizerBase.from_pretrained and _from_pretrained.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tritonrepo.diagnostics import Span, fatal, uninstalled
from tritonrepo.generate.inputs import ChatFiles
from tritonrepo.sources import context, formats
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.chat import RULE, breakable
from tritonrepo.sources.formats import TOKENIZER
from tritonrepo.tree import File, digest

READER = "chat files 4"
"""Increased when the same files give another result."""

CONFIG = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
OLD_TEMPLATE = "chat_template.json"
MAP = "special_tokens_map.json"
MODEL = "config.json"
NAMES = (TOKENIZER, CONFIG, TEMPLATE, OLD_TEMPLATE, MAP, MODEL)
"""The files that are read, all of them small; a processor's chat_template.json has the template of older models."""

OWN_BOS = {
    "LlamaTokenizer": True,
    "CodeLlamaTokenizer": True,
    "GemmaTokenizer": True,
    "CohereTokenizer": True,
    "GPTNeoXTokenizer": False,
}
"""Classes that replace what tokenizer.json adds by add_bos_token, with its default, and add_eos_token (transformers
4.57, models/*/tokenization_*_fast.py, update_post_processor); transformers 5 ignores both."""

SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
MORE_SPECIAL = ("additional_special_tokens", "extra_special_tokens")
PROBE = "a"


@dataclass(frozen=True, slots=True)
class _Said:
    """What the files say, as it is cached; `begins` are the tokens that tokenizer.json adds before a text."""

    template: str
    bos_token: str
    eos_token: str
    begins: list[str]
    ends: list[str]
    special_tokens: list[str]
    context_length: int
    longest: int
    tokenizer_class: str
    add_bos_token: bool | None
    add_eos_token: bool


def has_tokenizer(files: Mapping[str, File]) -> bool:
    """Return whether a source has the files of a tokenizer, and not a GGUF file."""
    return TOKENIZER in files or not any(path.endswith(".gguf") for path in files)


def chat_files(files: Mapping[str, File], cache: Cache, at: Span, *, by_class: bool) -> ChatFiles:
    """Return the tokenizer and chat template of a model's files; raise Stop if a file is missing or cannot be used."""
    found = tokenizer_files(files, cache, at, by_class=by_class)
    if not found.template.strip():
        message = "the model has no chat template, so it is a base model, which does not answer questions"
        hint = (
            "Use the model's instruction-tuned variant. If it is one, set tokenizer to a directory with its tokenizer "
            f"files and a {TEMPLATE}."
        )
        raise fatal(RULE, at, message, hint)
    return found


def tokenizer_files(files: Mapping[str, File], cache: Cache, at: Span, *, by_class: bool) -> ChatFiles:
    """Return the same, whose chat template is "" if the model has none.

    `by_class` says that the server's transformers is older than 5: the tokenizer's class then decides about BOS.
    """

    def make(place: Path) -> None:
        said = json.dumps(asdict(_said(used, at)), ensure_ascii=False)
        try:
            (place / "chat.json").write_text(said, "utf-8")
        except UnicodeEncodeError:
            message = "the chat template or a special token of the source holds half a character (a lone surrogate)"
            raise fatal(RULE, at, message, "Fix the escapes that begin with \\u in its JSON files.") from None

    try:
        if TOKENIZER not in files:
            files = {**files, TOKENIZER: formats.tokenizer(files, _format(files, at, by_class=by_class), cache, at)}
        used = {name: files[name] for name in NAMES if name in files}
        made = cache.tree(f"{READER} {digest(used)}", "reading the model's tokenizer", make)
    except ImportError as error:
        needs = "reading a model's tokenizer needs tokenizers"
        raise uninstalled("onnx", needs, error) from None
    said = _Said(**json.loads(made["chat.json"].content()))
    breakable(said.special_tokens, "the source", at)
    adds_bos = _adds_bos(said, at, by_class=by_class)
    return ChatFiles(
        files[TOKENIZER],
        said.template,
        said.bos_token,
        said.eos_token,
        adds_bos,
        tuple(said.special_tokens),
        said.context_length,
        said.longest,
        () if not adds_bos or _by_class(said, by_class=by_class) else _others(said),
    )


def _format(files: Mapping[str, File], at: Span, *, by_class: bool) -> formats.Said:
    """Return what the files say of a tokenizer in another format."""
    config = json_object(files, CONFIG, at)
    tokens = _tokens(config, files, at)
    special = {str(number): token for number, token in enumerate(_special_of_config({}, tokens))}
    named = {name: _text(tokens[name]) for name in SPECIAL}
    return formats.Said(config, _class(config), named | special, by_class)


def _class(config: Mapping[str, Any]) -> str:
    return str(config.get("tokenizer_class") or "").removesuffix("Fast")


def _by_class(said: _Said, *, by_class: bool) -> bool:
    return by_class and said.tokenizer_class in OWN_BOS


def _others(said: _Said) -> tuple[str, ...]:
    """Return the tokens that the tokenizer adds before a text, unless that is BOS alone."""
    return () if said.begins == [said.bos_token] else tuple(said.begins)


def _said(files: Mapping[str, File], at: Span) -> _Said:
    config = json_object(files, CONFIG, at)
    tokens = _tokens(config, files, at)
    found = json_object(files, TOKENIZER, at)
    begins, ends = _added(files[TOKENIZER], at)
    bos, eos = _text(tokens.get("bos_token")), _text(tokens.get("eos_token"))
    adds = config.get("add_bos_token")
    return _Said(
        _template(config, files, at),
        bos,
        eos,
        begins,
        ends,
        [*dict.fromkeys(filter(None, (*_special(found), *_special_of_config(config, tokens), *begins, *ends)))],
        *context.lengths(json_object(files, MODEL, at)),
        _class(config),
        adds if isinstance(adds, bool) else None,
        config.get("add_eos_token") is True,
    )


def _json(files: Mapping[str, File], name: str, at: Span) -> Any:  # noqa: ANN401  foreign data
    try:
        return json.loads(files[name].content().decode())
    except (ValueError, RecursionError) as error:
        hint = "Download the file again."
        if files[name].content().startswith(b"version https://git-lfs"):
            hint = "It is a Git LFS pointer; fetch the file with `git lfs pull`."
        raise fatal(RULE, at, f"{name} of the source is not valid JSON: {error}", hint) from None


def json_object(files: Mapping[str, File], name: str, at: Span) -> Mapping[str, Any]:
    """Return the object in a JSON file; an empty one if the file is missing."""
    said = _json(files, name, at) if name in files else {}
    if not isinstance(said, dict):
        raise fatal(RULE, at, f"{name} of the source must hold a JSON object", "Download the file again.")
    return said


def _text(token: object) -> str:
    """Return a token's text; tokens are strings or objects with `content`."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _tokens(config: Mapping[str, Any], files: Mapping[str, File], at: Span) -> Mapping[str, Any]:
    """Return the named special tokens: special_tokens_map.json only counts without added_tokens_decoder."""
    own = {} if "added_tokens_decoder" in config else json_object(files, MAP, at)
    return {name: own.get(name, config.get(name)) for name in (*SPECIAL, *MORE_SPECIAL)}


def _special(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the special tokens of tokenizer.json."""
    added = found.get("added_tokens")
    for token in added if isinstance(added, list) else ():
        if isinstance(token, dict) and token.get("special") is True:
            yield _text(token)


def _special_of_config(config: Mapping[str, Any], tokens: Mapping[str, Any]) -> Iterator[str]:
    """Yield the special tokens that transformers adds to those of tokenizer.json."""
    decoder = config.get("added_tokens_decoder")
    for token in decoder.values() if isinstance(decoder, dict) else ():
        if isinstance(token, dict) and token.get("special") is True:
            yield _text(token)
    for name in SPECIAL:
        yield _text(tokens[name])
    for name in MORE_SPECIAL:
        more = tokens[name]
        yield from map(_text, more.values() if isinstance(more, dict) else more if isinstance(more, list) else ())


def _template(config: Mapping[str, Any], files: Mapping[str, File], at: Span) -> str:
    """Return the chat template, or "": chat_template.jinja wins over tokenizer_config.json, of several "default"."""
    if TEMPLATE in files:
        try:
            return files[TEMPLATE].content().decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"{TEMPLATE} of the source is not valid UTF-8 at byte {error.start}"
            raise fatal(RULE, at, message, "Save it as UTF-8 text.") from None
    said = config.get("chat_template") or json_object(files, OLD_TEMPLATE, at).get("chat_template")
    if isinstance(said, list):
        said = {str(each.get("name")): each.get("template") for each in said if isinstance(each, dict)}
    if isinstance(said, dict):
        if "default" not in said:
            names = ", ".join(sorted(map(str, said)))
            message = f'the model has the chat templates {names}, but none named "default"'
            raise fatal(RULE, at, message, f"Add {TEMPLATE} with the right one to a copy, and set tokenizer to it.")
        said = said["default"]
    return said if isinstance(said, str) else ""


def _added(file: File, at: Span) -> tuple[list[str], list[str]]:
    """Return the tokens that the tokenizer adds before and after a text, as vLLM has it read a prompt."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(file.content().decode())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        plain = tokenizer.encode(PROBE, add_special_tokens=False).ids
        whole = tokenizer.encode(PROBE)
    except Exception as error:  # noqa: BLE001  the library raises nothing narrower
        message = f"{TOKENIZER} of the source is not a tokenizer: {error}"
        raise fatal(RULE, at, message, "Save it with a current version of tokenizers, or download it again.") from None
    starts = [n for n in range(len(whole.ids)) if plain and whole.ids[n : n + len(plain)] == plain]
    start = starts[0] if starts else len(whole.ids)
    return whole.tokens[:start], whole.tokens[start + len(plain) :]


def _adds_bos(said: _Said, at: Span, *, by_class: bool) -> bool:
    """Return whether the server's tokenizer begins a prompt, as its BOS does.

    Raise Stop if it adds anything else than BOS or what the chat template begins with: a chat would go without it.
    """
    default = OWN_BOS.get(said.tokenizer_class) if by_class else None
    ends = said.ends if default is None else [said.eos_token] if said.add_eos_token else []
    if ends:
        message = f"the model's tokenizer adds {' and '.join(map(repr, ends))} after every prompt, which ends the text"
        raise fatal(RULE, at, message, "Use the model's variant for chats.")
    if default is not None:
        return bool(said.bos_token) and (default if said.add_bos_token is None else said.add_bos_token)
    if (others := _others(said)) and "".join(others) not in said.template:
        names = " and ".join(map(repr, others))
        message = f"the model's tokenizer begins every prompt with {names}, which its chat template does not write"
        raise fatal(RULE, at, message, "Use a model whose tokenizer adds at most what its chat template begins with.")
    return bool(said.begins)
