"""The generated steps on the real server, over a graph that fails where it is told to; and what Triton gives them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from tritonclient.utils import InferenceServerException

from tests.counts import counts, executions
from tests.processes import killed
from tritonrepo.parts import prompting
from tritonrepo.server.launch import Launch
from tritonrepo.server.process import Server, start
from tritonrepo.server.runtime import find

STUB = Path(__file__).parent / "stub" / "triton_python_backend_utils.py"
OURS = {"Config", "MaybeNone", "MemoryType", "models", "model_dir", "lines", "sent", "sender", "cancelled", "ended"}
OURS |= {"model_name", "model_version"}
"""What a test reads from the stub; nothing in the real module."""

VOCABULARY = {"[PAD]": 0, "east": 1, "north": 2, "?": 3, "bad": 9}
TABLE = np.array([[0, 0], [1, 0], [0, 1], [0.5, 0.5]], np.float32)
GRAPH = """
<ir_version: 9, opset_import: ["" : 17]>
summed (int64[batch, tokens] input_ids, int64[batch, tokens] attention_mask) => (float[batch, 2] embedding)
<float[4, 2] table = {0, 0, 1, 0, 0, 1, 0.5, 0.5}, int64[1] one = {1}, int64[1] two = {2}>
{
    rows = Gather(table, input_ids)
    mask = Cast<to = 1>(attention_mask)
    column = Unsqueeze(mask, two)
    kept = Mul(rows, column)
    embedding = ReduceSum<keepdims = 0>(kept, one)
}
"""
INDEX = np.random.default_rng(7).integers(-9, 9, (500, 2)).astype(np.float32)
TOP_K = 5


def tensor(name: str, kind: str, dims: int) -> str:
    return f'{{ name: "{name}" data_type: TYPE_{kind} dims: [ {dims} ] }}'


VECTOR = tensor("embedding", "FP32", 2)
TEXT = '{ name: "query" data_type: TYPE_STRING dims: [ 1 ] optional: true }'
FOUND = ", ".join(
    [*(tensor(name, "STRING", TOP_K) for name in ("passages", "ids", "metadata")), tensor("scores", "FP32", TOP_K)]
)
TOKENS = f"{tensor('input_ids', 'INT64', -1)}, {tensor('attention_mask', 'INT64', -1)}"
ON_CPU = "instance_group [ { kind: KIND_CPU count: 1 } ]"
JOINED = f"dynamic_batching {{ max_queue_delay_microseconds: 200000 }} max_batch_size: 64 {ON_CPU}"
SEARCH = """
platform: "ensemble" max_batch_size: 64
input [ { name: "query" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "ids" data_type: TYPE_STRING dims: [ 5 ] } ]
ensemble_scheduling { step [
    { model_name: "embedder" model_version: 1
      input_map { key: "text" value: "query" } output_map { key: "embedding" value: "vector" } },
    { model_name: "retriever" model_version: 1
      input_map { key: "embedding" value: "vector" } output_map { key: "ids" value: "ids" } }
] }
"""
CHAT = "{{ bos_token }}{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}"
PROMPT = f"""
backend: "python" {ON_CPU}
input [ {tensor("passages", "STRING", -1)},
  {{ name: "query" data_type: TYPE_STRING dims: [ 1 ] optional: true }},
  {{ name: "metadata" data_type: TYPE_STRING dims: [ -1 ] optional: true }},
  {{ name: "messages" data_type: TYPE_STRING dims: [ 1 ] optional: true }},
  {{ name: "sampling_parameters" data_type: TYPE_STRING dims: [ 1 ] optional: true }} ]
output [ {tensor("prompt", "STRING", 1)}, {tensor("used", "INT32", 1)}, {tensor("sampling_parameters", "STRING", 1)},
  {tensor("stream", "BOOL", 1)}, {tensor("exclude_input_in_output", "BOOL", 1)} ]
"""
PROMPT_SETTINGS = {
    "max_model_len": 30,
    "max_context_tokens": None,
    "system": None,
    "sampling": {"max_tokens": 10},
    "bos_token": "<s>",
    "eos_token": "",
    "adds_bos": True,
    "special_tokens": ["<s>", "<user>"],
}
SHARED = {"packages": "nothing", "tokenizer": "1/tokenizer.json"}
"""The packages are those of this Python."""

NAMES = """
import json
import c_python_backend_utils
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        names = {name: dir(getattr(pb_utils, name)) for name in dir(pb_utils)}
        for name in ("InferenceResponseSender", "ResponseIterator"):
            names[name] = dir(getattr(c_python_backend_utils, name))
        array = np.array([json.dumps(names).encode()], dtype=object)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("names", array)]) for _ in requests]
"""


def step(name: str) -> str:
    return resources.files("tritonrepo.generate").joinpath("steps", f"{name}.py").read_text("utf-8")


def model(repository: Path, name: str, config: str, **files: str) -> Path:
    version = repository / name / "1"
    version.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config, "utf-8")
    for stem, content in files.items():
        (version / stem.replace("__", ".")).write_text(content, "utf-8")
    return version


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import onnx

    place = tmp_path_factory.mktemp("models")
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    kind = '{ name: "input_type" data_type: TYPE_STRING dims: [ 1 ] optional: true }'
    text = f"input [ {tensor('text', 'STRING', 1)}, {kind} ] output [ {VECTOR} ]"
    for name, graph, group, more in (
        ("embedder", "graph", ON_CPU, {}),
        ("embedder_of_two", "two_graphs", ON_CPU.replace("1", "2"), {"kind": "cpu", "call_tokens": 0, "instances": 2}),
    ):
        settings = {"max_tokens": 9, "prefixes": {"query": "", "passage": "north "}} | more | SHARED
        model(
            place,
            name,
            f'backend: "python" {JOINED} {text}',
            model__py=step("embedder"),
            grouping__py=step("grouping"),
            calls__json=json.dumps({graph: 1}),
            settings__json=json.dumps(settings),
            tokenizer__json=tokenizer.to_str(),
        )
        config = f'backend: "onnxruntime" max_batch_size: 64 input [ {TOKENS} ] output [ {VECTOR} ] {group}'
        onnx.save(onnx.parser.parse_model(GRAPH), model(place, graph, config) / "model.onnx")
    index = model(
        place,
        "retriever",
        f'backend: "python" {JOINED} input [ {VECTOR}, {TEXT} ] output [ {FOUND} ]',
        model__py=step("retriever"),
        settings__json=json.dumps({"top_k": TOP_K}),
        passages__jsonl="\n".join(map(passage, range(len(INDEX)))),
    )
    np.save(index / "embeddings.npy", INDEX)
    model(place, "search", SEARCH)
    model(
        place,
        "prompt",
        PROMPT,
        model__py=step("prompt"),
        settings__json=json.dumps(PROMPT_SETTINGS | {"chat_template": CHAT} | SHARED),
        tokenizer__json=tokenizer.to_str(),
        prompt__j2="{% for s in sources %}{{ s.title }}{{ s.text }} {% endfor %}? {{ query }}",
        **{f"{name}__py": step(name) for name in prompting.STEPS[1:]},
    )
    asked, said = tensor("any", "STRING", 1), tensor("names", "STRING", 1)
    model(place, "names", f'backend: "python" {ON_CPU} input [ {asked} ] output [ {said} ]', model__py=NAMES)
    backends = {"onnxruntime": Path(str(resources.files("tritonrepo"))) / "server" / "backends" / "onnxruntime"}
    with killed(start(Launch(place, find(), backends=backends))) as running:
        yield running


def passage(row: int) -> str:
    """Return a line of an index; every other passage has metadata."""
    known = {"metadata": {"title": f"Nº {row}"}} if row % 2 else {}
    return json.dumps({"id": str(row), "text": f"passage {row}", **known})


def infer(
    server: Server, model: str, name: str, array: NDArray[Any], **more: NDArray[Any] | None
) -> triton.InferResult:
    inputs = []
    for each, values in {name: array, **more}.items():
        if values is not None:
            inputs.append(triton.InferInput(each, values.shape, "FP32" if values.dtype == np.float32 else "BYTES"))
            inputs[-1].set_data_from_numpy(values)
    with triton.InferenceServerClient(server.grpc) as client:
        return client.infer(model, inputs)


def text(value: str) -> NDArray[Any]:
    return np.array([[value.encode()]], dtype=np.object_)


def searched(server: Server, query: NDArray[np.float32], row: int) -> triton.InferResult:
    """Return what is found for a vector; every third request also has the text of the query."""
    more = {} if row % 3 else {"query": text("anything")}
    return infer(server, "retriever", "embedding", query[None], **more)


def test_concurrent_searches_find_what_a_plain_sort_finds_equal_scores_in_the_indexs_order(server: Server) -> None:
    queries = np.random.default_rng(1).integers(-9, 9, (48, 2)).astype(np.float32)
    before = counts(server.grpc, "retriever")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda row: searched(server, queries[row], row), range(len(queries))))
    for query, result in zip(queries, found, strict=True):
        scores = (query @ INDEX.T).tolist()
        rows = sorted(range(len(INDEX)), key=lambda row, scores=scores: (-scores[row], row))[:TOP_K]  # type: ignore[misc]
        assert result.as_numpy("ids").tolist() == [[str(row).encode() for row in rows]]
        assert result.as_numpy("passages").tolist() == [[f"passage {row}".encode() for row in rows]]
        assert result.as_numpy("scores").tolist() == [[scores[row] for row in rows]]
        known = [f'{{"title": "Nº {row}"}}' if row % 2 else "{}" for row in rows]
        assert result.as_numpy("metadata").tolist() == [[each.encode() for each in known]]
    assert executions(server.grpc, "retriever", before, len(queries)) < len(queries)


def told(server: Server, model: str, name: str, value: str) -> str:
    """Return the error of a request, nothing where it was answered."""
    try:
        infer(server, model, name, text(value))
    except InferenceServerException as error:
        return str(error)
    return ""


ASKED = {"embedder": "text", "embedder_of_two": "text", "search": "query"}


@pytest.mark.parametrize(("model", "name"), ASKED.items(), ids=ASKED)
def test_a_text_that_cannot_be_embedded_fails_alone_in_its_batch(server: Server, model: str, name: str) -> None:
    embedder = "embedder" if model == "search" else model
    before = counts(server.grpc, embedder)
    texts = ["bad" if number == 5 else "east north " * number for number in range(1, 17)]
    with ThreadPoolExecutor(16) as pool:
        errors = list(pool.map(lambda value: told(server, model, name, value), texts))
    assert [bool(error) for error in errors] == [value == "bad" for value in texts]
    assert "out of data bounds" in errors[4]
    assert executions(server.grpc, embedder, before, len(texts)) < len(texts)


@pytest.mark.parametrize("model", ["embedder", "embedder_of_two"])
def test_vectors_are_those_of_each_text_whatever_shares_its_batch(server: Server, model: str) -> None:
    texts = ["east", "north north east", "?", "east " * 20]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda value: infer(server, model, "text", text(value)), texts))
    assert [result.as_numpy("embedding").tolist() for result in found] == [[[1, 0]], [[1, 2]], [[0.5, 0.5]], [[9, 0]]]


def test_requests_with_and_without_a_kind_of_text_share_a_batch_and_a_wrong_kind_fails_alone(server: Server) -> None:
    def embedded(number: int) -> list[list[float]] | str:
        kind = (None, "query", "passage", "document")[number % 4]
        sent = None if kind is None else text(kind)
        try:
            rows = infer(server, "embedder", "text", text("east " * number), input_type=sent).as_numpy("embedding")
        except InferenceServerException as error:
            return str(error)
        found: list[list[float]] = rows.tolist()
        return found

    before = counts(server.grpc, "embedder")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(embedded, range(16)))
    assert executions(server.grpc, "embedder", before, 16) < 16
    for number, rows in enumerate(found):
        if number % 4 == 3:
            assert 'input_type must be "query" or "passage", not "document"' in rows
        else:
            assert rows == [[min(number, 8), 1] if number % 4 == 2 else [min(number, 9), 0]]


def test_all_of_the_stub_is_there_on_the_server(server: Server) -> None:
    there = json.loads(infer(server, "names", "any", text("")[0]).as_numpy("names")[0])
    for node in ast.parse(STUB.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name not in OURS:
            assert node.name in there
            assert {name for item in node.body for name in names(item)} - OURS <= set(there[node.name])
        else:
            assert set(names(node)) - OURS <= set(there)


def names(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (item.id for item in ast.walk(target) if isinstance(item, ast.Name))


def test_concurrent_searches_by_text_each_get_their_own_answer(server: Server) -> None:
    """A text is the sum of its words' vectors: the search of "east east north" is that of (2, 1)."""
    vectors = [(east, north) for east in range(5) for north in range(5) if east + north]
    before = counts(server.grpc, "retriever")
    with ThreadPoolExecutor(24) as pool:
        found = list(
            pool.map(lambda v: infer(server, "search", "query", text("east " * v[0] + "north " * v[1])), vectors)
        )
    for vector, result in zip(vectors, found, strict=True):
        scores = (INDEX @ np.array(vector, np.float32)).tolist()
        rows = sorted(range(len(INDEX)), key=lambda row, scores=scores: (-scores[row], row))[:TOP_K]  # type: ignore[misc]
        assert result.as_numpy("ids").tolist() == [[str(row).encode() for row in rows]]
    assert executions(server.grpc, "retriever", before, len(vectors)) < len(vectors)


def prompted(server: Server, query: str, passages: list[str], sampling: str = "") -> str:
    """Return the prompt; where it is refused, the error."""
    given = {"sampling_parameters": [sampling]} if sampling else {}
    return prompted_with(server, {"query": [query], "passages": passages} | given)


def prompted_with(server: Server, values: Mapping[str, list[str]]) -> str:
    inputs = []
    for name, texts in values.items():
        inputs.append(triton.InferInput(name, [len(texts)], "BYTES"))
        inputs[-1].set_data_from_numpy(np.array([each.encode() for each in texts], dtype=np.object_))
    try:
        with triton.InferenceServerClient(server.grpc) as client:
            return str(client.infer("prompt", inputs).as_numpy("prompt")[0].decode())
    except InferenceServerException as error:
        return str(error)


def test_concurrent_prompts_are_each_ones_own_without_the_beginning_and_one_fails_alone(server: Server) -> None:
    def asked(number: int) -> str:
        return prompted(server, f"q{number}", ["<s>"] * (number % 3), "{" if number == 7 else "")

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(asked, range(16)))
    assert "sampling_parameters is not valid JSON" in found.pop(7)
    assert found == [f"<user> {'< s> ' * (n % 3)}? q{n} " for n in range(16) if n != 7]


def test_a_conversation_and_metadata_reach_the_prompt_on_the_server(server: Server) -> None:
    said = [("user", "u0"), ("assistant", "a0"), ("user", "u1")]
    messages = json.dumps([{"role": role, "content": text} for role, text in said])
    given = {"passages": ["p0", "p1"], "messages": [messages]}
    prompt = "<user> u0 <assistant> a0 <user> {} ? u1 "
    assert prompted_with(server, given) == prompt.format("p0 p1")
    metadata = ['{"title": "T: "}', "{}"]
    assert prompted_with(server, given | {"metadata": metadata}) == prompt.format("T: p0 p1")
    assert "2 passages cannot have 1 values of metadata" in prompted_with(server, given | {"metadata": metadata[:1]})
    assert "a request needs query or messages" in prompted_with(server, {"passages": ["p"]})


def test_a_prompt_on_the_server_is_cut_to_what_the_window_leaves_after_the_beginning(server: Server) -> None:
    """Of 30 tokens, 10 are for the answer, one for the beginning, and three for "<user>", "?" and the query."""
    for size, kept in ((16, 16), (17, 12), (40, 12)):
        words = [f"w{n}" for n in range(size)]
        assert prompted(server, "q", [" ".join(words)]) == f"<user> {' '.join(words[:kept])} ? q "
