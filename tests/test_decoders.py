"""Decoders of four architectures against transformers, from the files of a model and from a GGUF file of the same.

tests/data/references/decoders was written by scripts/references/decoders.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import deserialize

from tests.tabled import tabled
from tests.test_export import Generator, cosines, write_gguf
from tritonrepo.diagnostics import Stop
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


@tabled("name", MODELS)
def test_a_models_files_compute_what_transformers_computes(name: str) -> None:
    model, expected = llama.graph(*of_files(name), quantized=False), said(name, "expected.json")
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
    model = llama.graph(read, llamaconfig.sizes_of(read), quantized=False)
    whole = REFERENCES / name / "logits-without-window.npy"
    want = np.load(whole if whole.exists() else REFERENCES / name / "logits.npy")
    assert np.abs(stepped(model, said(name, "expected.json")["ids"]) - want).max() < CLOSE


@tabled("name", MODELS)
def test_in_8_bits_the_logits_keep_their_direction_and_length(name: str) -> None:
    model = llama.graph(*of_files(name))
    want = np.load(REFERENCES / name / "logits.npy")
    got = stepped(model, said(name, "expected.json")["ids"])
    assert cosines(got, want).min() > 0.995
    assert np.abs(np.linalg.norm(got, axis=-1) / np.linalg.norm(want, axis=-1) - 1).max() < 0.05


TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def safetensors_of(path: Path, tensors: Mapping[str, tuple[str, list[int], bytes]]) -> Path:
    """Write a safetensors file by hand (safetensors, README.md, Format)."""
    header, data = dict[str, Any](__metadata__={"format": "pt"}), b""
    for name, (kind, shape, content) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_weights_of_each_type_are_read_as_fp32(tmp_path: Path) -> None:
    tensors = {f"{kind}.weight": (kind, [3], np.array([1.5, -2, 0], of).tobytes()) for kind, of in TYPES.items()}
    tensors["BF16.weight"] = ("BF16", [3], bytes.fromhex("c03f00c00000"))
    read = checkpoint([safetensors_of(tmp_path / "m", tensors)], tied=False)
    assert {name: read.array(name).tolist() for name in read.tensors} == {name: [1.5, -2, 0] for name in tensors}
    assert {read.array(name).dtype for name in read.tensors} == {np.dtype(np.float32)}


def test_names_of_transformers_become_those_of_gguf(tmp_path: Path) -> None:
    names = {
        "model.layers.11.self_attn.q_proj.bias": "blk.11.attn_q.bias",
        "model.norm.weight": "output_norm.weight",
        "model.layers.0.self_attn.rotary_emb.inv_freq": None,
        "lm_head.weight": "output.weight",
        "model.layers.0.mlp.experts.0.up_proj.weight": "model.layers.0.mlp.experts.0.up_proj.weight",
    }
    path = safetensors_of(tmp_path / "m", dict.fromkeys(names, ("F32", [1], bytes(4))))
    assert {*checkpoint([path], tied=False).tensors} == {name for name in names.values() if name}
    assert "output.weight" not in checkpoint([path], tied=True).tensors


LYING = {
    "a quantized type": (("F8_E4M3", [4], bytes(4)), 'has type F8_E4M3, but only these types are supported: F64, F32'),
    "a shape that is too large": (("F32", [9], bytes(8)), "of shape [9] does not fit in the file"),
    "a shape in words": (("F32", ["x"], bytes(8)), "the header says no type, shape and place of tensor"),
    "a shape below zero": (("F32", [-1, -2], bytes(8)), "of shape [-1, -2] does not fit in the file"),
}  # fmt: skip


@pytest.mark.parametrize(("tensor", "says"), LYING.values(), ids=LYING)
def test_a_header_that_lies_is_told(tensor: tuple[str, list[int], bytes], says: str, tmp_path: Path) -> None:
    with pytest.raises(Stop) as stop:
        checkpoint([safetensors_of(tmp_path / "m", {"a.weight": tensor})], tied=False)
    (found,) = stop.value.diagnostics
    assert says in found.message
    assert found.at.path == str(tmp_path / "m")


@given(data=st.data())
@settings(deadline=None, derandomize=True, max_examples=150)
def test_no_bytes_of_weights_raise_anything_but_a_diagnostic(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "broken.safetensors"
    whole = safetensors_of(path, {"a.weight": ("F32", [2, 2], bytes(16)), "b": ("BF16", [1], bytes(2))}).read_bytes()
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        broken[at : at + 1] = bytes([data.draw(st.sampled_from(list(b'\0\xff"{}[]:,19-e')))])
    path.write_bytes(broken)
    with suppress(Stop):
        read = checkpoint([path], tied=False)
        assert all(read.array(name).dtype == np.float32 for name in read.tensors)


KINDS = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "BF16")


@pytest.mark.parametrize("kind", KINDS)
def test_a_quantized_tensor_of_a_gguf_file_is_what_its_library_reads(kind: str, tmp_path: Path) -> None:
    stored = gguf.GGMLQuantizationType[kind]
    block, nbytes = gguf.GGML_QUANT_SIZES[stored]
    data = np.random.default_rng(3).integers(0, 60, (4, 256 // block * nbytes), np.uint8)  # no scale is infinite
    writer = gguf.GGUFWriter(tmp_path / "m", "llama")
    writer.add_tensor("t", data, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (library,) = gguf.GGUFReader(tmp_path / "m").tensors
    read = container.read(tmp_path / "m")
    assert read.tensors["t"].shape == (4, 256)
    assert np.array_equal(read.array("t"), gguf.quants.dequantize(library.data, library.tensor_type))


HUGE = {
    "layers": ({"num_hidden_layers": 10**9}, "the model has 1,000,000,000 layers, but at most 10,000 can be exported"),
    "heads": ({"head_dim": 10**9}, "the model has 1,000,000,000 values in a head, but at most 4,096 can be exported"),
    "a context": ({"max_position_embeddings": 10**9}, "the context has 1,000,000,000 tokens, but at most 8,388,608"),
    "a factor": (
        {"rope_parameters": {"rope_type": "linear", "factor": 1e308}, "max_position_embeddings": 10**6},
        "the context has inf tokens, but at most",
    ),
    "a base": ({"rope_parameters": {"rope_theta": 5e-324}, "head_dim": 64}, "rope_theta is 4.94066e-324, which is"),
}  # fmt: skip


@tabled(("changes", "says"), HUGE.values(), ids=HUGE)
def test_numbers_that_would_fill_the_memory_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(Stop, match=r"config\.json: fatal: ") as stop:
        modelconfig.sizes_of(said("qwen2", "config.json") | changes, "config.json")
    assert says in stop.value.diagnostics[0].message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda each: (
        st.lists(each, max_size=2) | st.dictionaries(st.sampled_from(["rope_type", "rope_theta", "factor"]), each)
    ),
)


@given(data=st.data())
@settings(deadline=None, derandomize=True, max_examples=100)
def test_no_config_raises_anything_but_a_diagnostic(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(MODELS))
    config = said(name, "config.json")
    for key in data.draw(st.lists(st.sampled_from([*config, "rope_scaling", "head_dim"]), min_size=1, max_size=3)):
        config[key] = data.draw(JSON)
    with suppress(Stop):
        assert min(modelconfig.sizes_of(config, "config.json")[:8]) > 0
