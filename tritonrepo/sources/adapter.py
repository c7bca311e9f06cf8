"""A LoRA adapter's files: that vLLM can load them, the rank of their tensors, and the model that they are for.

Source: vLLM 0.8 to 0.27, vllm/lora/peft_helper.py, PEFTHelper, and vllm/lora/models.py, from_local_checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop
from tritonrepo.tree import File

RULE = "source-adapter"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
OTHER_WEIGHTS = "adapter_model.bin"
NEEDED = ("r", "lora_alpha", "target_modules")
LFS = b"version https://git-lfs"
MAX_HEADER = 100 << 20
"""The longest header that the safetensors library reads, in bytes."""


class Facts(NamedTuple):
    """The rank of an adapter, and the model that it was trained on; "" if its config does not say."""

    rank: int
    base: str


def facts(files: Mapping[str, File], at: Span) -> Facts:
    """Return what the files of an adapter say; raise Stop with everything that vLLM would not accept."""
    config = _config(files)
    found = [*_faults(files, config)]
    if found:
        raise Stop(Diagnostic(RULE, Severity.FATAL, at, message, hint) for message, hint in found)
    base = config.get("base_model_name_or_path")
    return Facts(max(config["r"], _rank(files)), base if isinstance(base, str) else "")


def _config(files: Mapping[str, File]) -> dict[str, Any]:
    """Return adapter_config.json; an empty object if it is missing or not one."""
    try:
        said = json.loads(files[CONFIG].content()) if CONFIG in files else {}
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _faults(files: Mapping[str, File], config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield message and hint of what is wrong."""
    if not config:
        state = "is not a JSON object" if CONFIG in files else "is missing"
        yield f"{CONFIG} of the adapter {state}", f"Use a directory that PEFT saved, with {CONFIG} and {WEIGHTS}."
        return
    missing = [name for name in NEEDED if name not in config]
    if missing:
        yield f"{CONFIG} of the adapter lacks {' and '.join(missing)}", "Save the adapter with PEFT."
    elif not _whole(config["r"]):
        yield f"r in {CONFIG} must be an integer of at least 1, not {config['r']!r}", "Save the adapter with PEFT."
    yield from _unknown_to_vllm(config)
    if not files.keys() & {WEIGHTS, OTHER_WEIGHTS}:
        yield f"{WEIGHTS} of the adapter is missing", "Use a directory that PEFT saved, with its weights."
    elif WEIGHTS in files and _header(files[WEIGHTS]) is None:
        pointer = files[WEIGHTS].read(0, len(LFS)) == LFS
        hint = "Fetch it with `git lfs pull`." if pointer else "Download it again."
        yield f"{WEIGHTS} of the adapter is not a whole safetensors file", hint


def _unknown_to_vllm(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind = config.get("peft_type") or "LORA"
    if kind != "LORA":
        yield f"the adapter is of the kind {kind!r}, but vLLM loads only LORA", "Use a LoRA adapter."
    if config.get("use_dora") is True:
        yield "the adapter uses DoRA, which vLLM does not load", "Train it with `use_dora=False`."
    if config.get("modules_to_save"):
        yield (
            f"the adapter replaces modules ({config['modules_to_save']!r}), which vLLM does not load",
            "Train it without modules_to_save.",
        )


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _header(file: File) -> dict[str, Any] | None:
    """Return the header of a safetensors file; None if it is not one or is cut off."""
    size = int.from_bytes(file.read(0, 8), "little")
    if not 0 < size <= min(MAX_HEADER, file.size - 8):
        return None
    try:
        said = json.loads(file.read(8, size))
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not all(isinstance(tensor, dict) for tensor in said.values()):
        return None
    ends = [tensor["data_offsets"][-1:] for tensor in said.values() if isinstance(tensor.get("data_offsets"), list)]
    last = max((end for each in ends for end in each if _whole(end)), default=0)
    return said if last <= file.size - 8 - size else None


def _rank(files: Mapping[str, File]) -> int:
    """Return the largest rank of the tensors, since rank_pattern can set a rank for each module."""
    tensors = (_header(files[WEIGHTS]) or {}) if WEIGHTS in files else {}
    shapes = [tensor.get("shape") for name, tensor in tensors.items() if ".lora_A." in name]
    return max((shape[0] for shape in shapes if isinstance(shape, list) and shape and _whole(shape[0])), default=0)
