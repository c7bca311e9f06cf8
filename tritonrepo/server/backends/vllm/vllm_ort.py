"""The engine with a model: a decoder graph with key-value cache on onnxruntime, one sequence per step.

The directory holds model.onnx, tokenizer.json and generation.json. Graph: input_ids [1, tokens] INT64,
past_key_values.<layer>.key and .value [1, heads, past, size] FP32, seqlens_k [1] INT32 (total - 1),
total_sequence_length [] INT32 → logits [1, vocabulary] FP32 of the last position, then present.<layer>.key and .value.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tokenizers
from numpy.typing import NDArray

FILES = ("model.onnx", "tokenizer.json", "generation.json")


class OrtEngine:
    """Runs the graph on all cores of this process; idle threads do not spin, which leaves cores to other models."""

    # A long prompt is read in parts, so that other sequences keep streaming.
    prefill_tokens = 64
    token_s = 0.0

    def __init__(self, model: str, max_model_len: int | None) -> None:
        directory = find_weights(model)
        with (directory / "generation.json").open(encoding="utf-8") as file:
            facts = json.load(file)
        self.context_length = checked_length(max_model_len, facts["context_length"])
        self.eos_token_ids = frozenset(facts["eos_token_ids"])
        self.begins_with = [facts["bos_token_id"]] if facts["adds_bos"] else []
        self.tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(str(directory / "model.onnx"), options)
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.caches = {
            tensor.name: (1, tensor.shape[1], 0, tensor.shape[3])
            for tensor in self.session.get_inputs()
            if tensor.name.startswith("past_key_values.")
        }

    def begin(self, prompt: str) -> tuple[list[int], dict[str, Any]]:
        """Return the prompt's tokens and an empty key-value cache."""
        ids = self.begins_with + self.tokenizer.encode(prompt, add_special_tokens=False).ids
        caches = {name: as_value(np.zeros(shape, np.float32)) for name, shape in self.caches.items()}
        return ids, {"total": 0, "caches": caches}

    def feed(self, state: dict[str, Any], ids: list[int]) -> NDArray[Any]:
        """Run the graph over `ids` after the state's tokens; the cache stays in onnxruntime, never copied out."""
        state["total"] += len(ids)
        inputs = {
            "input_ids": as_value(np.array([ids], np.int64)),
            "seqlens_k": as_value(np.array([state["total"] - 1], np.int32)),
            "total_sequence_length": as_value(np.array(state["total"], np.int32)),
            **state["caches"],
        }
        results = dict(zip(self.outputs, self.session.run_with_ort_values(self.outputs, inputs), strict=True))
        state["caches"] = {name: results[name.replace("past_key_values", "present")] for name in self.caches}
        logits: NDArray[np.float32] = results["logits"].numpy()[0]
        return logits

    def decode(self, state: dict[str, Any], ids: list[int], *, skip_special: bool) -> str:  # noqa: ARG002  one vocabulary for all
        """Return the text of tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=skip_special)


def listed() -> dict[str, Any]:
    """Return model in model.json → directory of its local weights."""
    text = os.environ.get("TRITONREPO_LOCAL_MODELS") or "{}"
    try:
        return {**json.loads(text)}
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"TRITONREPO_LOCAL_MODELS must be a JSON object of model → directory, not {text}") from error


def find_weights(model: str) -> Path:
    """Return the directory of the local weights for a model in model.json; raise ValueError if one is missing."""
    named = listed().get(model)
    directory = Path(named or model)
    if not named and not directory.is_dir():
        raise ValueError(
            f"this CPU stand-in for vLLM has no local weights for model '{model}': add `local:` to the generator in "
            "the stack file, or start with `--llm-engine script`, which runs no model and echoes the prompt"
        )
    missing = [name for name in FILES if not (directory / name).is_file()]
    if missing:
        raise ValueError(f"the local weights of model '{model}' lack {', '.join(missing)} in {directory}")
    return directory


def checked_length(asked: int | None, own: int) -> int:
    """Return the maximum model length; reject an excessive one in vLLM's words (config, _get_and_verify_max_len)."""
    if asked is not None and asked > own:
        raise ValueError(
            f"User-specified max_model_len ({asked}) is greater than the derived max_model_len "
            f"(max_position_embeddings={own} or model_max_length=None in model's config.json)."
        )
    return asked or own


def as_value(array: NDArray[Any]) -> onnxruntime.OrtValue:
    """Return an array as onnxruntime's own value."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)
