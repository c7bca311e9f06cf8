"""The tokenizer and chat template of a prompt step that a build wrote, for a stack whose own source of them is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.generate.inputs import ChatFiles
from tritonrepo.repository.versions import versions
from tritonrepo.shared import SETTINGS, SETTINGS_BYTES
from tritonrepo.sources.chat import RULE, breakable
from tritonrepo.tree import File

KINDS: Mapping[str, type] = {
    "tokenizer": str,
    "chat_template": str,
    "bos_token": str,
    "eos_token": str,
    "adds_bos": bool,
    "special_tokens": list,
    "max_model_len": int,
}
"""What is read of a settings.json, which parts.prompting writes."""


def is_step(files: Mapping[str, File]) -> bool:
    """Return whether a source is the directory of a prompt step: NAME_prompt of a repository."""
    return _settings(files) is not None


def chat_step(files: Mapping[str, File], at: Span) -> ChatFiles:
    """Return what the highest version of a prompt step uses; raise Stop if its files do not say it."""
    path = _settings(files)
    assert path is not None  # noqa: S101  see is_step
    said = _said(files[path])
    tokens = files.get(str(said.get("tokenizer")))
    if tokens is None or not all(type(said.get(name)) is kind for name, kind in KINDS.items()):
        message = f"{path} of the source is not the one that a build wrote"
        raise fatal(RULE, at, message, "Use the directory NAME_prompt of a repository that was built.")
    special = tuple(map(str, said["special_tokens"]))
    breakable(special, path, at)
    return ChatFiles(
        tokens,
        str(said.get("counted_template") or said["chat_template"]),
        said["bos_token"],
        said["eos_token"],
        said["adds_bos"],
        special,
        said["max_model_len"],
        begins=tuple(map(str, said.get("begins") or ())),
    )


def _settings(files: Mapping[str, File]) -> str | None:
    """Return the path of the settings of the highest version."""
    tops = [path.partition("/")[0] for path in files if path.endswith(f"/{SETTINGS}") and path.count("/") == 1]
    found = versions(tops).found
    return f"{found[max(found)]}/{SETTINGS}" if found else None


def _said(file: File) -> Mapping[str, Any]:
    try:
        said = json.loads(file.content()) if file.size <= SETTINGS_BYTES else None
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
