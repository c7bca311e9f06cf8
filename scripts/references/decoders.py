"""Write tests/data/references/decoders: small random decoders as transformers saves them, and what they compute.

Run it with a Python that has torch and transformers: `python scripts/references/decoders.py`. Each directory has
config.json, generation_config.json and the weights in BF16; expected.json has the versions, the ids that were read and
the tokens that follow them greedily; logits.npy has the logits after each of those ids, computed in FP32, and
logits-without-window.npy has them for a model without its sliding window.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

HERE = Path(__file__).parents[2] / "tests" / "data" / "references" / "decoders"
SIZES = {
    "vocab_size": 101,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": (
        "Llama",
        {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "rope_parameters": STRETCHED},
    ),
    "llama-biased": (
        "Llama",
        {
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "attention_bias": True,
            "mlp_bias": True,
            "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 100.0},
            "tie_word_embeddings": True,
        },
    ),
    "mistral": ("Mistral", {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "sliding_window": 5}),
    "qwen2": (
        "Qwen2",
        {
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "tie_word_embeddings": True,
            "use_sliding_window": True,
            "sliding_window": 4,
            "max_window_layers": 1,
        },
    ),
    "qwen3": (
        "Qwen3",
        {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "tie_word_embeddings": True},
    ),
}
SHARDED = {"mistral"}
IDS = [3, 50, 7, 99, 12, 64, 31, 8, 77, 20, 100, 2]
TOKENS = 24
APART = 1e-3
"""The minimum of how far the best token is ahead, or the tokens would be a matter of rounding."""


def unwindowed(model: torch.nn.Module, changes: dict[str, Any], ids: list[int]) -> np.ndarray:
    """Return the logits of the same weights where every token reads all before it, as GGUF files have it."""
    config = type(model.config)(**(SIZES | changes | {"sliding_window": None, "use_sliding_window": False}))
    whole = type(model)(config).eval()
    whole.load_state_dict(model.state_dict())
    return whole(torch.tensor([ids])).logits[0].numpy()


def made(name: str, kind: str, changes: dict[str, Any]) -> None:
    torch.manual_seed(sorted(CASES).index(name))
    config = getattr(transformers, f"{kind}Config")(**(SIZES | changes))
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            around = 1.0 if path.endswith("norm.weight") else 0.0
            parameter.copy_((around + 0.3 * torch.randn_like(parameter)).bfloat16().float())
    place = HERE / name
    shutil.rmtree(place, ignore_errors=True)
    saved = copy.deepcopy(model).to(torch.bfloat16)  # which rounds the frequencies as well
    saved.save_pretrained(place, max_shard_size="24KB" if name in SHARDED else "1GB")
    ids = list(IDS)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].numpy()
        if "sliding_window" in changes:
            np.save(place / "logits-without-window.npy", unwindowed(model, changes, ids))
        while len(ids) < len(IDS) + TOKENS:
            best, second = model(torch.tensor([ids])).logits[0, -1].topk(2)[0].tolist()
            assert best - second > APART
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    np.save(place / "logits.npy", logits.astype(np.float32))
    expected = {
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__},
        "ids": IDS,
        "tokens": ids[len(IDS) :],
        "frequencies": [float(each) for each in model.model.rotary_emb.inv_freq],
    }
    (place / "expected.json").write_text(json.dumps(expected) + "\n", "utf-8")


if __name__ == "__main__":
    for name, (kind, changes) in CASES.items():
        made(name, kind, changes)
        print(name, sum(path.stat().st_size for path in (HERE / name).iterdir()))
