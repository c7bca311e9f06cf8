"""Turns a GGUF file into safetensors and a tokenizer that vLLM reads: `python dequantise.py FILE TARGET`.

A script for vLLM's own environment, whose transformers reads GGUF (with the packages gguf and accelerate).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def main(file: Path, target: Path) -> None:
    """Write the model in bfloat16, without the mark that it was quantized, and its tokenizer."""
    import torch  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer  # type: ignore[import-not-found]

    read: dict[str, Any] = {"gguf_file": file.name}
    weights = AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=torch.bfloat16, **read)
    config = weights.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(weights.state_dict())
    plain.save_pretrained(str(target), safe_serialization=True)
    AutoTokenizer.from_pretrained(str(file.parent), **read).save_pretrained(str(target))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
