"""Each family of encoders against transformers: tests/data/references/encoders, by scripts/references/encoders.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.tabled import tabled
from tests.test_export import Array, session
from tritonrepo.diagnostics import Stop
from tritonrepo.export import graph
from tritonrepo.export.encoder import exported, parsed, rounded
from tritonrepo.export.heads import Pool, Pooling, TokenVectors
from tritonrepo.export.mpnet import bucket
from tritonrepo.export.precision import Precision, lowered
from tritonrepo.export.weights import safetensors

ROOT = Path(__file__).parent / "data" / "references" / "encoders"
FACTS: Mapping[str, Any] = json.loads((ROOT / "facts.json").read_text("utf-8"))
FAMILIES = sorted(path.parent.name for path in ROOT.glob("*/config.json"))
DECODERS = ("qwen2", "qwen3", "qwen3-biased")
MOST = 1e-4
"""The largest difference to transformers, of vectors whose values are around 1."""


def config(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / name / "config.json").read_text("utf-8")))


def batch(texts: list[list[int]], padding: int, *, left: bool = False, more: int = 3) -> dict[str, Array]:
    """Return texts in one batch, each padded to the longest and `more`; the padding has an id that is a word's too."""
    length = max(map(len, texts)) + more
    gaps = [[padding] * (length - len(text)) for text in texts]
    ids = [gap + text if left else text + gap for text, gap in zip(texts, gaps, strict=True)]
    ones = [[1] * len(text) for text in texts]
    zeros = [[0] * len(gap) for gap in gaps]
    mask = [zero + one if left else one + zero for one, zero in zip(ones, zeros, strict=True)]
    return {"input_ids": np.array(ids, np.int64), "attention_mask": np.array(mask, np.int64)}


class Model:
    """A family's graph up to its token vectors, and what transformers computes of each text."""

    def __init__(self, name: str, **changes: Any) -> None:  # noqa: ANN401  fields of a config
        self.weights = safetensors(ROOT / name / "model.safetensors")
        self.encoder = parsed(config(name) | changes, "config.json")
        self.session = session(exported(self.encoder, self.weights, TokenVectors(normalize=False)))
        vectors = safetensors(ROOT / name / "expected.safetensors")["vectors"]
        ends = np.cumsum([len(text) for text in FACTS["texts"]])
        self.texts = [text for text, end in zip(FACTS["texts"], ends, strict=True) if end <= len(vectors)]
        self.expected = [vectors[end - len(text) : end] for text, end in zip(self.texts, ends, strict=False)]
        assert sum(map(len, self.texts)) == len(vectors)

    def vectors(self, fed: dict[str, Array]) -> list[Array]:
        """Return the vectors of each text of a batch, without its padding."""
        rows = self.session.run(None, fed)[0]
        assert np.isfinite(rows).all()
        return [row[kept == 1] for row, kept in zip(rows, fed["attention_mask"], strict=True)]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Model:
    return Model(request.param)


def furthest(got: list[Array], expected: list[Array]) -> float:
    assert [g.shape for g in got] == [e.shape for e in expected]
    return float(max(np.abs(g - e).max() for g, e in zip(got, expected, strict=True)))


def test_each_text_alone_has_the_vectors_of_transformers(model: Model) -> None:
    alone = [model.vectors(batch([text], 1, more=0))[0] for text in model.texts]
    assert furthest(alone, model.expected) < MOST


def test_in_a_padded_batch_each_text_has_the_vectors_that_it_has_alone(model: Model) -> None:
    assert furthest(model.vectors(batch(model.texts, 1)), model.expected) < MOST


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_gives_the_same_with_padding_on_either_side(name: str) -> None:
    model = Model(name)
    assert furthest(model.vectors(batch(model.texts, 9, left=True)), model.expected) < MOST
    last = session(exported(model.encoder, model.weights, Pooling(Pool.LAST, normalize=False)))
    for left in (True, False):
        rows = last.run(None, batch(model.texts, 9, left=left))[0]
        assert np.abs(rows - [vectors[-1] for vectors in model.expected]).max() < MOST


def test_a_token_of_a_decoder_does_not_depend_on_those_after_it() -> None:
    model = Model("qwen3")
    text = model.texts[-1]
    whole, begun = (model.vectors(batch([part], 1))[0] for part in (text, text[:7]))
    assert np.abs(whole[:7] - begun).max() < MOST


def test_the_reference_reaches_past_every_window_and_distance() -> None:
    """Otherwise a ModernBERT without its window, or an MPNet with other far buckets, would pass."""
    wide = Model("modernbert", local_attention=128)
    assert furthest(wide.vectors(batch(wide.texts, 1)), wide.expected) > 0.1
    assert max(map(len, Model("mpnet").texts)) > 128


def test_distances_fall_into_mpnets_buckets() -> None:
    said = FACTS["mpnet_buckets"]
    assert [bucket(distance) for distance in range(said["first"], -said["first"] + 1)] == said["of"]


@pytest.mark.parametrize(("name", "kind"), [("qwen3", 16), ("bert", 10)], ids=["BF16", "FP16"])
def test_weights_that_fit_in_a_file_only_in_16_bits_are_kept_in_them(
    name: str, kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kinds are numbers of onnx.TensorProto.DataType."""
    model = Model(name)
    if kind == 16:
        model.weights = {n: (w.view("u4") & 0xFFFF0000).view("f4") for n, w in widened(model.weights).items()}
    whole = exported(model.encoder, model.weights, TokenVectors(normalize=False))
    monkeypatch.setattr(graph, "LARGEST_BYTES", int(len(whole) * 0.6))
    narrow = exported(model.encoder, model.weights, TokenVectors(normalize=False))
    assert len(narrow) < len(whole) * 0.65
    kinds = {tensor.data_type for tensor in onnx.load_from_string(narrow).graph.initializer if len(tensor.dims) > 1}
    assert kinds - {16} == {kind} - {16}
    fed = batch(model.texts, 1)
    one, other = (session(made).run(None, fed)[0] for made in (whole, narrow))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_weights_in_16_bits_are_converted_as_those_in_fp32(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, head = Model("qwen3"), Pooling(Pool.LAST, normalize=True)
    whole = exported(model.encoder, model.weights, head)
    monkeypatch.setattr(graph, "LARGEST_BYTES", int(len(whole) * 0.6))
    narrow = exported(model.encoder, model.weights, head)
    assert len(narrow) < len(whole) * 0.65
    one, other = (lowered(onnx.load_from_string(made), precision) for made in (whole, narrow))
    assert np.array_equal(*(session(made).run(None, batch(model.texts, 1))[0] for made in (one, other)))
    constants, others = (onnx.load_from_string(made).graph.initializer for made in (one, other))
    assert sorted((t.data_type, *t.dims) for t in constants) == sorted((t.data_type, *t.dims) for t in others)


def test_weights_that_16_bits_do_not_hold_are_not_rounded_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model("qwen3")
    third = {name: weight / np.float32(3) for name, weight in widened(model.weights).items()}
    whole = exported(model.encoder, third, TokenVectors(normalize=False))
    monkeypatch.setattr(graph, "LARGEST_BYTES", int(len(whole) * 0.6))
    with pytest.raises(Stop, match="bytes in ONNX, but a file can hold only"):
        exported(model.encoder, third, TokenVectors(normalize=False))


def test_weights_can_be_rounded_to_fit_and_are_not_if_they_fit_or_are_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, head = Model("bert"), Pooling(Pool.MEAN, normalize=True)
    third = {name: weight / np.float32(3) for name, weight in widened(model.weights).items()}
    third["encoder.layer.0.output.dense.weight"][0, 0] = 70000
    whole = exported(model.encoder, third, head)
    assert exported(model.encoder, rounded(model.encoder, third), head) == whole
    monkeypatch.setattr(graph, "LARGEST_BYTES", int(len(whole) * 0.7))
    made = exported(model.encoder, rounded(model.encoder, third), head)
    kinds = {t.name: t.data_type for t in onnx.load_from_string(made).graph.initializer if len(t.dims) > 1}
    assert kinds.pop("encoder.layer.0.output.dense.weight_T") == onnx.TensorProto.FLOAT
    assert set(kinds.values()) == {onnx.TensorProto.FLOAT16}
    want, got = (session(each).run(None, batch(model.texts, 1))[0] for each in (whole, made))
    assert (want * got).sum(1).min() > 0.9999


def widened(weights: Mapping[str, Array]) -> dict[str, Array]:
    return {name: weight.astype("f4") for name, weight in weights.items()}


def told(name: str, **changes: Any) -> list[str]:  # noqa: ANN401  fields of a config
    """Return the messages on a family's config with these changes; none where it is exported."""
    said = {field: value for field, value in (config(name) | changes).items() if value is not ...}
    try:
        exported(
            parsed(said, "config.json"), safetensors(ROOT / name / "model.safetensors"), TokenVectors(normalize=False)
        )
    except Stop as stop:
        assert all(d.at.path == "config.json" and d.hint for d in stop.diagnostics)
        return [found.message for found in stop.diagnostics]
    return []


LAYERS = "only full_attention and sliding_attention can be exported"
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "DistilBERT, its own name of a size": ("distilbert", {"dim": ...}, "dim is missing, but it must be an integer"),
    "DistilBERT, heads": ("distilbert", {"n_heads": 5}, "n_heads is 5, but it must divide dim 32"),
    "DistilBERT, activation": ("distilbert", {"activation": "silu"}, "activation is 'silu', but only gelu, "),
    "MPNet, buckets": ("mpnet", {"relative_attention_num_buckets": 64}, "relative_attention_num_buckets is 64, but it"),
    "ModernBERT, scaled positions": (
        "modernbert",
        {"rope_scaling": {"type": "yarn"}},
        "rope_scaling is {'type': 'yarn'}, but it must be None or missing",
    ),
    "ModernBERT, positions of another type": (
        "modernbert",
        {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2.0}}},
        "but only the default rope_type can be exported",
    ),
    "ModernBERT, positions of all layers at once": (
        "modernbert",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
        f"but {LAYERS}",
    ),
    "ModernBERT, local positions as the global ones": (
        "modernbert",
        {"rope_parameters": ..., "local_rope_theta": None},
        "local_rope_theta is None, but the base must be a number above 0",
    ),
    "ModernBERT, kind of a layer": ("modernbert", {"layer_types": ["chunked_attention"] * 4}, f"but {LAYERS}"),
    "ModernBERT, kinds of too few layers": (
        "modernbert",
        {"layer_types": ["full_attention"]},
        "layer_types is ['full_attention'], but there are 4 layers",
    ),
    "ModernBERT, no period": (
        "modernbert",
        {"layer_types": ..., "global_attn_every_n_layers": 0},
        "global_attn_every_n_layers is 0, but it must be an integer of 1 or more",
    ),
    "ModernBERT, no window": ("modernbert", {"local_attention": -1}, "local_attention is -1, but it must be"),
    "ModernBERT, a bias that is no flag": (
        "modernbert",
        {"mlp_bias": 1},
        "mlp_bias is 1, but it must be true or false",
    ),
    "ModernBERT, a bias that the weights lack": ("modernbert", {"mlp_bias": True}, "layers.0.mlp.Wi.bias is missing"),
    "ModernBERT, a bias that only the weights have": (
        "modernbert-biased",
        {"norm_bias": False},
        "embeddings.norm.bias is unknown",
    ),
    "ModernBERT, odd heads": (
        "modernbert",
        {"num_attention_heads": 32},
        "a head has 1 values, but it must have an even number",
    ),
    "Qwen, a window": ("qwen3", {"use_sliding_window": True}, "use_sliding_window is True, but it must be False"),
    "Qwen, kinds of layers": (
        "qwen3",
        {"layer_types": ["full_attention", "sliding_attention"]},
        "but only full_attention can be exported",
    ),
    "Qwen, both directions": ("qwen3", {"is_causal": False}, "is_causal is False, but it must be True or missing"),
    "Qwen, activation": ("qwen3", {"hidden_act": "gelu"}, "hidden_act is 'gelu', but only silu, swish can be exported"),
    "Qwen, shared heads": ("qwen3", {"num_key_value_heads": 3}, "num_key_value_heads is 3, but it must divide num_att"),
    "Qwen, shared heads by default": (
        "qwen3",
        {"num_key_value_heads": ...},
        "num_key_value_heads is 32, but it must div",
    ),
    "Qwen, size of a head": ("qwen3", {"head_dim": 0}, "head_dim is 0, but it must be an integer of 1 or more"),
    "Qwen, another size of a head than its weights": ("qwen3", {"head_dim": ...}, "has shape [48, 32], not [512, 32]"),
    "Qwen, scaled positions": (
        "qwen3",
        {"rope_parameters": ..., "rope_theta": 1e6, "rope_scaling": {"type": "yarn", "factor": 4.0}},
        "rope_scaling is {'type': 'yarn', 'factor': 4.0}, but it must be None or missing",
    ),
    "Qwen, turns for a part of each head": (
        "qwen3",
        {"rope_parameters": {"rope_theta": 1000.0, "partial_rotary_factor": 0.5}},
        "but only rope_theta can be exported",
    ),
    "Qwen, positions that are no object": ("qwen3", {"rope_parameters": [1]}, "but only the default rope_type"),
    "Qwen, a bias that is no flag": (
        "qwen3",
        {"attention_bias": 0},
        "attention_bias is 0, but it must be true or false",
    ),
    "Qwen, norms of heads": ("qwen3", {"architectures": ["Qwen2Model"]}, "q_proj.bias is missing"),
    "quantized": (
        "qwen2",
        {"quantization_config": {"bits": 4}},
        "quantization_config is {'bits': 4}, but it must be None",
    ),
    "own code": ("modernbert", {"auto_map": {"AutoModel": "x.Y"}}, "auto_map is {'AutoModel': 'x.Y'}, but it must be"),
}


@tabled(("name", "changes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_graph_would_not_compute_is_refused_by_its_field(
    name: str, changes: dict[str, Any], message: str
) -> None:
    (found,) = told(name, **changes)
    assert message in found


FIELDS = sorted({(name, field) for name in FAMILIES for field in config(name)})
VALUES = [None, True, -1, 0, 1.5, 10**9, 10**400, float("nan"), float("inf"), "x", [], [1], {}, {"full_attention": 5}]


@tabled("value", VALUES, ids=lambda value: f"{value!r:.12}")
def test_a_field_of_any_value_is_told_or_exported(value: object) -> None:
    for name, field in FIELDS:
        said = config(name) | {field: value}
        try:
            shapes = parsed(said, "config.json").shapes
            assert all(isinstance(size, int) for shape in shapes.values() for size in shape)
        except Stop as stop:
            assert all(len(found.message) < 900 for found in stop.diagnostics)


@pytest.mark.parametrize("field", ["rms_norm_eps", "rope_theta"])
@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), True, -1e-6, "1"])
def test_a_number_is_finite_and_not_below_zero(field: str, value: object) -> None:
    (found,) = told("qwen3", rope_parameters=..., **{field: value})
    needed = "it must be a number of 0 or more" if field == "rms_norm_eps" else "the base must be a number above 0"
    assert found == f"{field} is {value!r:.80}, but {needed}"


def test_a_model_of_a_billion_layers_is_refused_before_they_are_counted() -> None:
    assert told("qwen3", num_hidden_layers=10**9, layer_types=...) == [
        "num_hidden_layers is 1000000000, but it must be at most 1000"
    ]


def test_norms_under_their_first_names_are_the_same_and_no_weight_is_there_twice() -> None:
    weights = safetensors(ROOT / "bert" / "model.safetensors")
    older = {"weight": "gamma", "bias": "beta"}
    renamed = {
        name.rpartition(".")[0] + "." + older[name.rpartition(".")[2]] if "LayerNorm" in name else name: weight
        for name, weight in weights.items()
    }
    encoder, head = parsed(config("bert"), "m"), TokenVectors(normalize=False)
    assert exported(encoder, renamed, head) == exported(encoder, weights, head)
    with pytest.raises(Stop, match=r"embeddings\.LayerNorm\.bias is there 2 times"):
        exported(encoder, weights | {"bert.embeddings.LayerNorm.bias": np.ones(32, "f4")}, head)


SAME: dict[str, tuple[str, dict[str, Any]]] = {
    "ModernBERT as before transformers 5": (
        "modernbert",
        {
            "layer_types": ...,
            "rope_parameters": ...,
            "global_attn_every_n_layers": 3,
            "global_rope_theta": 160000.0,
            "local_rope_theta": 10000.0,
            "rope_scaling": None,
        },
    ),
    "ModernBERT, defaults": ("modernbert", {"layer_types": ..., "rope_parameters": ..., "norm_eps": ...}),
    "Qwen3 as before transformers 5": (
        "qwen3",
        {"layer_types": ..., "rope_parameters": ..., "rope_theta": 1000, "rope_scaling": None},
    ),
    "Qwen3 with a type and its base apart": (
        "qwen3",
        {"rope_parameters": {"type": "default"}, "rope_theta": 1000.0, "max_window_layers": 1, "sliding_window": 4096},
    ),
    "Qwen2, defaults": ("qwen2", {"rope_parameters": ..., "use_sliding_window": ..., "layer_types": None}),
    "MPNet, defaults": ("mpnet", {"relative_attention_num_buckets": ..., "layer_norm_eps": ..., "pad_token_id": 7}),
}


@tabled(("name", "changes"), SAME.values(), ids=SAME)
def test_older_files_and_defaults_say_the_same(name: str, changes: dict[str, Any]) -> None:
    said = {field: value for field, value in (config(name) | changes).items() if value is not ...}
    weights, head = safetensors(ROOT / name / "model.safetensors"), TokenVectors(normalize=False)
    one, other = (exported(parsed(fields, "m"), weights, head) for fields in (config(name), said))
    assert one == other


def test_each_head_of_a_decoder_has_its_own_keys_where_the_config_says_null() -> None:
    """Four heads of 12 values: the keys' weights must then have 48 rows instead of 24."""
    messages = told("qwen3", num_key_value_heads=None)
    assert messages[0].startswith("config.json does not match 4 of the weights: layers.0.self_attn.k_proj.weight has ")
    assert "has shape [24, 32], not [48, 32]" in messages[0]


UNREAD = {
    "distilbert": "vocab_projector.bias",
    "mpnet": "pooler.dense.bias",
    "modernbert": "head.dense.weight",
    "qwen3": "lm_head.weight",
}


@pytest.mark.parametrize(("name", "weight"), UNREAD.items(), ids=UNREAD)
def test_of_each_familys_file_the_weights_of_another_use_are_left_out(name: str, weight: str) -> None:
    weights = safetensors(ROOT / name / "model.safetensors")
    encoder, head = parsed(config(name), "m"), TokenVectors(normalize=False)
    assert exported(encoder, weights | {weight: np.ones(3, "f4")}, head) == exported(encoder, weights, head)
    with pytest.raises(Stop, match=r"layers\.9\.adapter is unknown"):
        exported(encoder, weights | {"layers.9.adapter": np.ones(3, "f4")}, head)
