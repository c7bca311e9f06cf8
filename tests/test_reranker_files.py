"""What a reranker's own files say, and what the stack file says over it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graphs import Value, node, onnx_file
from tests.tabled import tabled
from tests.test_rerankers import REFERENCES, expected, session
from tritonrepo.cli import run
from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.export import graph
from tritonrepo.generate.inputs import RerankerFiles
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.relevance import Relevance, Wanted, relevance
from tritonrepo.sources.reranker import Wish, lowered, reranker
from tritonrepo.sources.reranker_graph import own_graph
from tritonrepo.sources.resolve import resolve
from tritonrepo.spec.source import parse_source
from tritonrepo.tree import File, of_bytes, on_disk

AT, LIMIT_AT, LABEL_AT, ACTIVATION_AT = (Span("stack.yaml", 3, column) for column in (5, 40, 60, 80))
Dims = list[str | int]
PLACES = {"source": AT, "max_tokens": LIMIT_AT, "label": LABEL_AT, "activation": ACTIVATION_AT}
OWN, LENGTH, SAID = "config_sentence_transformers.json", "sentence_bert_config.json", "tokenizer_config.json"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache for all tests: a graph is exported once per what it depends on."""
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small cross-encoder with one label and 48 positions; its tokenizer adds three tokens to every pair."""
    return shutil.copytree(REFERENCES / "bert", tmp_path / "w")


def wish(**wishes: Any) -> Wish:  # noqa: ANN401  values of the stack file
    said = {"kind": "cross-encoder", "label": None, "activation": None, "max_tokens": None}
    return Wish("./w", places=PLACES, **(said | wishes))


def found(source: Path, cache: Cache) -> dict[str, File]:
    return resolve(parse_source("./w"), "x86_64", cache, None, Span(str(source.parent / "stack.yaml"))).files


def made(source: Path, cache: Cache, **wishes: Any) -> RerankerFiles:  # noqa: ANN401  as above
    return reranker(wish(**wishes), found(source, cache), cache)


def refused(source: Path, cache: Cache, **wishes: Any) -> list[tuple[Span, str, str]]:  # noqa: ANN401  as above
    with pytest.raises(Stop) as stop:
        made(source, cache, **wishes)
    assert {told.severity for told in stop.value.diagnostics} == {Severity.FATAL}
    return [(told.at, told.message, told.hint) for told in stop.value.diagnostics]


def changed(path: Path, **fields: object) -> None:
    said = json.loads(path.read_text("utf-8")) | fields
    path.write_text(json.dumps({name: value for name, value in said.items() if value is not None}), "utf-8")


SIGMOID, IDENTITY = "torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"
TANH = "torch.nn.modules.activation.Tanh"
NEW = {"model_type": "CrossEncoder"}
SCORES: dict[str, tuple[list[str], Mapping[str, Mapping[str, Any]], Relevance]] = {
    "one label of which nothing is said": (["a"], {}, Relevance("sigmoid", 0)),
    "one label whose logits are scores": (["a"], {OWN: {**NEW, "activation_fn": IDENTITY}}, Relevance("identity", 0)),
    "one label with a sigmoid": (["a"], {OWN: {**NEW, "activation_fn": SIGMOID}}, Relevance("sigmoid", 0)),
    "what version 4 wrote": (
        ["a"],
        {"config.json": {"sentence_transformers": {"activation_fn": IDENTITY, "version": "4.0.1"}}},
        Relevance("identity", 0),
    ),
    "what version 3 wrote": (
        ["a"],
        {"config.json": {"sbert_ce_default_activation_function": IDENTITY}},
        Relevance("identity", 0),
    ),
    "the newest file of several": (
        ["a"],
        {OWN: {**NEW, "activation_fn": IDENTITY}, "config.json": {"sbert_ce_default_activation_function": SIGMOID}},
        Relevance("identity", 0),
    ),
    "the file of an embedder": (
        ["a"],
        {OWN: {"model_type": "SentenceTransformer", "activation_fn": IDENTITY}},
        Relevance("sigmoid", 0),
    ),
    "several labels, one of which says it": (["contradiction", "Entailment", "neutral"], {}, Relevance("softmax", 1)),
    "several labels whose logits are given as they are": (
        ["irrelevant", "relevant"],
        {OWN: {**NEW, "activation_fn": IDENTITY}},
        Relevance("softmax", 1),
    ),
    "several labels with a sigmoid each": (
        ["no", "yes"],
        {OWN: {**NEW, "activation_fn": SIGMOID}},
        Relevance("sigmoid", 1),
    ),
}


def wanted(label: str | None = None, activation: str | None = None) -> Wanted:
    return Wanted(label, activation, LABEL_AT, ACTIVATION_AT, AT)


@tabled(("names", "said", "expected"), SCORES.values(), ids=SCORES)
def test_the_score_is_what_the_models_own_files_say(
    names: list[str], said: Mapping[str, Mapping[str, Any]], expected: Relevance
) -> None:
    assert relevance(wanted(), names, said) == expected


CHOSEN: dict[str, tuple[str | None, str | None, Relevance]] = {
    "a label by its name": ("b", None, Relevance("softmax", 1)),
    "a label by its number": ("2", None, Relevance("softmax", 2)),
    "an activation": ("a", "identity", Relevance("identity", 0)),
}


@pytest.mark.parametrize(("label", "activation", "expected"), CHOSEN.values(), ids=CHOSEN)
def test_the_stack_chooses_label_and_activation(label: str | None, activation: str | None, expected: Relevance) -> None:
    assert relevance(wanted(label, activation), ["a", "b", "c"], {}) == expected


UNCLEAR: dict[str, tuple[Wanted, list[str], str | None, tuple[Span, str, str]]] = {
    "labels without names": (
        wanted(),
        ["LABEL_0", "LABEL_1"],
        None,
        (
            AT,
            "the reranker has 2 labels, and it is not clear which one means that a passage is relevant",
            "Set label to LABEL_0 or LABEL_1, or to its number.",
        ),
    ),
    "a label that it lacks": (
        wanted("relevnt"),
        ["irrelevant", "relevant"],
        None,
        (LABEL_AT, 'the reranker has no label "relevnt"', "Set label to irrelevant or relevant, or to its number."),
    ),
    "a number of no label": (
        wanted("2"),
        ["irrelevant", "relevant"],
        None,
        (LABEL_AT, 'the reranker has no label "2"', "Set label to irrelevant or relevant, or to its number."),
    ),
    "a share of one label": (
        wanted(None, "softmax"),
        ["a"],
        None,
        (
            ACTIVATION_AT,
            "activation is softmax, but the model has a single label, whose share is always 1",
            "Set activation to sigmoid or identity.",
        ),
    ),
    "another function of torch": (
        wanted(),
        ["a"],
        TANH,
        (
            AT,
            f"the reranker's own files name the activation '{TANH}', but only Sigmoid and Identity are known",
            "Set activation to sigmoid, identity or softmax.",
        ),
    ),
    "a function of the model's own": (
        wanted(),
        ["a"],
        "modeling.Sigmoid",
        (
            AT,
            "the reranker's own files name the activation 'modeling.Sigmoid', but only Sigmoid and Identity are known",
            "Set activation to sigmoid, identity or softmax.",
        ),
    ),
}


@tabled(("asked", "names", "function", "told"), UNCLEAR.values(), ids=UNCLEAR)
def test_a_score_that_is_not_clear_is_told(
    asked: Wanted, names: list[str], function: str | None, told: tuple[Span, str, str]
) -> None:
    with pytest.raises(Stop) as stop:
        relevance(asked, names, {OWN: {**NEW, "activation_fn": function}})
    (diagnostic,) = stop.value.diagnostics
    assert (diagnostic.at, diagnostic.message, diagnostic.hint) == told


def test_the_files_decide_what_the_step_is_told(source: Path, kept: Cache) -> None:
    files = made(source, kept)
    assert files.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert (files.output, files.width, files.max_tokens, files.score, files.label) == ("logits", 1, 48, "sigmoid", 0)
    assert files.tokenizer.content() == (source / "tokenizer.json").read_bytes()


LIMITS: dict[str, tuple[object, object, int | None, int]] = {
    "the tokenizer's": (None, 20, None, 20),
    "the model's positions": (None, 512, None, 48),
    "the positions where the tokenizer knows none": (None, 1e30, None, 48),
    "that of sentence-transformers": (30, 40, None, 30),
    "the stack's": (30, 40, 44, 44),
}


@pytest.mark.parametrize(("own", "tokenizer", "wished", "expected"), LIMITS.values(), ids=LIMITS)
def test_pairs_are_cut_at_the_models_limit_or_the_stacks(
    source: Path, kept: Cache, own: object, tokenizer: object, wished: int | None, expected: int
) -> None:
    changed(source / SAID, model_max_length=tokenizer)
    changed(source / LENGTH, max_seq_length=own)
    assert made(source, kept, max_tokens=wished).max_tokens == expected


SHORT = {
    "more than the model has": (49, "max_tokens is 49, but the model has only 48 positions", "at most 48"),
    "no room for two texts": (4, "max_tokens is 4, but the tokenizer adds 3 tokens to every pair", "at least 5"),
}


def test_a_limit_that_is_no_number_is_told(source: Path, kept: Cache) -> None:
    changed(source / LENGTH, max_seq_length="48")
    message = "max_seq_length in the reranker's own files must be an integer of at least 1, not '48'"
    assert refused(source, kept) == [(AT, message, "Fix the file, or use another model.")]


def test_weights_can_be_in_several_files(source: Path, kept: Cache) -> None:
    from safetensors.numpy import load_file, save_file

    whole = made(source, kept).onnx.content()
    tensors = load_file(source / "model.safetensors")
    names = sorted(tensors)
    (source / "model.safetensors").unlink()
    index: dict[str, str] = {}
    for number, own in enumerate((names[:5], names[5:]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in own}, source / file)
        index |= dict.fromkeys(own, file)
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}), "utf-8")
    assert made(source, kept).onnx.content() == whole
    (source / "model-00002-of-00002.safetensors").unlink()
    ((at, said, _),) = refused(source, kept)
    names_it = "names 'model-00002-of-00002.safetensors', which is not next to it"
    assert (at, said) == (AT, f'"model.safetensors.index.json" of the reranker\'s source {names_it}')


def test_a_late_interaction_has_the_prompts_of_the_encoders_own_files(tmp_path: Path, kept: Cache) -> None:
    source = shutil.copytree(REFERENCES / "late", tmp_path / "w")
    assert made(source, kept, kind="late-interaction").prefixes == ("", "")
    said = {"prompts": {"query": "find: ", "document": "text: ", "sts": "x"}, "default_prompt_name": "sts"}
    (source / OWN).write_text(json.dumps(said), "utf-8")
    assert made(source, kept, kind="late-interaction").prefixes == ("find: ", "text: ")


@pytest.mark.parametrize(("limit", "message", "hint"), SHORT.values(), ids=SHORT)
def test_a_limit_that_cannot_be_is_told(source: Path, kept: Cache, limit: int, message: str, hint: str) -> None:
    assert refused(source, kept, max_tokens=limit) == [(LIMIT_AT, message, f"Set max_tokens to {hint}.")]


def test_all_that_is_missing_or_wrong_is_told_at_once(source: Path, kept: Cache) -> None:
    (source / "model.safetensors").unlink()
    (source / OWN).write_text("[]", "utf-8")
    (source / LENGTH).write_text("{", "utf-8")
    (source / "modules.json").write_text('[{"type": "a.b.Transformer"}, {"type": "a.b.LogitScore"}]', "utf-8")
    told = [message.partition(":")[0] for _, message, _ in refused(source, kept)]
    assert told == [
        '"model.safetensors" is missing from the reranker\'s source',
        '"config_sentence_transformers.json" of the reranker\'s source is not a JSON object',
        '"sentence_bert_config.json" of the reranker\'s source is not valid JSON',
        'the reranker has a "LogitScore" module, which a cross-encoder cannot have here',
    ]


FAMILIES = ("Bert", "Roberta", "XLMRoberta", "DistilBert", "ModernBert")
EXPORTED = ", ".join(f"{family}ForSequenceClassification" for family in FAMILIES)
REFUSED: dict[str, tuple[Mapping[str, object], str, str]] = {
    "an encoder": (
        {"architectures": ["BertModel"]},
        "config.json of the reranker's source: BertModel has no classifier for pairs of texts",
        "Use a model with a classifier, or set `kind: late-interaction`.",
    ),
    "another architecture": (
        {"architectures": ["T5Model"]},
        f"config.json of the reranker's source: architectures is ['T5Model'], but only {EXPORTED} can be exported",
        "Use a model of one of these architectures.",
    ),
    "no architecture": (
        {"architectures": None},
        "config.json of the reranker's source: architectures is None, but only BertForSequenceClassification",
        "Use a model of one of these architectures.",
    ),
    "an architecture that is null": (
        {"architectures": [None]},
        "config.json of the reranker's source: architectures is [None], but only BertForSequenceClassification",
        "Use a model of one of these architectures.",
    ),
    "labels without order": (
        {"id2label": {"0": "no", "2": "yes"}},
        "config.json of the reranker's source: id2label is {'0': 'no', '2': 'yes'}, but it must name the labels 0, 1 ",
        "Use another model.",
    ),
    "labels without end": (
        {"id2label": None, "num_labels": 10**12},
        "config.json of the reranker's source: num_labels is 1000000000000, but it must be an integer from 1 to 1000",
        "Use another model.",
    ),
    "more labels than weights": (
        {"id2label": {"0": "no", "1": "yes"}},
        "config.json of the reranker's source: config.json does not match 2 of the weights: classifier.weight has",
        "Use the config.json and the complete weights of the same model.",
    ),
}


@pytest.mark.parametrize(("fields", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_a_model_that_cannot_be_exported_is_told(
    source: Path, kept: Cache, fields: Mapping[str, object], message: str, hint: str
) -> None:
    changed(source / "config.json", **fields)
    ((at, said, advice),) = refused(source, kept)
    assert (at, advice) == (AT, hint)
    assert said.startswith(message)


MODERN: dict[str, tuple[Mapping[str, object], str]] = {
    "a pooling": ({"classifier_pooling": "max"}, "classifier_pooling is 'max', but only cls, mean can be exported"),
    "an activation": ({"classifier_activation": "silu"}, "classifier_activation is 'silu', but only gelu, "),
    "a bias": ({"classifier_bias": "no"}, "classifier_bias is 'no', but it must be true or false"),
}


@pytest.mark.parametrize(("fields", "message"), MODERN.values(), ids=MODERN)
def test_what_a_modernbert_head_cannot_have_is_told(
    tmp_path: Path, kept: Cache, fields: Mapping[str, object], message: str
) -> None:
    source = shutil.copytree(REFERENCES / "modernbert-cls", tmp_path / "w")
    changed(source / "config.json", **fields)
    ((_, said, _),) = refused(source, kept)
    assert message in said


def test_a_prompt_of_the_models_own_is_told(source: Path, kept: Cache) -> None:
    changed(source / OWN, prompts={"query": "find: ", "none": ""}, default_prompt_name="none")
    assert made(source, kept).score == "sigmoid"
    changed(source / OWN, default_prompt_name="query")
    message = 'the reranker puts its prompt "query" before every query, which is not supported'
    assert refused(source, kept) == [(AT, message, "Use a model without a default prompt.")]


def test_a_tokenizer_of_another_model_is_told(source: Path, kept: Cache) -> None:
    text = (source / "tokenizer.json").read_text("utf-8")
    (source / "tokenizer.json").write_text(text.replace('"##?": 97', '"##?": 99'), "utf-8")
    ((_, said, _),) = refused(source, kept)
    assert said == "tokenizer.json has ids up to 99, but the weights have only 99 vectors"
    (source / "tokenizer.json").write_text("{}", "utf-8")
    ((_, said, _),) = refused(source, kept)
    assert said.startswith("tokenizer.json of the reranker's source is not a tokenizer: ")


HELD = {"fp16": 5e-3, "int8": 0.1}


@pytest.mark.parametrize(("precision", "most"), HELD.items())
def test_weights_in_fewer_bits_change_logits_little(source: Path, kept: Cache, precision: str, most: float) -> None:
    exact = made(source, kept, precision=precision)
    files = lowered(wish(precision=precision), exact, kept)
    assert files.onnx.size < exact.onnx.size
    said = expected("bert")
    found = session(files).run(["logits"], {name: said[name].astype(np.int64) for name in files.inputs})[0]
    assert 0 < np.abs(found - said["logits"]).max() <= most


def test_fewer_bits_make_room_for_weights_that_fp32_would_make_too_large(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Cache(tmp_path / "cache")
    monkeypatch.setattr(graph, "LARGEST_BYTES", int(made(source, fresh).onnx.size * 0.6))
    fresh = Cache(tmp_path / "another")
    ((_, said, _),) = refused(source, fresh)
    assert "but a file can hold only" in said
    files = lowered(wish(precision="int8"), made(source, fresh, precision="int8"), fresh)
    reference = expected("bert")
    arrays = {name: reference[name].astype(np.int64) for name in files.inputs}
    assert np.abs(session(files).run(["logits"], arrays)[0] - reference["logits"]).max() <= HELD["int8"]


def test_a_graph_without_weights_has_no_other_precision(tmp_path: Path, kept: Cache) -> None:
    files = given(graph_of(tmp_path / "g", **PAIR, **LOGITS), kept, label="0", max_tokens=9)
    with pytest.raises(Stop, match="the reranker's graph cannot be converted to int8: it has no FP32 matrices"):
        lowered(wish(precision="int8"), files, kept)


def test_an_encoder_is_a_reranker_by_late_interaction(tmp_path: Path, kept: Cache) -> None:
    source = shutil.copytree(REFERENCES / "late", tmp_path / "w")
    modules = [{"type": f"sentence_transformers.models.{name}"} for name in ("Transformer", "Pooling", "Normalize")]
    (source / "modules.json").write_text(json.dumps(modules), "utf-8")
    files = made(source, kept, kind="late-interaction", max_tokens=3)
    assert (files.output, files.width, files.score, files.max_tokens) == ("token_embeddings", 16, "late-interaction", 3)
    ((_, said, hint),) = refused(source, kept)
    assert (said, hint) == (
        'the reranker has a "Pooling" module, which a cross-encoder cannot have here',
        "Set `kind: late-interaction`.",
    )
    ((at, said, _),) = refused(source, kept, kind="late-interaction", max_tokens=2)
    assert (at, said) == (LIMIT_AT, "max_tokens is 2, but the tokenizer adds 2 tokens to every text")


def graph_of(place: Path, **tensors: tuple[str, Dims]) -> Path:
    """Write an ONNX file with these inputs and outputs, as name → element type and dims; an output has `out_`."""
    values = [(name, Value(name.removeprefix("out_"), *own)) for name, own in tensors.items()]
    inputs, outputs = ([v for name, v in values if name.startswith("out_") == out] for out in (False, True))
    onnx_file(place / "model.onnx", inputs, outputs, node("Identity", ["input_ids"], ["out"]))
    return place / "model.onnx"


INTS: tuple[str, Dims] = ("INT64", ["batch", "tokens"])
PAIR = {"input_ids": INTS, "attention_mask": INTS}
LOGITS: dict[str, tuple[str, Dims]] = {"out_logits": ("FLOAT", ["batch", 2])}


def given(path: Path, cache: Cache, said: Mapping[str, File] | None = None, **wishes: Any) -> RerankerFiles:  # noqa: ANN401  values of the stack file
    files = {"model.onnx": on_disk(path, path.stat().st_size), **(said or {})}
    tokens = {"tokenizer.json": of_bytes((REFERENCES / "bert" / "tokenizer.json").read_bytes())}
    return own_graph(wish(**wishes), files, tokens, cache)


def test_a_graph_of_ones_own_is_deployed_as_it_is(tmp_path: Path, kept: Cache) -> None:
    path = graph_of(tmp_path / "g", **PAIR, token_type_ids=INTS, **LOGITS, out_hidden=("FLOAT", ["batch", "tokens", 8]))
    files = given(path, kept, label="1", max_tokens=32)
    assert files.onnx.content() == path.read_bytes()
    assert files.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert (files.width, files.max_tokens, files.score, files.label) == (2, 32, "softmax", 1)


def test_what_is_next_to_a_graph_says_what_its_logits_mean(tmp_path: Path, kept: Cache) -> None:
    path = graph_of(tmp_path / "g", **PAIR, **LOGITS)
    config = {"id2label": {"0": "entailment", "1": "other"}}
    said = {"config.json": of_bytes(json.dumps(config).encode()), SAID: of_bytes(b'{"model_max_length": 40}')}
    files = given(path, kept, said)
    assert (files.inputs, files.max_tokens, files.score, files.label) == (
        ("input_ids", "attention_mask"),
        40,
        "softmax",
        0,
    )
    three = {"config.json": of_bytes(b'{"id2label": {"0": "a", "1": "entailment", "2": "c"}}')}
    with pytest.raises(Stop, match="the reranker has 2 labels"):
        given(path, kept, three, max_tokens=9)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a stack, with a small cross-encoder of three labels."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(REFERENCES / "bert-entailment", tmp_path / "w").parent


def built(keys: str) -> dict[str, str]:
    """Build a stack of one reranker, and return what is in its text files, by path without versions."""
    Path("tritonrepo.yaml").write_text(f"name: s\nmodels:\n  k: {{role: reranker, {keys}}}\n", "utf-8")
    shutil.rmtree("r", ignore_errors=True)
    assert run(["build", "-o", "r"]) == 0
    paths = [path for path in Path("r").rglob("*") if path.suffix in {".json", ".pbtxt"}]
    return {"/".join((path.parts[1], path.name)): path.read_text("utf-8") for path in paths}


def test_the_keys_of_a_reranker_do_what_their_rows_say(here: Path) -> None:
    plain = built("source: ./w")
    assert sorted(path.name for path in (here / "r").iterdir()) == ["k", "k_model", "tritonrepo.json"]
    settings = json.loads(plain["k/settings.json"])
    assert [settings[key] for key in ("top_k", "max_tokens", "batch", "score", "label")] == [4, 48, 32, "softmax", 1]
    assert "max_batch_size: 32\n" in plain["k/config.pbtxt"]
    lists = "label: neutral, activation: sigmoid, top_k: 7, max_tokens: 20"
    group = "{instance_group: [{kind: KIND_CPU, count: 3}]}"
    batches = "batching: {max_batch_size: 8, max_queue_delay: 2ms}, model_config: {max_batch_size: 4}"
    said = built(f"source: ./w, {lists}, {batches}, instances: {{kind: cpu, count: 2}}, config: {group}")
    settings = json.loads(said["k/settings.json"])
    assert [settings[key] for key in ("top_k", "max_tokens", "batch", "score", "label")] == [7, 20, 4, "sigmoid", 2]
    assert "max_batch_size: 8\n" in said["k/config.pbtxt"]
    assert "dynamic_batching { max_queue_delay_microseconds: 2000 }" in said["k/config.pbtxt"]
    assert "instance_group { kind: KIND_CPU count: 3 }" in said["k/config.pbtxt"]
    assert "max_batch_size: 4\n" in said["k_model/config.pbtxt"]
    assert "instance_group { kind: KIND_CPU count: 2 }" in said["k_model/config.pbtxt"]


def test_a_graph_has_its_tokenizer_next_to_it_or_elsewhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built("source: ./w")
    (built_graph,) = (here / "r" / "k_model").glob("*/model.onnx")
    (here / "g").mkdir()
    shutil.copy(built_graph, here / "g" / "ranker.onnx")
    assert built("source: ./g, tokenizer: ./w, label: 1, max_tokens: 48")["k/settings.json"]
    shutil.copy(here / "w" / "tokenizer.json", here / "g")
    assert built("source: ./g, label: 1, max_tokens: 48")["k/settings.json"]
    Path("tritonrepo.yaml").write_text(
        "name: s\nmodels:\n  k: {role: reranker, source: ./w, tokenizer: ./w}\n", "utf-8"
    )
    assert run(["build", "-o", "r"]) == 2
    assert "3:47: fatal: tokenizer is only for an ONNX file in source" in capsys.readouterr().err


def test_a_graph_of_token_vectors_is_a_late_interaction(tmp_path: Path, kept: Cache) -> None:
    path = graph_of(tmp_path / "g", **PAIR, out_token_embeddings=("FLOAT", ["batch", "tokens", 8]))
    files = given(path, kept, kind="late-interaction", max_tokens=9)
    assert (files.output, files.width, files.score) == ("token_embeddings", 8, "late-interaction")


GRAPHS: dict[str, tuple[Mapping[str, tuple[str, Dims]], str]] = {
    "an input that is not there": (
        {"input_ids": INTS, **LOGITS},
        "must have the inputs input_ids and attention_mask, not input_ids",
    ),
    "another input": (
        {**PAIR, "pixels": INTS, **LOGITS},
        "must have the inputs input_ids and attention_mask, not attention_mask, input_ids, pixels",
    ),
    "numbers of another type": (
        {**PAIR, "attention_mask": ("INT32", ["batch", "tokens"]), **LOGITS},
        'input "attention_mask" of the reranker\'s ONNX file must be INT64 [batch, tokens], both variable',
    ),
    "a fixed length": (
        {**PAIR, "input_ids": ("INT64", ["batch", 128]), **LOGITS},
        'input "input_ids" of the reranker\'s ONNX file must be INT64 [batch, tokens], both variable',
    ),
    "another output": (
        {**PAIR, "out_scores": ("FLOAT", ["batch", 1])},
        "the ONNX file of the reranker must have the output logits, not scores",
    ),
    "logits of any number": (
        {**PAIR, "out_logits": ("FLOAT", ["batch", "labels"])},
        'output "logits" of the reranker\'s ONNX file must be FP32 [batch, labels]',
    ),
    "logits in half precision": (
        {**PAIR, "out_logits": ("FLOAT16", ["batch", 1])},
        'output "logits" of the reranker\'s ONNX file must be FP32 [batch, labels]',
    ),
}


@pytest.mark.parametrize(("tensors", "message"), GRAPHS.values(), ids=GRAPHS)
def test_a_graph_with_other_tensors_is_told(
    tmp_path: Path, kept: Cache, tensors: Mapping[str, tuple[str, Dims]], message: str
) -> None:
    with pytest.raises(Stop) as stop:
        given(graph_of(tmp_path / "g", **tensors), kept, max_tokens=9, label="0")
    assert [told.at for told in stop.value.diagnostics] == [AT]
    assert message in stop.value.diagnostics[0].message


def test_a_graph_that_lacks_its_limit_its_tokenizer_or_its_bytes_is_told(tmp_path: Path, kept: Cache) -> None:
    path = graph_of(tmp_path / "g", **PAIR, **LOGITS)
    with pytest.raises(Stop, match="max_tokens is missing, and the reranker's own files do not say it"):
        given(path, kept)
    files = {"model.onnx": of_bytes(b"no graph")}
    with pytest.raises(Stop) as stop:
        own_graph(wish(max_tokens=9), files, {}, kept)
    damaged, lacking = (told.message for told in stop.value.diagnostics)
    assert damaged.startswith("the ONNX file of the reranker is damaged or incomplete: ")
    assert lacking == "the reranker has no tokenizer.json"
    with pytest.raises(Stop, match=r'"config\.json" of the reranker.s source is not valid JSON'):
        given(path, kept, {"config.json": of_bytes(b"{")}, max_tokens=9)
    with pytest.raises(Stop, match="the source must contain one ONNX file, not 2"):
        own_graph(wish(max_tokens=9), {"a.onnx": of_bytes(b""), "b.onnx": of_bytes(b"")}, {}, kept)


def test_logits_are_those_of_one_row_whatever_shares_its_batch(source: Path, kept: Cache) -> None:
    files = made(source, kept)
    said = expected("bert")
    arrays = {name: said[name].astype(np.int64) for name in files.inputs}
    running = session(files)
    whole = running.run(["logits"], arrays)[0]
    for row in range(len(whole)):
        length = int(arrays["attention_mask"][row].sum())
        alone = running.run(["logits"], {name: array[row : row + 1, :length] for name, array in arrays.items()})[0]
        assert np.abs(alone - whole[row]).max() <= 1e-5
