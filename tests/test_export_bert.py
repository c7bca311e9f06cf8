"""What a BERT encoder's config and weights may say: every default, name and bound that decides the exported graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from tests import reference
from tests.tabled import tabled
from tests.test_export import TEXTS, bert_config, bert_weights, declared, embed, encoder, session
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.export.encoder import exported, parsed
from tritonrepo.export.graph import Graph
from tritonrepo.export.heads import Pool, Pooling, TokenVectors

MEAN = Pooling(Pool.MEAN, normalize=True)
TYPES = "embeddings.token_type_embeddings.weight"
ROBERTA = {"architectures": ["RobertaModel"]}


def without(config: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in names}


@pytest.mark.parametrize("normalize", [True, False], ids=["of length 1", "as it is"])
@pytest.mark.parametrize(("hidden", "heads"), [(16, 2), (24, 1), (24, 12)])
def test_attention_is_scaled_by_the_size_of_a_head(hidden: int, heads: int, *, normalize: bool) -> None:
    config = bert_config(hidden_size=hidden, num_attention_heads=heads, num_hidden_layers=1, layer_norm_eps=0.3)
    weights = bert_weights(config)
    model = session(encoder(config, weights, Pooling(Pool.CLS, normalize)))
    bert = reference.Bert(config, weights)
    want = np.array([bert.embedding(text, "cls", normalize=normalize) for text in TEXTS])
    assert np.abs(embed(model, TEXTS) - want).max() < 2e-6 * np.abs(want).max()


DEFAULTS: dict[str, tuple[dict[str, Any], str, object]] = {
    "BERT's epsilon": ({}, "layer_norm_eps", 1e-12),
    "RoBERTa's epsilon": (ROBERTA, "layer_norm_eps", 1e-12),
    "BERT's activation": ({}, "hidden_act", "gelu"),
    "RoBERTa's padding": (ROBERTA, "pad_token_id", 1),
    "BERT's positions": ({}, "position_embedding_type", "absolute"),
}
"""What transformers' BertConfig and RobertaConfig say where the file does not."""


@tabled(("changes", "name", "value"), DEFAULTS.values(), ids=DEFAULTS)
def test_what_a_config_leaves_out_is_as_in_transformers(changes: dict[str, Any], name: str, value: object) -> None:
    config = bert_config(**changes)
    weights = bert_weights(config)
    said = encoder({**config, name: value}, weights, MEAN)
    assert encoder(without(config, name), weights, MEAN) == said


@pytest.mark.parametrize("epsilon", [1e-12, 0.5, 2])
def test_the_epsilon_of_every_norm_is_the_configs(epsilon: float) -> None:
    config = bert_config(layer_norm_eps=epsilon)
    graph = onnx.load_from_string(encoder(config, bert_weights(config), MEAN)).graph
    norms = [onnx.helper.get_node_attr_value(n, "epsilon") for n in graph.node if n.op_type == "LayerNormalization"]
    assert norms == pytest.approx([epsilon] * 5)


ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "relu": "relu",
}


@tabled(("name", "same"), ACTIVATIONS.items(), ids=ACTIVATIONS)
def test_each_name_of_an_activation_is_its_function(name: str, same: str) -> None:
    """The two forms of gelu differ by at most 5e-4: the test shows that it tells them apart."""
    config = bert_config(hidden_act=name)
    weights = bert_weights(config)
    bert = reference.Bert({**config, "hidden_act": same}, weights)
    want = np.array([bert.embedding(text, "mean", normalize=False) for text in TEXTS])
    got = embed(session(encoder(config, weights, Pooling(Pool.MEAN, normalize=False))), TEXTS)
    assert np.abs(got - want).max() < 2e-6 * np.abs(want).max()
    other = reference.Bert({**config, "hidden_act": "gelu" if same == "gelu_new" else "gelu_new"}, weights)
    differs = np.array([other.embedding(text, "mean", normalize=False) for text in TEXTS])
    assert np.abs(got - differs).max() > 1e-5 * np.abs(want).max()


FAMILIES: dict[str, tuple[str, int | None]] = {
    "BertModel": ("bert.", None),
    "BertForMaskedLM": ("bert.", None),
    "RobertaModel": ("roberta.", 3),
    "RobertaForMaskedLM": ("roberta.", 3),
    "XLMRobertaModel": ("roberta.", 3),
    "XLMRobertaForMaskedLM": ("roberta.", 3),
}


@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.parametrize("prefixed", [False, True], ids=["plain names", "names below the model's"])
def test_each_architecture_has_its_positions_and_its_prefix(architecture: str, *, prefixed: bool) -> None:
    prefix, padding = FAMILIES[architecture]
    config = bert_config(architectures=[architecture], pad_token_id=3)
    weights = bert_weights(config)
    model = session(encoder(config, bert_weights(config, prefix if prefixed else ""), MEAN))
    texts = [[3, 8, 3, 21], [9, 2, 7]]
    bert = reference.Bert(config, weights, padding)
    want = np.array([bert.embedding(text, "mean", normalize=True) for text in texts])
    got = np.concatenate([embed(model, [text]) for text in texts])
    assert np.abs(got - want).max() < 2e-6


def test_the_prefix_of_another_family_is_none() -> None:
    config = bert_config()
    with pytest.raises(Stop, match=r"embeddings\.word_embeddings\.weight is missing"):
        encoder(config, bert_weights(config, "roberta."), MEAN)


def told(config: dict[str, Any], **changes: Any) -> list[str]:  # noqa: ANN401  one value of any type that JSON has
    """Return the messages on a config; none where it is exported."""
    try:
        encoder({**config, **changes}, bert_weights(bert_config()), MEAN, "m/config.json")
    except Stop as stop:
        assert {(d.severity, d.at.path, bool(d.hint)) for d in stop.diagnostics} == {
            (Severity.FATAL, "m/config.json", True)
        }
        return [found.message for found in stop.diagnostics]
    return []


SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [0, -1, True, 2.0, "2", None])
def test_a_size_is_an_integer_of_one_or_more(name: str, value: object) -> None:
    assert told(bert_config(), **{name: value}) == [f"{name} is {value!r}, but it must be an integer of 1 or more"]


@tabled("name", SIZES)
def test_a_size_that_is_missing_is_told(name: str) -> None:
    assert told(without(bert_config(), name)) == [f"{name} is missing, but it must be an integer of 1 or more"]


NEUTRAL: dict[str, tuple[object, object, str]] = {
    "positions": ("absolute", "relative_key_query", "position_embedding_type"),
    "direction": (False, True, "is_decoder"),
    "another text": (False, True, "add_cross_attention"),
    "quantization": (None, {"bits": 8}, "quantization_config"),
    "code": (None, {"AutoModel": "own.Model"}, "auto_map"),
    "heads that were removed": ({}, {"0": [1]}, "pruned_heads"),
}


@tabled(("neutral", "other", "name"), NEUTRAL.values(), ids=NEUTRAL)
def test_a_field_that_changes_the_arithmetic_has_one_value_that_does_not(
    neutral: object, other: object, name: str
) -> None:
    assert told(bert_config(), **{name: neutral}) == []
    assert told(without(bert_config(), name)) == []
    assert told(bert_config(), **{name: other}) == [f"{name} is {other!r}, but it must be {neutral!r} or missing"]


ARCHITECTURES: dict[str, tuple[object, bool]] = {
    "the first of two": (["BertModel", "T5Model"], True),
    "the second of two": (["T5Model", "BertModel"], False),
    "a text": ("BertModel", False),
    "none": ([], False),
    "of another type": ([["BertModel"]], False),
}


@tabled(("said", "exported"), ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_the_first_architecture_counts_and_one_that_is_unknown_is_the_only_fault(
    said: object,
    exported: bool,  # noqa: FBT001
) -> None:
    messages = told(bert_config(is_decoder=not exported), architectures=said)
    assert len(messages) == (0 if exported else 1)
    assert exported or messages[0].startswith(f"architectures is {said!r}, but only BertModel, ")


PADDING = {
    "zero": (0, True),
    "two": (2, True),
    "below zero": (-1, False),
    "a flag": (True, False),
    "text": ("1", False),
}


@tabled(("value", "fits"), PADDING.values(), ids=PADDING)
def test_robertas_padding_is_the_id_of_a_token_and_berts_does_not_matter(value: object, fits: bool) -> None:  # noqa: FBT001
    said = [] if fits else [f"pad_token_id is {value!r}, but it must be the id of a token"]
    assert told(bert_config(**ROBERTA), pad_token_id=value) == said
    assert told(bert_config(), pad_token_id=value) == []


def test_heads_divide_the_width_and_are_not_judged_where_one_of_the_two_is_wrong() -> None:
    assert told(bert_config(), num_attention_heads=3) == ["num_attention_heads is 3, but it must divide hidden_size 16"]
    assert len(told(bert_config(), num_attention_heads=0)) == 1
    assert told(bert_config(), num_attention_heads=16) == []


UNREAD = (
    "pooler.dense.weight",
    "cls.predictions.bias",
    "lm_head.dense.weight",
    "embeddings.position_ids",
    "embeddings.token_type_ids",
)
READ = ("encoder.layer.0.adapter.weight", "embeddings.position_embeddings.bias", "classifier.weight")


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("prefix", ["", "bert."])
def test_weights_that_no_token_vector_depends_on_are_left_out(name: str, prefix: str) -> None:
    config = bert_config()
    plain = encoder(config, bert_weights(config), MEAN)
    stored = bert_weights(config, prefix) | {prefix + name: np.ones(3, np.float32)}
    assert encoder(config, stored, MEAN) == plain


@pytest.mark.parametrize("name", READ)
def test_a_weight_that_the_graph_would_leave_out_is_refused(name: str) -> None:
    config = bert_config()
    with pytest.raises(Stop, match=f"config.json does not match 1 of the weights: {name} is unknown"):
        encoder(config, bert_weights(config) | {name: np.ones(3, np.float32)}, MEAN)


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_weights_of_other_types_are_computed_in_fp32(kind: str) -> None:
    config = bert_config()
    stored = {name: weight.astype(kind) for name, weight in bert_weights(config).items()}
    model = encoder(config, stored, MEAN)
    assert {tensor.data_type for tensor in onnx.load_from_string(model).graph.initializer} == {1, 7}
    assert model == encoder(config, {name: weight.astype("float32") for name, weight in stored.items()}, MEAN)


@pytest.mark.parametrize(("missing", "ends"), [(6, "is missing"), (7, "; and 1 more"), (9, "; and 3 more")])
def test_of_many_weights_that_do_not_fit_the_first_six_are_named(missing: int, ends: str) -> None:
    config = bert_config()
    weights = bert_weights(config)
    kept = dict(list(weights.items())[missing:])
    with pytest.raises(Stop) as stop:
        encoder(config, kept, MEAN, "m/config.json")
    (found,) = stop.value.diagnostics
    assert (found.rule, found.severity, found.at.path) == ("export-weights", Severity.FATAL, "m/config.json")
    assert found.message.startswith(f"config.json does not match {missing} of the weights: ")
    assert found.message.count(" is missing") == 6
    assert found.message.endswith(ends)


def test_short_vectors_are_scaled_to_length_1_as_well() -> None:
    config = bert_config()
    weights = bert_weights(config)
    for part in ("weight", "bias"):
        weights[f"encoder.layer.1.output.LayerNorm.{part}"] *= np.float32(1e-4)
    got = embed(session(encoder(config, weights, MEAN)), TEXTS)
    assert np.abs(np.linalg.norm(got, axis=1) - 1).max() < 1e-6


def test_a_row_without_a_token_gives_what_is_documented() -> None:
    config = bert_config()
    for pool in Pool:
        is_zero = pool is not Pool.CLS
        rows = embed(session(encoder(config, bert_weights(config), Pooling(pool, normalize=True))), [[], [3, 8]], 4)
        assert np.isfinite(rows).all()
        assert bool(rows[0].any()) is not is_zero


def test_a_graph_takes_ids_and_mask_of_any_batch_and_length_and_gives_one_vector_each() -> None:
    config = bert_config()
    graph = onnx.load_from_string(encoder(config, bert_weights(config), MEAN)).graph
    assert declared(graph.input) == [
        ("input_ids", "INT64", ["batch", "sequence"]),
        ("attention_mask", "INT64", ["batch", "sequence"]),
    ]
    assert declared(graph.output) == [("embedding", "FP32", ["batch", 16])]


@pytest.mark.parametrize("normalize", [True, False], ids=["of length 1", "as they are"])
def test_token_vectors_are_an_output_of_their_own(*, normalize: bool) -> None:
    config = bert_config()
    model = encoder(config, bert_weights(config), TokenVectors(normalize))
    assert declared(onnx.load_from_string(model).graph.output) == [
        ("token_embeddings", "FP32", ["batch", "sequence", 16])
    ]
    want = reference.Bert(config, bert_weights(config)).tokens([3, 8, 21])
    want = want / np.linalg.norm(want, axis=1, keepdims=True) if normalize else want
    ids = np.array([[3, 8, 21, 1]])
    got = session(model).run(None, {"input_ids": ids, "attention_mask": np.array([[1, 1, 1, 0]])})[0]
    assert np.abs(got[0, :3] - want).max() < 1e-5


def test_of_a_pair_each_token_has_the_type_of_its_text() -> None:
    """An encoder whose two types are swapped judges them: it gives to 0 and 1 what the other gives to 1 and 0."""
    config, weights = bert_config(), bert_weights(bert_config())
    swapped = weights | {TYPES: weights[TYPES][::-1]}
    settings = parsed(config, "m")
    one, other = (session(exported(settings, w, TokenVectors(normalize=False), pairs=True)) for w in (weights, swapped))
    feed = {"input_ids": np.array([[3, 8, 21]]), "attention_mask": np.ones((1, 3), np.int64)}
    types = np.array([[0, 0, 1]])
    got = one.run(None, feed | {"token_type_ids": types})[0]
    assert np.array_equal(got, other.run(None, feed | {"token_type_ids": 1 - types})[0])
    assert np.abs(got - one.run(None, feed | {"token_type_ids": 0 * types})[0]).max() > 0.1
    single = session(exported(settings, weights, TokenVectors(normalize=False)))
    assert np.array_equal(single.run(None, feed)[0], one.run(None, feed | {"token_type_ids": 0 * types})[0])


def test_an_encoder_without_types_takes_none() -> None:
    config = bert_config(**ROBERTA, type_vocab_size=1)
    weights = bert_weights(config)
    model = exported(parsed(config, "m"), weights, MEAN, pairs=True)
    assert [name for name, _, _ in declared(onnx.load_from_string(model).graph.input)] == [
        "input_ids",
        "attention_mask",
    ]


def test_a_model_that_one_file_cannot_hold_is_refused_before_it_is_written() -> None:
    graph = Graph()
    assert graph.constant("a", np.zeros(3, np.float32)) == "a"
    graph.constant("b", np.zeros(2, np.int64))
    graph.constant("a", np.zeros(9, np.float32))
    assert graph.nbytes == 12 + 16
    graph.nbytes = 2**31 - 1
    graph.serialized([], [], "m")  # does not raise
    graph.nbytes = 2**31
    with pytest.raises(Stop) as stop:
        graph.serialized([], [], "m")
    (found,) = stop.value.diagnostics
    assert (found.rule, found.at.path) == ("export-too-large", "m")
    assert found.message.startswith("the weights take 2,147,483,648 bytes in ONNX")
