"""The tokenizer and chat template in a generator's GGUF file, and the graph for a CPU that is made of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from tritonrepo.diagnostics import Span, fatal, uninstalled
from tritonrepo.generate.inputs import ChatFiles
from tritonrepo.sources.cache import Cache
from tritonrepo.tree import File

RULE = "source-generator"
READER = "chat 1"
EXPORTER = "decoder 1"

SHORTEST = 2
"""Minimum characters of a stripped special token: the prompt step breaks it up with a space inside."""


def gguf_file(files: dict[str, File], at: Span) -> Path:
    """Return the path of the only GGUF file of a source."""
    found = [file for path, file in files.items() if path.endswith(".gguf")]
    if len(found) != 1 or found[0].path is None:
        names = ", ".join(sorted(files)[:8])
        raise fatal(
            RULE,
            at,
            f"the source must contain one GGUF file, not {len(found)}",
            f"Choose a GGUF file. The source contains: {names}.",
        )
    return found[0].path


def chat(files: dict[str, File], cache: Cache, at: Span) -> ChatFiles:
    """Return the tokenizer and chat template of the GGUF file."""
    path, name = gguf_file(files, at), _name(files)

    def make(place: Path) -> None:
        from tritonrepo.export import gguf

        said = asdict(gguf.chat_format(path))
        (place / "tokenizer.json").write_bytes(said.pop("tokenizer_json"))
        (place / "chat.json").write_text(json.dumps(said), "utf-8")

    made = _tree(cache, f"{READER} {_sha256(files)}", f"reading the tokenizer of {name}", make)
    said = json.loads(made["chat.json"].content())
    breakable(said["special_tokens"], name, at)
    return ChatFiles(
        made["tokenizer.json"],
        said["chat_template"],
        said["bos_token"],
        said["eos_token"],
        said["adds_bos"],
        tuple(said["special_tokens"]),
        said["context_length"],
    )


def breakable(special_tokens: Iterable[str], name: str, at: Span) -> None:
    """Raise Stop for a special token that the prompt step cannot break up with a space inside."""
    if unbreakable := [token for token in special_tokens if token and len(token.strip()) < SHORTEST]:
        message = f"{name} has the special token {unbreakable[0]!r}, which cannot be kept out of the texts in a prompt"
        hint = "Use another file, or one in which this token is an ordinary one."
        raise fatal(RULE, at, message, hint)


def decoder(files: dict[str, File], cache: Cache, at: Span) -> Path:
    """Return a directory with the GGUF file's 8-bit ONNX graph, its tokenizer and generation.json; exported once."""
    path, name = gguf_file(files, at), _name(files)

    def make(place: Path) -> None:
        from tritonrepo.export import llama

        llama.decoder(path, place)

    made = _tree(cache, f"{EXPORTER} {_sha256(files)}", f"exporting {name} to ONNX in 8 bits", make)
    return cache.directory("decoder", made)


def _tree(cache: Cache, key: str, what: str, make: Callable[[Path], None]) -> dict[str, File]:
    try:
        return cache.tree(key, what, make)
    except ImportError as error:
        needs = "reading a GGUF file needs numpy, onnx and gguf"
        raise uninstalled("onnx", needs, error) from None


def _name(files: dict[str, File]) -> str:
    return next(path for path in files if path.endswith(".gguf"))


def _sha256(files: dict[str, File]) -> str:
    return files[_name(files)].sha256
