"""Decoders of four architectures against transformers, from the files of a model and from a GGUF file of the same.

tests/data/references/decoders was written by scripts/references/decoders.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import deserialize

from tests.test_export import Generator, cosines, write_gguf
from tritonrepo.export import container, llama, llamaconfig, modelconfig
from tritonrepo.export.checkpoint import checkpoint
from tritonrepo.export.sizes import Sizes, Weights

REFERENCES = Path(__file__).parent / "data" / "references" / "decoders"
MODELS = ("llama", "llama-biased", "mistral", "qwen2", "qwen3")
CLOSE = 1e-4
"""Maximum difference of logits in FP32 from those of transformers."""


def said(name: str, file: str) -> dict[str, Any]:
    found = json.loads((REFERENCES / name / file).read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def of_files(name: str, **changes: object) -> tuple[Weights, Sizes]:
    config = said(name, "config.json") | changes
    paths = sorted((REFERENCES / name).glob("*.safetensors"))
    sizes = modelconfig.sizes_of(config, "config.json")
    return checkpoint(paths, tied=sizes.tied), sizes


NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
"""The modules of transformers by their names in GGUF (ggml, docs/gguf.md, Standardized tensor names)."""


def saved(name: str) -> dict[str, NDArray[Any]]:
    """Return the weights under transformers' names, read without the exporter."""
    found = {}
    for path in (REFERENCES / name).glob("*.safetensors"):
        for tensor, held in deserialize(path.read_bytes()):  # type: ignore[no-untyped-call]
            assert held["dtype"] == "BF16"
            upper = np.frombuffer(held["data"], "<u2").astype(np.uint32) << 16
            found[tensor] = upper.view(np.float32).reshape(held["shape"])
    return found


def as_gguf(name: str, path: Path) -> Path:
    """Write the model as a GGUF file, the rows of a llama's queries and keys permuted as llama.cpp does it."""
    config, family = said(name, "config.json"), name if name.startswith("qwen") else "llama"
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    tensors: dict[str, NDArray[Any]] = {}
    for tensor, values in saved(name).items():
        module, end = tensor.rsplit(".", 1)
        layer = module.removeprefix("model.layers.").split(".")[0] if "layers" in module else ""
        short = module.removeprefix(f"model.layers.{layer}.") if layer else module
        if family == "llama" and NAMES[short] in {"attn_q", "attn_k"}:
            values = values.reshape(-1, 2, head // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)  # noqa: PLW2901
        tensors[(f"blk.{layer}." if layer else "") + f"{NAMES[short]}.{end}"] = values
    rope = config["rope_parameters"]
    if rope["rope_type"] != "default":
        plain = rope["rope_theta"] ** (-np.arange(0, head, 2) / head)
        tensors["rope_freqs.weight"] = (plain / np.array(said(name, "expected.json")["frequencies"])).astype(np.float32)
    return write_gguf(path, metadata(config, family, head), tensors, family)


def metadata(config: Mapping[str, Any], family: str, head: int) -> dict[str, Any]:
    tokens = [f"t{n}" for n in range(config["vocab_size"])]
    sizes = {
        "block_count": config["num_hidden_layers"], "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"], "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": head, "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "rope.freq_base": config["rope_parameters"]["rope_theta"],
    }  # fmt: skip
    return {f"{family}.{key}": value for key, value in sizes.items()} | {"tokenizer.ggml.tokens": tokens}


def stepped(model: bytes, ids: Sequence[int], prompt: int = 1) -> NDArray[Any]:
    """Return the logits after each token from the last of the prompt, which is read at once; the others one by one."""
    generator = Generator(model)
    return np.array([generator.feed(ids[:prompt]), *(generator.feed([token]) for token in ids[prompt:])])


@pytest.mark.parametrize("name", MODELS)
def test_a_models_files_compute_what_transformers_computes(name: str) -> None:
    model, expected = llama.graph(*of_files(name), quantised=False), said(name, "expected.json")
    want = np.load(REFERENCES / name / "logits.npy")
    assert np.abs(stepped(model, expected["ids"]) - want).max() < CLOSE
    assert np.abs(stepped(model, expected["ids"], 9) - want[8:]).max() < CLOSE
    generator, tokens, fed = Generator(model), list[int](), expected["ids"]
    while len(tokens) < len(expected["tokens"]):
        tokens.append(int(generator.feed(fed).argmax()))
        fed = tokens[-1:]
    assert tokens == expected["tokens"]


@pytest.mark.parametrize("name", MODELS)
def test_a_gguf_file_computes_what_transformers_computes(name: str, tmp_path: Path) -> None:
    read = container.read(as_gguf(name, tmp_path / "m.gguf"))
    model = llama.graph(read, llamaconfig.sizes_of(read), quantised=False)
    whole = REFERENCES / name / "logits-without-window.npy"
    want = np.load(whole if whole.exists() else REFERENCES / name / "logits.npy")
    assert np.abs(stepped(model, said(name, "expected.json")["ids"]) - want).max() < CLOSE


@pytest.mark.parametrize("name", MODELS)
def test_in_8_bits_the_logits_keep_their_direction_and_length(name: str) -> None:
    model = llama.graph(*of_files(name))
    want = np.load(REFERENCES / name / "logits.npy")
    got = stepped(model, said(name, "expected.json")["ids"])
    assert cosines(got, want).min() > 0.995
    assert np.abs(np.linalg.norm(got, axis=-1) / np.linalg.norm(want, axis=-1) - 1).max() < 0.05
