"""The examples of the stack file in its reference: each is loaded, in its place, and what is cheap is built."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, is_dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

from scripts import reference
from tests.documents import PAGES, blocks
from tests.graphs import Value, add_graph, node, onnx_file
from tests.tabled import tabled
from tests.test_own_models import DOUBLE
from tests.test_own_stacks import weights
from tritonrepo import spec
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span
from tritonrepo.indexing import files
from tritonrepo.indexing.documents import DocumentFile
from tritonrepo.parts import PARTS
from tritonrepo.spec import declare
from tritonrepo.spec.nodes import parse
from tritonrepo.spec.schema import example, schema
from tritonrepo.spec.stack import Stack

SEARCH = (
    "embedder: {role: embedder, source: ./w}, "
    "retriever: {role: retriever, index: ./i, documents: ./d, embed_with: embedder}"
)
GENERATOR = "generator: {role: generator, source: hf://o/m}"
ANSWERS = "role: generator, engine: openai, source: hf://o/m"
THERE = "url: http://l/v1, model: m"
ALL = "chain: [embedder, retriever, generator]"
FIND = "ensembles: {search: {chain: [embedder, retriever]}}"
CASE = "{model: search, inputs: {}, expect: {ids: {KEY: @}}}"
HOMES = {
    "Stack": ("@", ("name: s", f"models: {{{SEARCH}}}")),
    "Target": ("{name: s, models: {m: {backend: python}}, target: @}", ()),
    "Embedder": ("{name: s, models: {m: @}}", ("role: embedder", "source: ./w")),
    "Batching": ("{name: s, models: {m: {role: embedder, source: ./w, batching: @}}}", ()),
    "Prefixes": ("{name: s, models: {m: {role: embedder, source: ./w, prefixes: @}}}", ()),
    "Instances": ("{name: s, models: {m: {role: embedder, source: ./w, instances: @}}}", ()),
    "Retriever": (
        "{name: s, models: {embedder: {role: embedder, source: ./w}, m: @}}",
        ("role: retriever", "index: ./i", "documents: ./d", "embed_with: embedder"),
    ),
    "Reranker": ("{name: s, models: {m: @}}", ("role: reranker", "source: ./k")),
    "Chunks": (
        (
            "{name: s, models: {embedder: {role: embedder, source: ./w}, m: {role: retriever, index: ./i, "
            "documents: ./d, embed_with: embedder, chunks: @}}}"
        ),
        (),
    ),
    "Generator": ("{name: s, models: {m: @}}", ("role: generator", "source: hf://o/m")),
    "Endpoint": (f"{{name: s, models: {{m: {{{ANSWERS}, endpoint: @}}}}}}", ("url: http://l/v1", "model: m")),
    "Variable": (f"{{name: s, models: {{m: {{{ANSWERS}, endpoint: {{{THERE}, api_key: @}}}}}}}}", ()),
    "Timeouts": (f"{{name: s, models: {{m: {{{ANSWERS}, endpoint: {{{THERE}, timeouts: @}}}}}}}}", ()),
    "Mounted": ("{name: s, models: {m: {role: generator, source: ./m, weights: @}}}", ()),
    "Adapter": ("{name: s, models: {m: {role: generator, source: hf://o/m, lora: {a: @}}}}", ("path: /a",)),
    "Model": ("{name: s, models: {m: @}}", ("role: model",)),
    "Ensemble": (
        f"{{name: s, models: {{{SEARCH}, {GENERATOR}}}, ensembles: {{p: @}}}}",
        ("chain: [embedder, retriever]",),
    ),
    "Step": (
        f"{{name: s, models: {{{SEARCH}}}, ensembles: {{p: {{steps: [@]}}}}}}",
        ("model: embedder", "inputs: {text: q}", "outputs: {embedding: v}"),
    ),
    "Prompt": (f"{{name: s, models: {{{SEARCH}, {GENERATOR}}}, ensembles: {{p: {{{ALL}, prompt: @}}}}}}", ()),
    "Smoke": (
        f"{{name: s, models: {{{SEARCH}}}, {FIND}, smoke: [@]}}",
        ("model: search", "inputs: {}", "expect: {ids: {not_empty: true}}"),
    ),
    "Expectation": (
        f"{{name: s, models: {{{SEARCH}}}, {FIND}, smoke: [{{model: search, inputs: {{}}, expect: {{ids: @}}}}]}}",
        (),
    ),
    **{
        name: (
            f"{{name: s, models: {{{SEARCH}}}, {FIND}, smoke: [{CASE.replace('KEY', key)}]}}",
            needed,
        )
        for name, key, needed in (
            ("Count", "count", ("values: 1",)),
            ("Cosine", "cosine", ("vector: [1]",)),
            ("Finish", "finishes", ("responses: 1",)),
        )
    },
}
"""Record → a stack with @ in its place, and the keys that it needs besides the one that is tried."""

INSTEAD = {("Ensemble", "steps"): "chain", ("Cosine", "rows"): "vector"}
NEEDS = {("Expectation", "within"): "close: 1", ("Ensemble", "prompt"): ALL, ("Stack", "smoke"): FIND}
NEEDS |= {("Generator", "endpoint"): "engine: openai"}
NEEDS |= {("Ensemble", "outputs"): ALL, ("Ensemble", "form"): ALL}
VALIDATOR = jsonschema.Draft7Validator(schema(PARTS))
OFFERED = json.dumps(schema(PARTS))
KEYS = {
    f"{cls.__name__}.{f.name}": (cls, f) for cls in dict.fromkeys(reference.records(PARTS)) for f in declare.keys(cls)
}
BASE = f"{{name: base, models: {{{SEARCH}}}}}".encode()


def opened(name: str, _: Span) -> tuple[str, bytes]:
    return name, BASE


def stack_with(record: str, name: str, value: str) -> str:
    """Return a stack in which a key of this record has this value."""
    home, needed = HOMES[record]
    more = [each for each in [NEEDS.get((record, name), "")] if each]
    replaced = {name, INSTEAD.get((record, name), ""), *(each.partition(":")[0] for each in more)}
    kept = [each for each in needed if each.partition(":")[0] not in replaced]
    return home.replace("@", f"{{{', '.join([*kept, *more, f'{name}: {value}'])}}}")


def found(value: object, cls: type) -> Iterator[Any]:
    """Yield the records of this class within a value."""
    if isinstance(value, cls):
        yield value
    if is_dataclass(value) and not isinstance(value, type):
        for f in declare.keys(value):
            yield from found(getattr(value, f.name), cls)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    for each in inner:
        yield from found(each, cls)


def chosen(cls: type, name: str) -> bool:
    """Return whether a key has only one value, so that no example differs from its default."""
    return (cls.__name__, name) in {("Generator", "engine"), ("Model", "role")}


@tabled(("cls", "f"), KEYS.values(), ids=KEYS)
def test_the_example_of_a_key_is_a_value_of_it_in_a_stack_that_can_be_loaded(cls: type, f: Any) -> None:  # noqa: ANN401
    text = stack_with(cls.__name__, f.name, f.metadata["example"])
    read = spec.read([("a.yaml", text.encode())], {}, PARTS, opened)
    values = [getattr(record, f.name) for record in found(read, cls) if f.name in record.places]
    if f.name == "extends":
        assert read.name == "s"
        return
    assert values
    default = f.default_factory() if f.default_factory is not MISSING else f.default
    assert chosen(cls, f.name) or values[-1] != default, "the example is the default"


@tabled(("cls", "f"), KEYS.values(), ids=KEYS)
def test_an_editor_accepts_the_example_of_a_key_and_offers_it(cls: type, f: Any) -> None:  # noqa: ANN401
    assert VALIDATOR.is_valid(yaml.safe_load(stack_with(cls.__name__, f.name, f.metadata["example"])))
    assert f'"examples": {json.dumps([example(f)])}' in OFFERED


BLOCKS = [block.text for block in blocks("stack.md") if block.language == "yaml"]
VARIABLES = {"GPUS": "4"}


def loaded(count: int) -> Stack:
    """Return the stack of the first blocks of the page, merged in their order, as the page says."""
    texts = [re.sub("^extends: .*\n", "", text, flags=re.MULTILINE) for text in BLOCKS[:count]]
    return spec.read([(f"{n}.yaml", text.encode()) for n, text in enumerate(texts)], VARIABLES, PARTS)


@tabled("count", range(1, len(BLOCKS) + 1))
def test_each_block_of_the_page_adds_to_those_before_it(count: int) -> None:
    assert loaded(count).name == ("handbook-dev" if "STAGE" in "".join(BLOCKS[:count]) else "handbook")


def test_the_blocks_of_the_page_say_together_what_they_say_alone() -> None:
    whole = loaded(len(BLOCKS))
    assert whole.target.gpus == 4
    assert whole.target.gpu_memory is None
    embedder: Any = whole.models["embedder"]
    assert embedder.instances.gpus == (0, 1)
    assert whole.ensembles["rag"].chain == ("embedder", "retriever", "reranker", "generator")


def test_a_block_that_extends_a_file_is_merged_over_it_alike() -> None:
    (place,) = (number for number, text in enumerate(BLOCKS) if "extends:" in text)

    def earlier(name: str, _: Span) -> tuple[str, bytes]:
        number = place - 1 if name == "base.yaml" else int(name)
        above = f'extends: "{number - 1}"\n' if number else ""
        return name, f"{above}{BLOCKS[number]}".encode()

    assert spec.read([("a.yaml", BLOCKS[place].encode())], VARIABLES, PARTS, earlier) == loaded(place + 1)


@pytest.fixture
def own(inside: Path) -> Path:
    """The files that the page's own examples name, in the current directory."""
    weights(inside / "minilm")
    (inside / "docs").mkdir()
    (inside / "docs" / "a.jsonl").write_text('{"id": "x", "text": "a b"}\n{"id": "y", "text": "c"}\n', "utf-8")
    for name in ("scorer-1", "scorer-2"):
        add_graph(inside / f"{name}.onnx")
    given, scores = Value("embedding", "FLOAT", ["batch", 16]), Value("scores", "FLOAT", ["batch", 3])
    means = {"means": np.ones((16, 3), np.float32)}
    classifier = node("MatMul", ["embedding", "means"], ["scores"])
    onnx_file(inside / "triage.onnx", [given], [scores], classifier, means)
    (inside / "topic.py").write_text(DOUBLE, "utf-8")
    (inside / "topics.txt").write_text("a b c", "utf-8")
    return inside


def written(*texts: str) -> list[str]:
    """Write these stack files, and return the options that name them."""
    names = []
    for number, text in enumerate(texts):
        Path(f"{number}.yaml").write_text(text, "utf-8")
        names += ["-f", f"{number}.yaml"]
    return names


def test_the_minimal_file_is_indexed_and_built_to_four_models(own: Path) -> None:
    files = written(BLOCKS[0])
    assert run(["index", *files]) == 0
    assert run(["build", *files]) == 0
    made = {path.parent.name for path in (own / "model_repository").glob("*/config.pbtxt")}
    assert made == {"embedder", "embedder_model", "retriever", "search"}


@pytest.mark.usefixtures("own")
def test_own_models_versions_configs_and_pipelines_of_the_page_are_built() -> None:
    wanted = ("name: handbook\n", "triage.onnx", "versions:", "response_cache", "top_k: 8", "route:")
    texts = [text for text in BLOCKS if any(word in text for word in wanted)]
    assert len(texts) == len(wanted)
    files = written(*texts)
    assert run(["index", *files]) == 0
    assert run(["build", *files]) == 0
    top = Path("model_repository")
    assert (top / "topic" / "topics.txt").read_text("utf-8") == "a b c"
    assert sorted(path.parent.name for path in top.glob("scorer/*/model.onnx")) == ["1", "2"]
    assert "specific { versions: [ 1, 2 ] }" in (top / "scorer" / "config.pbtxt").read_text("utf-8")
    assert "response_cache { enable: true }" in (top / "embedder" / "config.pbtxt").read_text("utf-8")
    assert "intra_op_thread_count" in (top / "embedder_model" / "config.pbtxt").read_text("utf-8")
    assert "dynamic_batching" not in (top / "retriever" / "config.pbtxt").read_text("utf-8")
    assert 'output { name: "topic" data_type: TYPE_STRING' in (top / "classify" / "config.pbtxt").read_text("utf-8")
    assert 'output { name: "scores" data_type: TYPE_FP32 dims: [ 3 ] }' in (top / "route" / "config.pbtxt").read_text()


def test_the_line_of_the_page_is_a_document(tmp_path: Path) -> None:
    (line,) = (block.text for block in blocks("chunking.md") if block.language == "text")
    path = tmp_path / "a.jsonl"
    path.write_text(line, "utf-8")
    assert [each.id for each in files.read([DocumentFile(path, "a.jsonl")]).all] == ["reset-password"]


@pytest.mark.usefixtures("own")
def test_a_file_of_this_machine_can_change_and_a_change_of_config_alone_keeps_the_number() -> None:
    text = "name: s\nmodels:\n  topic: {backend: python, source: ./topic.py, config: {max_batch_size: 4}}\n"
    options = ["-f", "s.yaml"]

    def number() -> str:
        (found,) = Path("model_repository/topic").glob("[0-9]*")
        return found.name

    Path("s.yaml").write_text(text, "utf-8")
    assert (run(["build", *options]), number()) == (0, "1")
    Path("s.yaml").write_text(text.replace("size: 4", "size: 8"), "utf-8")
    assert (run(["build", *options]), number()) == (0, "1")
    Path("topic.py").write_text(f"{DOUBLE}# changed\n", "utf-8")
    assert run(["build", *options, "--locked"]) == 2
    assert (run(["build", *options]), number()) == (0, "2")


def test_the_keys_of_a_stack_are_all_in_the_reference() -> None:
    page = PAGES["stack.md"].read_text("utf-8")
    assert [name for name, (_, f) in KEYS.items() if f"| `{f.name}` |" not in page] == []
    assert parse(BLOCKS[0].encode(), "a.yaml").keys.keys() == {"name", "models", "ensembles"}
