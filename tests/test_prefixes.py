"""What an embedder reads before queries and before passages: from its own files or from the stack, wherever it runs."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from tests.conftest import PROMPTED
from tests.tensors import outputs, request
from tests.test_own_stacks import edited, entered
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.generate.inputs import EncoderFiles, Prefixes
from tritonrepo.generate.steps.embedder import TritonPythonModel
from tritonrepo.indexing import encoder
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder import READ, Wish
from tritonrepo.sources.encoder import encoder as exported
from tritonrepo.sources.prefixes import PROMPTS, Wanted, prefixed
from tritonrepo.sources.resolve import resolve
from tritonrepo.spec.source import parse_source
from tritonrepo.tree import File, of_text

AT, QUERY_AT = Span("stack.yaml", 3, 5), Span("stack.yaml", 3, 40)
EXPECTED = json.loads((PROMPTED / "expected.json").read_text("utf-8"))
OWN = Prefixes("search_query: ", "search_document: ")


@pytest.fixture(scope="module")
def files(cache: Cache) -> EncoderFiles:
    """The encoder that sentence-transformers saved with prompts."""
    at = Span(str(PROMPTED.parent / "stack.yaml"))
    found = resolve(parse_source(f"./{PROMPTED.name}"), "x86_64", cache, None, at, only=(*READ, PROMPTS)).files
    wish = Wish("./prompts", "mean", None, 40, {"source": AT, "max_tokens": AT})
    return prefixed(exported(wish, found, cache), found, Wanted(None, None, {"source": AT}), cache)


def cosines(found: Any, expected: Any) -> NDArray[Any]:  # noqa: ANN401  vectors or lists
    a, b = np.array(found), np.array(expected)
    cosine: NDArray[Any] = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return cosine


def test_an_index_has_the_vectors_of_sentence_transformers_documents(files: EncoderFiles) -> None:
    assert files.prefixes == OWN
    assert cosines(encoder.load(files).embed(EXPECTED["texts"]), EXPECTED["passage"]).min() > 0.9999


@pytest.fixture
def step(files: EncoderFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TritonPythonModel:
    """The embedder's step over its graph on ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(files.onnx.content())

    def call(asked: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        (rows,) = session.run(["embedding"], {tensor.name(): tensor.as_numpy() for tensor in asked.inputs()})
        return pb_utils.InferenceResponse([pb_utils.Tensor("embedding", rows)])

    monkeypatch.setitem(pb_utils.models, "graph", call)
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "1").mkdir()
    (tmp_path / "tokenizer.json").write_bytes(files.tokenizer.content())
    (tmp_path / "1" / "calls.json").write_text('{"graph": 1}', "utf-8")
    settings = {"max_tokens": 40, "packages": "none", "tokenizer": "tokenizer.json"}
    settings |= {"prefixes": files.prefixes._asdict()}
    (tmp_path / "1" / "settings.json").write_text(json.dumps(settings), "utf-8")
    model = TritonPythonModel()
    model.initialize({"model_repository": str(tmp_path), "model_version": "1"})
    return model


def column(*texts: str) -> NDArray[Any]:
    return np.array([[text.encode()] for text in texts], np.object_)


def test_queries_and_passages_of_one_batch_have_the_vectors_of_sentence_transformers(step: TritonPythonModel) -> None:
    texts: list[str] = EXPECTED["texts"]
    kinds = ["query" if number % 3 else "passage" for number in range(len(texts))]
    alone = [request(text=column(text), input_type=column(kind)) for text, kind in zip(texts, kinds, strict=True)]
    both = request(text=column(*texts), input_type=column(*kinds))
    plain = request(text=column(*texts))
    *singles, together, queries = [outputs(response)["embedding"] for response in step.execute([*alone, both, plain])]
    wanted = [EXPECTED[kind][number] for number, kind in enumerate(kinds)]
    assert cosines([rows[0] for rows in singles], wanted).min() > 0.9999
    assert cosines(together, wanted).min() > 0.9999
    assert cosines(queries, EXPECTED["query"]).min() > 0.9999


def test_no_passage_behind_its_prefix_is_cut_and_nothing_of_a_document_is_lost(files: EncoderFiles) -> None:
    """Of 40 tokens, 2 are special and 17 are the prefix's, a token for each byte."""
    text = "one two three four five six seven eight nine ten"
    encoding = encoder.load(files)
    assert encoding.limit == 21
    found = [text[begin:end] for begin, end in encoding.cut(text, encoding.limit, 0)]
    assert max(len(piece) for piece in found) <= 21
    assert " ".join(found) == text


def wanted(query: str | None = None, passage: str | None = None) -> Wanted:
    return Wanted(query, passage, {"source": AT, "query": QUERY_AT})


def prompts(said: object) -> dict[str, File]:
    return {PROMPTS: of_text(said if isinstance(said, str) else json.dumps(said))}


CHOSEN: dict[str, tuple[object, Wanted, Prefixes]] = {
    "no prompts": ({}, wanted(), Prefixes()),
    "prompts that are null": ({"prompts": None}, wanted(), Prefixes()),
    "a document before a passage": (
        {"prompts": {"corpus": "c", "passage": "p", "document": "d"}},
        wanted(),
        Prefixes("", "d"),
    ),
    "a passage before a corpus": (
        {"prompts": {"corpus": "c", "passage": "p", "document": None}},
        wanted(),
        Prefixes("", "p"),
    ),
    "a corpus": ({"prompts": {"corpus": "c", "query": "q"}}, wanted(), Prefixes("q", "c")),
    "no default": ({"prompts": {"other": "o"}, "default_prompt_name": "other"}, wanted(), Prefixes()),
    "the stack's": ({"prompts": {"query": "q", "document": "d"}}, wanted("Q: ", "P: "), Prefixes("Q: ", "P: ")),
    "one of the stack's": ({"prompts": {"query": "q", "document": "d"}}, wanted(None, "P: "), Prefixes("q", "P: ")),
    "none by the stack": ({"prompts": {"query": "q", "document": "d"}}, wanted("", ""), Prefixes()),
}


@pytest.mark.parametrize(("said", "asked", "found"), CHOSEN.values(), ids=CHOSEN)
def test_prefixes_are_those_of_the_stack_else_the_models_prompts(
    files: EncoderFiles, cache: Cache, said: object, asked: Wanted, found: Prefixes
) -> None:
    assert prefixed(files, prompts(said), asked, cache).prefixes == found


UNUSABLE: dict[str, tuple[object, Wanted, Span, str]] = {
    "not JSON": ("{", wanted(), AT, f'"{PROMPTS}" of the embedder\'s source is not valid JSON'),
    "nested without end": ("[" * 100_000, wanted(), AT, "is not valid JSON"),
    "a list": ([], wanted(), AT, f'"prompts" in "{PROMPTS}" of the embedder\'s source must map names to strings'),
    "a number for prompts": ({"prompts": 3}, wanted(), AT, "must map names to strings"),
    "a list for a prompt": ({"prompts": {"query": ["q"]}}, wanted(), AT, "must map names to strings"),
    "no room for a query": (
        {},
        wanted("x" * 38),
        QUERY_AT,
        "the prefix of query and the special tokens take 40 tokens, but the embedder cuts its texts at 40",
    ),
    "no room for a passage": (
        {"prompts": {"document": "d" * 99}},
        wanted(),
        AT,
        "the prefix of passage and the special tokens take 101 tokens",
    ),
}


@pytest.mark.parametrize(("said", "asked", "at", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_prefixes_that_cannot_be_used_are_told(
    files: EncoderFiles, cache: Cache, said: object, asked: Wanted, at: Span, message: str
) -> None:
    with pytest.raises(Stop) as stop:
        prefixed(files, prompts(said), asked, cache)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.at) == ("source-encoder", at)
    assert message in told.message


def settings() -> dict[str, Any]:
    """Return the settings of the embedder that is built last."""
    found = sorted(Path("model_repository/e").glob("*/settings.json"), key=lambda path: int(path.parent.name))
    said: dict[str, Any] = json.loads(found[-1].read_bytes())
    return said


def test_only_a_new_prefix_of_passages_needs_a_new_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entered(tmp_path / "own", monkeypatch)
    assert run(["index"]) == 0
    assert run(["build"]) == 0
    assert "prefixes" not in settings()
    edited("tritonrepo.yaml", "source: ./w", 'source: ./w, prefixes: {query: "a "}')
    assert run(["build"]) == 0
    assert settings()["prefixes"] == {"query": "a ", "passage": ""}
    edited("tritonrepo.yaml", '"a "}', '"a ", passage: "b "}')
    assert run(["build"]) == 2
    assert "was built with another embedder" in capsys.readouterr().err
    assert run(["index"]) == 0
    assert run(["build"]) == 0
    assert settings()["prefixes"] == {"query": "a ", "passage": "b "}


def test_a_directory_with_prompts_is_built_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(tmp_path / "own", monkeypatch)
    shutil.copy(PROMPTED / PROMPTS, "w")
    edited("tritonrepo.yaml", "source: ./w", 'source: ./w, prefixes: {passage: "b "}')
    assert run(["index"]) == 0
    assert run(["build"]) == 0
    assert settings()["prefixes"] == {"query": "search_query: ", "passage": "b "}
