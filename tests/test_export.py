from __future__ import annotations

import json
import math
import struct
import tracemalloc
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tests import reference
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.export import container
from tritonrepo.export.encoder import exported, parsed
from tritonrepo.export.gguf import ChatFormat, chat_format
from tritonrepo.export.heads import Head, Pool, Pooling
from tritonrepo.export.llama import decoder
from tritonrepo.export.weights import safetensors

Array = NDArray[Any]
Weights = dict[str, Array]
PADDING = 1
TEXTS = [[5], [3, 8, 13, 21], [9, 2, 7], [17, 4, 6, 11, 12, 19, 15, 10, 22]]
SPELT = [[4, PADDING, 9, 6]]
"""The padding id as a token of a text, as when the text spells it."""


def session(model: bytes | Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model if isinstance(model, bytes) else str(model), options)


def encoder(config: Mapping[str, Any], weights: Mapping[str, Array], head: Head, at: str = "config.json") -> bytes:
    return exported(parsed(config, at), weights, head, at)


def embed(model: onnxruntime.InferenceSession, texts: Sequence[Sequence[int]], length: int = 0) -> Array:
    length = length or max(map(len, texts))
    ids = np.array([[*text, *[PADDING] * (length - len(text))] for text in texts], np.int64)
    mask = np.array([[1] * len(text) + [0] * (length - len(text)) for text in texts], np.int64)
    return np.asarray(model.run(["embedding"], {"input_ids": ids, "attention_mask": mask})[0])


def declared(tensors: Iterable[Any]) -> list[tuple[str, str, list[str | int]]]:
    """Return name, type and dims of a graph's inputs or outputs as the file has them, without what can be inferred."""
    kinds = {1: "FP32", 6: "INT32", 7: "INT64"}
    return [
        (
            t.name,
            kinds[t.type.tensor_type.elem_type],
            [d.dim_param or d.dim_value for d in t.type.tensor_type.shape.dim],
        )
        for t in tensors
    ]


def cosines(a: Array, b: Array) -> Array:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.asarray((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1))


def bert_config(**changes: object) -> dict[str, Any]:
    sizes = {"hidden_size": 16, "intermediate_size": 40, "num_attention_heads": 4, "num_hidden_layers": 2}
    tables = {"vocab_size": 24, "max_position_embeddings": 20, "type_vocab_size": 2}
    kind = {"architectures": ["BertModel"], "hidden_act": "gelu", "layer_norm_eps": 1e-3, "pad_token_id": PADDING}
    return {**sizes, **tables, **kind, "position_embedding_type": "absolute", **changes}


def bert_weights(config: Mapping[str, Any], prefix: str = "") -> Weights:
    rng = np.random.default_rng(7)
    hidden, between = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], hidden),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], hidden),
    }
    pairs: list[tuple[str, tuple[int, ...]]] = [("embeddings.LayerNorm", (hidden,))]
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        pairs += [(f"{at}attention.self.{part}", (hidden, hidden)) for part in ("query", "key", "value")]
        pairs += [(f"{at}attention.output.dense", (hidden, hidden)), (f"{at}attention.output.LayerNorm", (hidden,))]
        pairs += [(f"{at}intermediate.dense", (between, hidden)), (f"{at}output.dense", (hidden, between))]
        pairs += [(f"{at}output.LayerNorm", (hidden,))]
    for name, shape in pairs:
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {prefix + name: rng.normal(0, 0.6, shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("normalize", [True, False], ids=["of length 1", "as it is"])
@pytest.mark.parametrize("pool", list(Pool))
@pytest.mark.parametrize(
    ("changes", "padding"),
    [
        pytest.param({}, None, id="exact gelu"),
        pytest.param({"hidden_act": "gelu_new"}, None, id="gelu by tanh"),
        pytest.param({"hidden_act": "relu"}, None, id="relu"),
        pytest.param({"architectures": ["BertForMaskedLM"]}, None, id="weights below bert."),
        pytest.param({"architectures": ["XLMRobertaModel"]}, PADDING, id="roberta's positions"),
    ],
)
def test_embeddings_are_the_models(
    changes: dict[str, Any], padding: int | None, pool: Pool, *, normalize: bool
) -> None:
    config = bert_config(**changes)
    weights = bert_weights(config)
    prefix = "bert." if "MaskedLM" in config["architectures"][0] else ""
    stored = {prefix + name: weight for name, weight in weights.items()} | {"pooler.dense.bias": np.zeros(3)}
    model = session(encoder(config, stored, Pooling(pool, normalize)))
    bert = reference.Bert(config, weights, padding)
    texts = TEXTS + SPELT
    want = np.array([bert.embedding(text, pool, normalize=normalize) for text in texts])
    assert np.abs(embed(model, texts, length=12) - want).max() < 2e-6 * np.abs(want).max()


@pytest.mark.parametrize("architecture", ["BertModel", "RobertaModel"])
@pytest.mark.parametrize("pool", list(Pool))
def test_an_embedding_does_not_depend_on_its_padding(pool: Pool, architecture: str) -> None:
    config = bert_config(architectures=[architecture])
    model = session(encoder(config, bert_weights(config), Pooling(pool, normalize=True)))
    alone = np.concatenate([embed(model, [text]) for text in TEXTS])
    for length in (9, 13, 18):
        padded = embed(model, TEXTS, length)
        assert cosines(padded, alone).min() > 1 - 1e-9
        assert np.abs(padded - alone).max() < 1e-6


def test_a_row_of_padding_alone_gives_zeros_and_spoils_no_other() -> None:
    config = bert_config()
    model = session(encoder(config, bert_weights(config), Pooling(Pool.MEAN, normalize=True)))
    rows = embed(model, [[], [3, 8]], length=4)
    assert not rows[0].any()
    assert cosines(rows[1], embed(model, [[3, 8]])[0]) > 1 - 1e-9


def test_equal_input_gives_equal_bytes_that_old_runtimes_read() -> None:
    config = bert_config()
    weights = bert_weights(config)
    model = encoder(config, weights, Pooling(Pool.MEAN, normalize=True))
    assert model == encoder(config, dict(reversed(weights.items())), Pooling(Pool.MEAN, normalize=True))
    proto = onnx.load_from_string(model)
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.ir_version, [(o.domain, o.version) for o in proto.opset_import]) == (8, [("", 17)])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"architectures": ["NomicBertModel"]}, "architectures is ['NomicBertModel']", id="another kind"),
        pytest.param({"architectures": None}, "architectures is None", id="no architecture"),
        pytest.param({"hidden_act": "silu"}, "hidden_act is 'silu'", id="activation"),
        pytest.param({"hidden_act": ["gelu"]}, "hidden_act is ['gelu']", id="activation of another type"),
        pytest.param({"position_embedding_type": "relative_key"}, "'relative_key', but it must be", id="positions"),
        pytest.param({"is_decoder": True}, "is_decoder is True", id="causal"),
        pytest.param({"quantization_config": {"bits": 4}}, "quantization_config is", id="quantized"),
        pytest.param({"auto_map": {"AutoModel": "x.y"}}, "auto_map is", id="own code"),
        pytest.param({"hidden_size": "16"}, "hidden_size is '16'", id="size of another type"),
        pytest.param({"num_attention_heads": 3}, "num_attention_heads is 3, but it must divide", id="heads"),
        pytest.param({"layer_norm_eps": "small"}, "layer_norm_eps is 'small'", id="epsilon"),
        pytest.param({"architectures": ["RobertaModel"], "pad_token_id": None}, "pad_token_id is None", id="padding"),
    ],
)
def test_a_config_that_would_change_the_result_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(Stop) as stop:
        encoder(
            bert_config(**changes), bert_weights(bert_config()), Pooling(Pool.MEAN, normalize=True), "m/config.json"
        )
    (found,) = stop.value.diagnostics
    assert says in found.message
    assert (found.severity, found.at.path, bool(found.hint)) == (Severity.FATAL, "m/config.json", True)


def test_all_faults_of_a_config_are_said_at_once() -> None:
    config = bert_config(hidden_act="silu", is_decoder=True)
    del config["num_hidden_layers"]
    with pytest.raises(Stop) as stop:
        encoder(config, {}, Pooling(Pool.MEAN, normalize=True))
    said = [found.message.split(",")[0] for found in stop.value.diagnostics]
    assert said == ["is_decoder is True", "hidden_act is 'silu'", "num_hidden_layers is missing"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"encoder.layer.1.output.dense.bias": None}, "layer.1.output.dense.bias is missing", id="missing"),
        pytest.param(
            {"embeddings.LayerNorm.bias": np.zeros(15)},
            "LayerNorm.bias has shape [15], not [16]",
            id="of another shape",
        ),
        pytest.param(
            {"encoder.layer.2.output.dense.bias": np.zeros(16)},
            "layer.2.output.dense.bias is unknown",
            id="a layer more",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(change: dict[str, Array | None], says: str) -> None:
    weights = {**bert_weights(bert_config()), **change}
    with pytest.raises(Stop) as stop:
        encoder(bert_config(), {k: v for k, v in weights.items() if v is not None}, Pooling(Pool.CLS, normalize=True))
    (found,) = stop.value.diagnostics
    assert found.message.startswith("config.json does not match 1 of the weights: ")
    assert says in found.message


def test_minilm_gives_the_references_embeddings(minilm_dir: Path) -> None:
    config = json.loads((minilm_dir / "config.json").read_text(encoding="utf-8"))
    weights = safetensors(minilm_dir / "model.safetensors")
    words = (minilm_dir / "README.md").read_text(encoding="utf-8").split()
    tokenizer = Tokenizer.from_file(str(minilm_dir / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = [tokenizer.encode(" ".join(words[:n])).ids for n in (1, 5, 20, 60, 150)]
    assert len(texts[-1]) > 128
    model = session(encoder(config, weights, Pooling(Pool.MEAN, normalize=True)))
    bert = reference.Bert(config, weights)
    want = np.array([bert.embedding(text, "mean", normalize=True) for text in texts])
    for got in (embed(model, texts), np.concatenate([embed(model, [text]) for text in texts])):
        assert cosines(got, want).min() > 1 - 1e-9
        assert np.abs(got - want).max() < 1e-6


def safetensors_file(path: Path, header: object, data: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_tensors_come_in_their_types_and_bf16_as_fp32(tmp_path: Path) -> None:
    halves = np.array([0x3F80, 0xC020, 0x0000, 0x7F80], "<u2")  # 1, -2.5, 0, infinity
    floats, numbers = np.array([[1.5], [-2]], "<f2"), np.array([7], "<i8")
    header = {
        "b": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
        "f": {"dtype": "F16", "shape": [2, 1], "data_offsets": [8, 12]},
        "i": {"dtype": "I64", "shape": [1], "data_offsets": [12, 20]},
    }
    found = safetensors(
        safetensors_file(tmp_path / "m", header, halves.tobytes() + floats.tobytes() + numbers.tobytes())
    )
    assert found["b"].dtype == np.float32
    assert found["b"].tolist() == [[1.0, -2.5], [0.0, math.inf]]
    assert found["f"].dtype == np.float16
    assert found["f"].tolist() == [[1.5], [-2.0]]
    assert found["i"].tolist() == [7]


KINDS: dict[str, list[Any]] = {
    "float64": [0.1, -1e300],
    "float32": [0.5, -1.5],
    "float16": [1.5, -2],
    "int64": [-(2**63), 2**63 - 1],
    "int32": [-(2**31), 2**31 - 1],
    "int16": [-32_768, 32_767],
    "int8": [-128, 127],
    "uint64": [0, 2**64 - 1],
    "uint32": [0, 2**32 - 1],
    "uint16": [0, 65_535],
    "uint8": [0, 255],
    "bool": [True, False],
}


def test_each_type_of_the_format_is_read_at_both_ends_of_its_range(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    given = {kind: np.array([values], kind) for kind, values in KINDS.items()}
    save_file(given, tmp_path / "m")
    found = safetensors(tmp_path / "m")
    assert {name: (str(array.dtype), array.tolist()) for name, array in found.items()} == {
        kind: (kind, [values]) for kind, values in KINDS.items()
    }


def test_bf16_is_the_upper_half_of_an_fp32_below_zero_as_well(tmp_path: Path) -> None:
    halves = np.array([0xBF80, 0xFF80, 0x8000], "<u2")  # -1, minus infinity, minus 0
    header = {"b": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    found = safetensors(safetensors_file(tmp_path / "m", header, halves.tobytes()))["b"]
    assert found.tolist() == [-1, -math.inf, 0]
    assert np.signbit(found).all()


@pytest.mark.parametrize(
    ("header", "says"),
    [
        pytest.param(
            {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}, "damaged or incomplete", id="cut short"
        ),
        pytest.param(
            {"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 8]}}, "damaged or incomplete", id="lying shape"
        ),
        pytest.param(b"{", "damaged or incomplete", id="no JSON"),
        pytest.param({"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, "F8_E4M3", id="type"),
    ],
)
def test_safetensors_that_cannot_be_used_are_refused(header: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(Stop, match=says):
        safetensors(safetensors_file(tmp_path / "m", header, bytes(8)))


def test_absent_weights_are_a_diagnostic(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="cannot be read: No such file"):
        safetensors(tmp_path / "absent")
    with pytest.raises(Stop, match="cannot be read: No such file"):
        container.read(tmp_path / "absent")
    (tmp_path / "empty").touch()
    with pytest.raises(Stop, match="the GGUF file is damaged or incomplete"):
        container.read(tmp_path / "empty")


TOKENS = ["<|s|>", "<|e|>", "<tag>", *map(chr, range(33, 127)), "Ġ", "Ã", "©", "th", "Ġth", "the", "12"]
TYPES = [3, 3, 4] + [1] * (len(TOKENS) - 3)
MERGES = ["t h", "Ġ th", "th e", "1 2"]
HEADS, SHARED, HIDDEN, BETWEEN, LAYERS = 4, 2, 64, 96, 2


def llama_metadata() -> dict[str, Any]:
    sizes = {"block_count": LAYERS, "context_length": 64, "embedding_length": HIDDEN, "feed_forward_length": BETWEEN}
    attention = {"attention.head_count": HEADS, "attention.head_count_kv": SHARED}
    numbers = {"attention.layer_norm_rms_epsilon": 1e-3, "rope.freq_base": 500.0}
    words = {"model": "gpt2", "pre": "smollm", "tokens": TOKENS, "token_type": TYPES, "merges": MERGES}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "add_bos_token": True}
    return {
        **{f"llama.{key}": value for key, value in (sizes | attention | numbers).items()},
        **{f"tokenizer.ggml.{key}": value for key, value in (words | ends).items()},
        "tokenizer.chat_template": "{{ messages }}",
    }


def llama_weights() -> Weights:
    rng = np.random.default_rng(3)
    keys = HIDDEN // HEADS * SHARED
    layer = {
        "attn_norm": (HIDDEN,),
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (keys, HIDDEN),
        "attn_v": (keys, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN),
        "ffn_norm": (HIDDEN,),
        "ffn_gate": (BETWEEN, HIDDEN),
        "ffn_up": (BETWEEN, HIDDEN),
        "ffn_down": (HIDDEN, BETWEEN),
    }
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(TOKENS), HIDDEN), "output_norm.weight": (HIDDEN,)}
    shapes |= {f"blk.{n}.{name}.weight": shape for n in range(LAYERS) for name, shape in layer.items()}
    return {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def write_gguf(path: Path, metadata: Mapping[str, Any], weights: Weights, architecture: str = "llama") -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in metadata.items():
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
        add.get(type(value), writer.add_array)(key, value)
    for name, weight in weights.items():
        writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class Generator:
    """Feeds a decoder's graph and keeps its state."""

    def __init__(self, model: Path | bytes) -> None:
        self.session = session(model if isinstance(model, bytes) else model / "model.onnx")
        self.state = {
            tensor.name: np.zeros((1, tensor.shape[1], 0, tensor.shape[3]), np.float32)
            for tensor in self.session.get_inputs()
            if tensor.name.startswith("past_key_values.")
        }
        self.total = 0

    def feed(self, ids: Sequence[int]) -> Array:
        self.total += len(ids)
        lengths = {"seqlens_k": [self.total - 1], "total_sequence_length": self.total}
        sizes = {name: np.array(value, np.int32) for name, value in lengths.items()}
        fed = {"input_ids": np.array([ids], np.int64), **sizes, **self.state}
        logits, *states = self.session.run(None, fed)
        self.state = dict(zip(self.state, states, strict=True))
        return np.asarray(logits[0])


@pytest.mark.parametrize("tied", [True, False], ids=["tied embeddings", "logits of their own"])
def test_a_decoder_gives_the_references_logits(*, tied: bool, tmp_path: Path) -> None:
    weights = llama_weights()
    if not tied:
        weights["output.weight"] = np.random.default_rng(5).normal(0, 0.3, (len(TOKENS), HIDDEN)).astype(np.float32)
    decoder(write_gguf(tmp_path / "m.gguf", llama_metadata(), weights), tmp_path / "llm")
    ids = [3, 50, 7, 99, 12, 64, 31]
    want = reference.Llama(weights, HEADS, SHARED, base=500.0, epsilon=1e-3).logits(ids)
    at_once, in_steps = Generator(tmp_path / "llm"), Generator(tmp_path / "llm")
    stepped = [in_steps.feed([token]) for token in ids]
    for got in (at_once.feed(ids), stepped[-1]):
        # 8 bits in weights and activations.
        assert cosines(got, want) > 0.999
        assert got.argmax() == want.argmax()


def test_a_decoder_comes_with_its_ends_and_tokenizer(tmp_path: Path) -> None:
    metadata = llama_metadata() | {"tokenizer.ggml.eot_token_id": 2}
    source = write_gguf(tmp_path / "m.gguf", metadata, llama_weights())
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / "older").touch()
    decoder(source, tmp_path / "llm")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["llm", "m.gguf"]
    assert sorted(path.name for path in (tmp_path / "llm").iterdir()) == [
        "generation.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert json.loads((tmp_path / "llm" / "generation.json").read_text(encoding="utf-8")) == {
        "context_length": 64,
        "eos_token_ids": [1, 2],
        "adds_bos": True,
        "bos_token_id": 0,
    }
    assert (tmp_path / "llm" / "tokenizer.json").read_bytes() == chat_format(source).tokenizer_json


def test_a_chat_format_says_what_the_file_says(tmp_path: Path) -> None:
    found = chat_format(write_gguf(tmp_path / "m.gguf", llama_metadata(), {}))
    assert found == ChatFormat(
        tokenizer_json=found.tokenizer_json,
        chat_template="{{ messages }}",
        bos_token="<|s|>",
        eos_token="<|e|>",
        adds_bos=True,
        special_tokens=("<|s|>", "<|e|>"),
        context_length=64,
    )
    tokenizer = Tokenizer.from_str(found.tokenizer_json.decode())
    encoded = tokenizer.encode("the the<|e|>the<tag>12é")
    assert encoded.tokens == ["the", "Ġth", "e", "<|e|>", "the", "<tag>", "1", "2", "Ã", "©"]
    assert tokenizer.decode(encoded.ids) == "the thethe<tag>12é"


def changed(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  one value of any type that GGUF has
    renamed = {name.replace("__", "."): value for name, value in changes.items()}
    return {key: value for key, value in (llama_metadata() | renamed).items() if value is not None}


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        pytest.param(changed(tokenizer__ggml__model="bert"), "tokenizer.ggml.model is 'bert'", id="another kind"),
        pytest.param(changed(tokenizer__ggml__pre="viking"), "tokenizer.ggml.pre is 'viking'", id="pre-tokenizer"),
        pytest.param(changed(tokenizer__ggml__pre=None), "tokenizer.ggml.pre is missing", id="no pre-tokenizer"),
        pytest.param(changed(tokenizer__ggml__eos_token_id=999), "999 is outside the vocabulary", id="end"),
        pytest.param(changed(tokenizer__ggml__eos_token_id=None), "eos_token_id is missing", id="no end"),
        pytest.param(changed(tokenizer__ggml__merges=["t q"]), "merge 't q' uses tokens", id="merge"),
        pytest.param(changed(tokenizer__ggml__token_type=[1]), "type of each of", id="types"),
        pytest.param(
            changed(llama__context_length="long"),
            "context_length must be an integer of 0 or more, not 'long'",
            id="type of a value",
        ),
        pytest.param(changed(llama__rope__scaling__type="yarn"), "llama.rope.scaling.type is 'yarn'", id="rope"),
        pytest.param(changed(llama__expert_count=8), "llama.expert_count is 8", id="experts"),
        pytest.param(
            changed(llama__attention__key_length=32), "attn_q.weight has shape [64, 64], not [128, 64]", id="head size"
        ),
        pytest.param(changed(llama__attention__head_count=5), "cannot be split evenly", id="heads"),
        pytest.param(changed(llama__attention__head_count=0), "cannot be split evenly", id="no heads"),
        pytest.param(changed(llama__feed_forward_length=100), "must be multiples of 32", id="width"),
        pytest.param(changed(llama__block_count=3), "tensor blk.2.attn_norm.weight is missing", id="layers"),
        pytest.param(changed(llama__block_count=1), "unexpected tensor blk.1.attn_k.weight", id="layers left"),
    ],
)
def test_a_model_that_would_be_written_wrong_is_refused(metadata: dict[str, Any], says: str, tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "m.gguf", metadata, llama_weights())
    with pytest.raises(Stop) as stop:
        decoder(source, tmp_path / "llm")
    (found,) = stop.value.diagnostics
    assert says in found.message
    assert (found.severity, found.at.path, bool(found.hint)) == (Severity.FATAL, str(source), True)
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_another_architecture_and_an_unknown_tensor_are_refused_by_name(tmp_path: Path) -> None:
    gemma = write_gguf(tmp_path / "gemma.gguf", llama_metadata(), llama_weights(), "gemma2")
    with pytest.raises(Stop, match=r"general\.architecture is 'gemma2', but only llama, qwen2 and qwen3 can"):
        decoder(gemma, tmp_path / "llm")
    biased = write_gguf(
        tmp_path / "m.gguf", llama_metadata(), llama_weights() | {"rope_short.weight": np.ones(8, "f4")}
    )
    with pytest.raises(Stop, match=r"unexpected tensor rope_short\.weight"):
        decoder(biased, tmp_path / "llm")


def test_a_file_cut_in_its_tensors_and_a_place_that_is_none_leave_nothing(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "m.gguf", llama_metadata(), llama_weights())
    (tmp_path / "file").touch()
    with pytest.raises(Stop, match="cannot be written: "):
        decoder(source, tmp_path / "file" / "llm")
    source.write_bytes(source.read_bytes()[:-1000])
    with pytest.raises(Stop, match=r"tensor blk\.1\.\w+\.weight .* cannot be read"):
        decoder(source, tmp_path / "llm")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "m.gguf"]


@pytest.fixture(scope="session")
def small_gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "m.gguf", llama_metadata(), {}).read_bytes()


@given(data=st.data())
@settings(deadline=None, derandomize=True, max_examples=150)
def test_no_bytes_raise_anything_but_a_diagnostic(
    data: st.DataObject, small_gguf: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    broken = bytearray(small_gguf[: data.draw(st.integers(0, len(small_gguf)))])
    for at in data.draw(st.lists(st.integers(0, len(small_gguf) - 1), max_size=4)):
        broken[at : at + 1] = bytes([data.draw(st.sampled_from([0, 9, 127, 255]))])
    path = tmp_path_factory.mktemp("broken") / "m.gguf"
    path.write_bytes(broken)
    tracemalloc.start()
    with pytest.raises(Stop) as stop:  # the whole file has no tensors
        decoder(path, path.parent / "llm")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stop.value.diagnostics[0].at.path == str(path)
    assert peak < 20_000_000


@pytest.fixture(scope="session")
def smollm2(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoder") / "llm"
    decoder(smollm2_gguf, folder)
    return folder


def test_smollm2_knows_the_capital_of_france(smollm2: Path, smollm2_gguf: Path) -> None:
    tokenizer = Tokenizer.from_file(str(smollm2 / "tokenizer.json"))
    ends = json.loads((smollm2 / "generation.json").read_text(encoding="utf-8"))["eos_token_ids"]
    prompt = "<|im_start|>user\nThe capital of France is<|im_end|>\n<|im_start|>assistant\n"
    generator, answer = Generator(smollm2), list[int]()
    fed = tokenizer.encode(prompt).ids
    while len(answer) < 24 and not (answer and answer[-1] in ends):
        answer.append(int(generator.feed(fed).argmax()))
        fed = answer[-1:]
    assert answer[-1] in ends
    assert "Paris" in tokenizer.decode(answer)
    assert chat_format(smollm2_gguf).eos_token == tokenizer.id_to_token(answer[-1])


def test_smollm2_reads_a_prompt_at_once_as_token_by_token(smollm2: Path) -> None:
    tokenizer = Tokenizer.from_file(str(smollm2 / "tokenizer.json"))
    ids = tokenizer.encode("A module of the standard library that compresses files is").ids
    in_steps = Generator(smollm2)
    stepped = [in_steps.feed([token]) for token in ids]
    for length in (1, 4, len(ids)):
        at_once = Generator(smollm2).feed(ids[:length])
        assert at_once.argmax() == stepped[length - 1].argmax()
        # 8 bits in the activations, rounded in blocks that one row fills otherwise than many.
        assert cosines(at_once, stepped[length - 1]) > 0.99


def test_smollm2_reaches_to_the_end_of_its_context(smollm2: Path) -> None:
    cosines_of = next(t for t in onnx.load(smollm2 / "model.onnx").graph.initializer if t.name == "cosines")
    assert list(cosines_of.dims) == [8192, 32]


def merged(word: str, vocabulary: Mapping[str, int], ranks: Mapping[str, int]) -> list[int]:
    """Byte-pair encoding as Sennrich et al. describe it: join the pair of the lowest rank until none is left."""
    printable = {**{b: chr(b) for b in [*range(33, 127), *range(161, 173), *range(174, 256)]}}
    rest = {b: chr(256 + n) for n, b in enumerate(b for b in range(256) if b not in printable)}
    parts = [(printable | rest)[byte] for byte in word.encode()]
    while len(parts) > 1:
        at = min(range(len(parts) - 1), key=lambda n: ranks.get(f"{parts[n]} {parts[n + 1]}", len(ranks)))
        if f"{parts[at]} {parts[at + 1]}" not in ranks:
            break
        parts[at : at + 2] = ["".join(parts[at : at + 2])]
    return [vocabulary[part] for part in parts]


class Trained(NamedTuple):
    """The tokenizer that is made of a GGUF file, and what the file says of tokens and merges."""

    tokenizer: Tokenizer
    special: Collection[str]
    vocabulary: Mapping[str, int]
    ranks: Mapping[str, int]


@pytest.fixture(scope="module")
def trained(smollm2_gguf: Path) -> Trained:
    header, found = container.read(smollm2_gguf), chat_format(smollm2_gguf)
    tokens, merges = (header.texts(f"tokenizer.ggml.{name}") for name in ("tokens", "merges"))
    return Trained(
        Tokenizer.from_str(found.tokenizer_json.decode()),
        found.special_tokens,
        {token: number for number, token in enumerate(tokens)},
        {merge: rank for rank, merge in enumerate(merges)},
    )


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(["The", " capital", " of", " France", " is"], id="words"),
        pytest.param(["It", "'s", " don", "'t"], id="contractions"),
        pytest.param([" ", "1", "2", "3", ",", "4", " apples"], id="digits one by one"),
        pytest.param(["naïve", " Straße", " 東京", " Привет", " 🙂👍🏽"], id="unicode"),
        pytest.param(["x", "  ", " =", "\n    ", " return", "\t"], id="white space"),
        pytest.param(["<|im_start|>", "user", "\n", "hi", "<|im_end|>"], id="special tokens"),
        pytest.param(["<|", "im", "_", "strt", "|>", "\u2028", "½", "²"], id="almost special tokens, odd numbers"),
    ],
)
def test_smollm2_is_tokenized_as_it_was_trained(pieces: list[str], trained: Trained) -> None:
    tokenizer, special, vocabulary, ranks = trained
    want = [[vocabulary[piece]] if piece in special else merged(piece, vocabulary, ranks) for piece in pieces]
    encoded = tokenizer.encode("".join(pieces)).ids
    assert encoded == [number for numbers in want for number in numbers]
    assert tokenizer.decode(encoded, skip_special_tokens=False) == "".join(pieces)


def test_the_header_is_read_as_the_gguf_library_reads_it(smollm2_gguf: Path) -> None:
    found, library = container.read(smollm2_gguf), gguf.GGUFReader(smollm2_gguf)
    assert found.metadata == {key: f.contents() for key, f in library.fields.items() if not key.startswith("GGUF.")}
    for tensor in library.tensors[:3] + library.tensors[-3:]:
        want = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(found.array(tensor.name), want)
    assert found.tensors.keys() == {tensor.name for tensor in library.tensors}
