"""What an embedder's and a generator's own files say, and what the stack file says over it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_export import bert_config, bert_weights, llama_metadata, write_gguf
from tests.test_export import encoder as exported
from tests.test_own_stacks import WORDS, modules, weights
from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.export.heads import Pool, Pooling
from tritonrepo.export.weights import safetensors
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.sources import tokenizer
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.chat import chat, gguf_file
from tritonrepo.sources.encoder import Wish, encoder
from tritonrepo.sources.resolve import resolve
from tritonrepo.spec.source import parse_source
from tritonrepo.tree import File, of_bytes, on_disk

AT, LIMIT_AT = Span("stack.yaml", 3, 5), Span("stack.yaml", 3, 40)
POOLING, MODULES, LENGTH = "1_Pooling/config.json", "modules.json", "sentence_bert_config.json"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache for all tests: a graph is exported once per what it depends on."""
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small encoder: 20 positions, mean pooling, of length 1; its tokenizer adds two tokens to every text."""
    weights(tmp_path / "w")
    return tmp_path / "w"


def made(source: Path, cache: Cache, **wishes: Any) -> EncoderFiles:  # noqa: ANN401  a value of the stack file
    files = resolve(parse_source("./w"), "x86_64", cache, None, Span(str(source.parent / "stack.yaml"))).files
    said = {"pooling": None, "normalize": None, "max_tokens": None, **wishes}
    return encoder(Wish("./w", places={"source": AT, "max_tokens": LIMIT_AT}, **said), files, cache)


def refused(source: Path, cache: Cache, **wishes: Any) -> list[tuple[Span, str, str]]:  # noqa: ANN401  as above
    with pytest.raises(Stop) as stop:
        made(source, cache, **wishes)
    assert {told.severity for told in stop.value.diagnostics} == {Severity.FATAL}
    assert {told.rule for told in stop.value.diagnostics} == {"source-encoder"}
    return [(told.at, told.message, told.hint) for told in stop.value.diagnostics]


def graph(source: Path, pool: Pool, *, normalize: bool) -> bytes:
    config = json.loads((source / "config.json").read_text("utf-8"))
    return exported(config, safetensors(source / "model.safetensors"), Pooling(pool, normalize))


MODES = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
"""Their names in sentence-transformers, sentence_transformers/models/Pooling.py."""


@pytest.mark.parametrize(("name", "flag"), MODES.items(), ids=MODES)
def test_the_pooling_is_the_models_own_or_the_stacks(source: Path, kept: Cache, name: str, flag: str) -> None:
    others = dict.fromkeys(MODES.values(), False)
    (source / POOLING).write_text(json.dumps(others | {flag: True, "word_embedding_dimension": 16}), "utf-8")
    expected = graph(source, Pool(name), normalize=True)
    assert made(source, kept).onnx.content() == expected
    (source / POOLING).write_text("{}", "utf-8")
    assert made(source, kept, pooling=name).onnx.content() == expected


LENGTHS: dict[str, tuple[tuple[str, ...], bool | None, bool]] = {
    "the model's own": (("Transformer", "Pooling", "Normalize"), None, True),
    "not the model's own": (("Transformer", "Pooling", "Dropout"), None, False),
    "the stack's": (("Transformer", "Pooling"), True, True),
    "not the stack's": (("Transformer", "Pooling", "Normalize"), False, False),
}


@pytest.mark.parametrize(("names", "wish", "normalize"), LENGTHS.values(), ids=LENGTHS)
def test_vectors_are_of_length_1_or_not(
    source: Path, kept: Cache, names: tuple[str, ...], *, wish: bool | None, normalize: bool
) -> None:
    (source / MODULES).write_text(modules(*names), "utf-8")
    assert made(source, kept, normalize=wish).onnx.content() == graph(source, Pool.MEAN, normalize=normalize)


def test_a_model_without_a_list_of_modules_is_not_normalized(source: Path, kept: Cache) -> None:
    (source / MODULES).unlink()
    found = made(source, kept)
    assert found.onnx.content() == graph(source, Pool.MEAN, normalize=False)
    assert (found.dimensions, found.tokenizer.content()) == (16, (source / "tokenizer.json").read_bytes())


POOLINGS = {
    "another one besides": (
        {MODES["mean"]: True, "pooling_mode_median_tokens": True},
        "mean, pooling_mode_median_tokens",
    ),
    "another one": ({"pooling_mode_median_tokens": True}, "pooling_mode_median_tokens"),
    "another one, in the new form": ({"pooling_mode": "median"}, "median"),
    "one of two, in the new form": ({"pooling_mode": ["cls", "median"]}, "cls, median"),
    "none, in the new form": ({"pooling_mode": []}, "none"),
    "a number": ({"pooling_mode": 3}, "none"),
    "lists in a list": ({"pooling_mode": [["mean"]]}, "['mean']"),
    "none": ({MODES["mean"]: False}, "none"),
    "nothing": ({}, "none"),
}


@pytest.mark.parametrize(("said", "seen"), POOLINGS.values(), ids=POOLINGS)
def test_a_pooling_that_is_not_one_of_ours_is_told(
    source: Path, kept: Cache, said: dict[str, object], seen: str
) -> None:
    (source / POOLING).write_text(json.dumps(said), "utf-8")
    message = f"the embedder's own files must name a pooling that can be exported, not {seen}"
    assert refused(source, kept) == [(AT, message, "Set pooling to mean, cls or last.")]


def test_all_that_is_missing_or_wrong_is_told_at_once(source: Path, kept: Cache) -> None:
    for name in ("config.json", "model.safetensors"):
        (source / name).unlink()
    (source / POOLING).write_text("{}", "utf-8")
    (source / MODULES).write_text(modules("Transformer", "Pooling", "WordWeights"), "utf-8")
    (source / LENGTH).write_text("{", "utf-8")
    found = refused(source, kept)
    assert [message.partition(":")[0] for _, message, _ in found] == [
        '"config.json" is missing from the embedder\'s source',
        '"model.safetensors" is missing from the embedder\'s source',
        '"sentence_bert_config.json" of the embedder\'s source is not valid JSON',
        'the embedder has a "WordWeights" module, which cannot be exported',
        "the embedder's own files must name a pooling that can be exported, not none",
    ]
    assert found[0][2] == (
        "Add the file, or use another source. "
        "This one contains: 1_Pooling/config.json, modules.json, sentence_bert_config.json, tokenizer.json."
    )


LIMITS: dict[str, tuple[object, int | None, int]] = {
    "as many as there are positions": (None, None, 20),
    "the model's own": (8, None, 8),
    "the stack's, below the model's": (8, 6, 6),
    "the stack's, above the model's": (8, 12, 12),
    "the stack's, all positions": (8, 20, 20),
    "the model's own, which has fewer positions": (512, None, 20),
    "one more than the tokenizer adds": (None, 3, 3),
    "no limit of its own": (0, None, 20),
}


@pytest.mark.parametrize(("own", "wish", "limit"), LIMITS.values(), ids=LIMITS)
def test_texts_are_cut_at_the_stacks_limit_or_the_models(
    source: Path, kept: Cache, own: object, wish: int | None, limit: int
) -> None:
    (source / LENGTH).write_text(json.dumps({"max_seq_length": own}), "utf-8")
    assert made(source, kept, max_tokens=wish).max_tokens == limit


@pytest.mark.parametrize(("padding", "limit"), [(0, 19), (1, 18), (5, 14)])
def test_roberta_loses_the_positions_up_to_its_padding_id(source: Path, kept: Cache, padding: int, limit: int) -> None:
    """Its first token has the position after the padding id: transformers, modeling_roberta.py, position ids."""
    weights(source, architectures=["RobertaModel"], type_vocab_size=1, pad_token_id=padding)
    assert made(source, kept).max_tokens == made(source, kept, max_tokens=limit).max_tokens == limit
    message = f"max_tokens is {limit + 1}, but the model has only {limit} positions"
    assert refused(source, kept, max_tokens=limit + 1) == [(LIMIT_AT, message, f"Set max_tokens to at most {limit}.")]


BEYOND: dict[str, tuple[object, int | None, tuple[Span, str, str]]] = {
    "more than positions": (
        None,
        21,
        (LIMIT_AT, "max_tokens is 21, but the model has only 20 positions", "Set max_tokens to at most 20."),
    ),
    "no more than the tokenizer adds": (
        None,
        2,
        (LIMIT_AT, "max_tokens is 2, but the tokenizer adds 2 tokens to every text", "Set max_tokens to at least 3."),
    ),
    "the model's own, below 1": (
        -1,
        None,
        (
            AT,
            "max_seq_length in the embedder's own files must be an integer of at least 1, not -1",
            "Fix sentence_bert_config.json.",
        ),
    ),
}


@pytest.mark.parametrize(("own", "wish", "told"), BEYOND.values(), ids=BEYOND)
def test_a_limit_that_cannot_be_is_told_where_it_stands(
    source: Path, kept: Cache, own: object, wish: int | None, told: tuple[Span, str, str]
) -> None:
    (source / LENGTH).write_text(json.dumps({"max_seq_length": own}), "utf-8")
    assert refused(source, kept, max_tokens=wish) == [told]


def test_a_limit_of_the_models_own_that_leaves_nothing_is_told_at_the_source(source: Path, kept: Cache) -> None:
    (source / LENGTH).write_text('{"max_seq_length": 2}', "utf-8")
    files = resolve(parse_source("./w"), "x86_64", kept, None, Span(str(source.parent / "stack.yaml"))).files
    with pytest.raises(Stop) as stop:
        encoder(Wish("./w", None, None, None, {"source": AT}), files, kept)
    (told,) = stop.value.diagnostics
    assert (told.at, told.message) == (AT, "max_tokens is 2, but the tokenizer adds 2 tokens to every text")


def test_a_module_without_a_type_is_not_left_out(source: Path, kept: Cache) -> None:
    (source / MODULES).write_text('[{"type": "sentence_transformers.models.Transformer"}, {"path": "2_X"}]', "utf-8")
    ((at, message, _),) = refused(source, kept)
    assert (at, message) == (AT, 'the embedder has a "" module, which cannot be exported')


def test_of_a_source_with_many_files_ten_are_named(source: Path, kept: Cache) -> None:
    (source / "config.json").unlink()
    for number in range(11):
        (source / f"a{number:02}").touch()
    names = "1_Pooling/config.json, a00, a01, a02, a03, a04, a05, a06, a07, a08"
    ((_, _, hint),) = refused(source, kept)
    assert hint == f"Add the file, or use another source. This one contains: {names}."


def test_lower_case_is_asked_only_of_a_tokenizer_that_keeps_case(source: Path, kept: Cache) -> None:
    (source / LENGTH).write_text('{"do_lower_case": true}', "utf-8")
    assert made(source, kept).max_tokens == 20
    weights(source, ["A", *WORDS[:-1]], lower=False)
    ((at, message, hint),) = refused(source, kept)
    assert (at, message) == (
        AT,
        "the embedder's own files require lower case, but its tokenizer.json does not convert texts to it",
    )
    assert hint == "Use a model whose tokenizer.json converts texts to lower case."
    (source / LENGTH).write_text('{"do_lower_case": false}', "utf-8")
    assert made(source, kept).max_tokens == 20


def words(*names: str, **settings: Any) -> File:  # noqa: ANN401  a part of a tokenizer
    from tokenizers import Tokenizer, models, pre_tokenizers

    made: Any = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token=names[0]))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    for name, value in settings.items():
        getattr(made, name)(**value)
    return of_bytes(made.to_str().encode())


def test_a_tokenizer_says_what_it_adds_and_whether_it_ignores_case(source: Path) -> None:
    file = on_disk(source / "tokenizer.json", (source / "tokenizer.json").stat().st_size)
    assert tokenizer.traits(file, 24, AT) == (2, True)
    assert tokenizer.traits(words("?", "A", "a", "Model", "model"), 5, AT) == (0, False)
    assert tokenizer.traits(words("?", "A", "Model", "model"), 4, AT) == (0, False)
    cut = words("?", "A", "Model", "model", enable_truncation={"max_length": 1, "direction": "left"})
    assert tokenizer.traits(cut, 4, AT) == (0, False)
    cut = words("?", "a", "Model", "model", enable_truncation={"max_length": 0})
    assert tokenizer.traits(cut, 4, AT) == (0, False)


@pytest.mark.parametrize(("vocabulary", "good"), [(5, True), (4, False)], ids=["as many", "one fewer"])
def test_every_id_of_a_tokenizer_has_a_vector(vocabulary: int, *, good: bool) -> None:
    file = words("?", "a", "b", "c", "d")
    if good:
        tokenizer.traits(file, vocabulary, AT)
        return
    with pytest.raises(Stop) as stop:
        tokenizer.traits(file, vocabulary, AT)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.at) == ("source-tokenizer", Severity.FATAL, AT)
    assert told.message == "tokenizer.json has ids up to 4, but the weights have only 4 vectors"


@pytest.mark.parametrize("names", [[], ["a.gguf", "b.gguf", "c.txt"]], ids=["none", "two"])
def test_a_generators_source_has_one_gguf_file(tmp_path: Path, names: list[str]) -> None:
    files = {name: on_disk(tmp_path / name, 0) for name in [*names, "a.bin"]}
    with pytest.raises(Stop) as stop:
        gguf_file(files, AT)
    (told,) = stop.value.diagnostics
    count = len([name for name in names if name.endswith("gguf")])
    assert (told.rule, told.at) == ("source-generator", AT)
    assert told.message == f"the source must contain one GGUF file, not {count}"
    assert told.hint == f"Choose a GGUF file. The source contains: {', '.join(sorted(files))}."


def generator(place: Path, **changes: Any) -> dict[str, File]:  # noqa: ANN401  a value of any type that GGUF has
    path = write_gguf(place / "m.gguf", llama_metadata() | changes, {})
    return {"README.md": of_bytes(b""), "m.gguf": on_disk(path, path.stat().st_size)}


def test_a_chat_is_what_the_gguf_file_says(tmp_path: Path, kept: Cache) -> None:
    found = chat(generator(tmp_path), kept, AT)
    assert found.template == "{{ messages }}"
    assert (found.bos_token, found.eos_token, found.adds_bos) == ("<|s|>", "<|e|>", True)
    assert (found.special_tokens, found.context_length) == (("<|s|>", "<|e|>"), 64)
    assert json.loads(found.tokenizer.content())["model"]["type"] == "BPE"
    other = chat(generator(tmp_path, **{"tokenizer.ggml.add_bos_token": False}), kept, AT)
    assert other.adds_bos is False


@pytest.mark.parametrize(("token", "good"), [("ab", True), ("a", False), (" a ", False)])
def test_a_special_token_has_two_characters(tmp_path: Path, kept: Cache, token: str, *, good: bool) -> None:
    metadata = llama_metadata()
    tokens, kinds = ([*metadata[f"tokenizer.ggml.{name}"]] for name in ("tokens", "token_type"))
    tokens[1] = token
    tokens = [f"<{n}>" if word == token and n != 1 else word for n, word in enumerate(tokens)]
    files = generator(tmp_path, **{"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds})
    if good:
        assert token in chat(files, kept, AT).special_tokens
        return
    with pytest.raises(Stop) as stop:
        chat(files, kept, AT)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.at) == ("source-generator", Severity.FATAL, AT)
    assert told.message == (
        f"m.gguf has the special token {token!r}, which cannot be kept out of the texts in a prompt"
    )


MISSING: dict[str, tuple[str, Callable[[Path, Cache], object], str]] = {
    "the reader of GGUF": (
        "tritonrepo.export.gguf",
        lambda place, cache: chat(generator(place, **{"llama.context_length": 65}), cache, AT),
        "reading a GGUF file needs numpy, onnx and gguf",
    ),
    "the exporter": (
        "tritonrepo.export.encoder",
        lambda place, cache: made(place / "w", cache, max_tokens=7),
        "exporting an embedder needs numpy, onnx, safetensors and tokenizers",
    ),
}


@pytest.mark.parametrize(("module", "use", "message"), MISSING.values(), ids=MISSING)
def test_what_an_extra_would_bring_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, use: Callable[[Path, Cache], object], message: str
) -> None:
    weights(tmp_path / "w", hidden_size=8)
    package, _, name = module.rpartition(".")
    monkeypatch.delattr(sys.modules[package], name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Stop) as stop:
        use(tmp_path, Cache(tmp_path / "empty"))
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.message) == ("extra-missing", Severity.FATAL, message)
    assert told.hint.startswith("Run `pip install 'tritonrepo[onnx]'` (")
    assert not [path for path in (tmp_path / "empty").rglob("*") if path.is_file()]


def test_other_weights_and_another_tokenizer_are_exported_again(source: Path, kept: Cache) -> None:
    from safetensors.numpy import save_file

    before = made(source, kept).onnx.content()
    changed = bert_weights(bert_config())
    changed["embeddings.word_embeddings.weight"] *= 2
    save_file(changed, source / "model.safetensors")
    assert made(source, kept).onnx.content() not in {before, b""}
    weights(source, lower=False)
    assert made(source, kept).onnx.content() == before
    (source / LENGTH).write_text('{"do_lower_case": true}', "utf-8")
    assert refused(source, kept)
