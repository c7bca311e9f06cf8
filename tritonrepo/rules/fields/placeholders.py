"""Placeholders of a template in strings, where the text can be read and the backend gets them as they are.

Source: tensorrtllm_backend, all_models: the templates put parameters in quotes, such as "${engine_dir}".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, some
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule

WHOLE = re.compile(r"\$\{\w{1,80}\}|\{\{[^{}]{1,80}\}\}")
OPTIONAL = frozenset({"accumulate_tokens", "add_special_tokens", "engine_dir", "max_num_images", "skip_special_tokens"})
OPTIONAL |= frozenset({"multimodal_model_path", "tensorrt_llm_draft_model_name", "tensorrt_llm_model_name"})
OPTIONAL |= frozenset({"tokenizer_type", "visual_model_path"})
"""Parameters of TensorRT-LLM's Python steps that a placeholder leaves at their defaults; of an engine, most are."""

SHOWN = 3
"""Parameters that the message names."""


@rule("template-placeholder-in-parameter", Severity.WARNING, "parameters")
def in_parameters(model: Model) -> Iterator[Finding]:
    """A parameter should not be a placeholder of a template."""
    if model.backend == "tensorrtllm":
        return
    left = {
        name: value.scalars("string_value")[-1]
        for name, value in model.parameters.items()
        if isinstance(value, Message) and WHOLE.fullmatch(value.text("string_value")) and name not in OPTIONAL
    }
    if left:
        first: Placed = next(iter(left.values()))
        names = list(left)
        shown = some([f'"{name}"' for name in names], SHOWN)
        verb = "are placeholders that are" if len(names) > 1 else "is a placeholder that is"
        yield Finding(
            first,
            f"{'parameters' if len(names) > 1 else 'parameter'} {shown} {verb} not filled in",
            hint="Fill in the template, or remove the parameters that are not needed.",
        )
