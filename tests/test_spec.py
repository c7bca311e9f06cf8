"""The stack file: what is read, and what is said of a wrong one, with its place."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import EXAMPLE
from tests.tabled import tabled
from tritonrepo import spec
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.parts import PARTS
from tritonrepo.parts.embedder import Embedder
from tritonrepo.parts.generator import Generator
from tritonrepo.parts.retriever import Retriever
from tritonrepo.spec.schema import schema
from tritonrepo.spec.source import Bucket, Hub, Local, Package, Web, parse_source
from tritonrepo.spec.stack import Stack

GOOD = """\
name: s
target: {release: 24.10, images: [py3], gpus: 0}
models:
  e:
    role: embedder
    source: ./weights
    batching: {max_queue_delay: 1.5ms}
  r: {role: retriever, index: ./i, documents: ./d/*.jsonl, embed_with: e}
  g: {role: generator, source: hf://o/m@abc, local: ./m.gguf, args: {max_model_len: 512, dtype: auto}}
ensembles:
  p: {chain: [e, r, g]}
"""


def read(*texts: str, **variables: str) -> Stack:
    return spec.read(
        [(f"{name}.yaml", text.encode()) for name, text in zip("abc", texts, strict=False)], variables, PARTS
    )


def said(*texts: str | bytes, **variables: str) -> str:
    contents = [text if isinstance(text, bytes) else text.encode() for text in texts]
    with pytest.raises(Stop) as stop:
        spec.read([(f"{name}.yaml", content) for name, content in zip("abc", contents, strict=False)], variables, PARTS)
    return str(stop.value)


def test_what_is_wrong_with_a_pipeline_is_told_once_however_many_chain_it() -> None:
    with pytest.raises(Stop) as stop:
        read(changed("[e, r, g]", "[q, g]") + "  q: {chain: [r]}\n  s: {chain: [q]}\n")
    (fault,) = stop.value.diagnostics
    assert fault.message == 'the chain of "q" cannot be joined: retriever'


def test_a_pipeline_in_a_chain_stands_for_its_models() -> None:
    nested = read(
        GOOD.replace("  p: {chain: [e, r, g]}", "  p: {chain: [s, g]}\n  s: {chain: [t]}\n  t: {chain: [e, r]}")
    )
    assert {name: e.chain for name, e in nested.ensembles.items()} == {
        "p": ("e", "r", "g"),
        "s": ("e", "r"),
        "t": ("e", "r"),
    }


def test_a_whole_stack_is_read_with_types_defaults_and_places() -> None:
    stack = read(GOOD)
    embedder, retriever, generator = (stack.models[name] for name in "erg")
    assert isinstance(embedder, Embedder)
    assert isinstance(retriever, Retriever)
    assert isinstance(generator, Generator)
    assert stack.target.release == "24.10"
    assert embedder.source == Local("./weights", "./weights")
    assert embedder.batching.max_queue_delay == 1500
    assert embedder.batching.max_batch_size == 32
    assert generator.source == Hub("hf://o/m@abc", "o/m", "abc")
    assert generator.args == {"max_model_len": 512, "dtype": "auto"}
    assert retriever.places["embed_with"] == Span("a.yaml", 8, 72)


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_ten_mistakes_are_told_in_one_run_in_order_of_place() -> None:
    text = textwrap.dedent("""\
        nmae: s
        target: {relase: x, gpus: -1, images: py3}
        models:
          e: {role: embedder, sourec: x, pooling: max, batching: {max_batch_size: 0}}
          g: {role: generator, source: "ftp://x", weights: disk}
          h: {role: helper}
        """)
    lines = [line for line in said(text).splitlines() if not line.startswith(" ")]
    places = [tuple(map(int, line.split(": ")[0].split(":")[1:])) for line in lines]
    assert len(lines) >= 10
    assert places == sorted(places)


def test_what_newer_engines_may_know_is_let_through() -> None:
    sampling = "sampling: {thinking_token_budget: 9, max_tokens: 100}"
    text = changed("role: generator,", f"role: generator, {sampling},").replace(
        "max_model_len: 512", "max_model_len: -1"
    )
    assert read(text).models.keys() == {"e", "r", "g"}


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_diagnostic(content: bytes) -> None:
    try:
        spec.read([("a.yaml", content)], {}, PARTS)
    except Stop as stop:
        assert stop.diagnostics


KEPT = {"on": "on", "yes": "yes", "no": "no", "24.10": "24.10", "0x1F": "0x1F", "1_000": "1_000", "12:30": "12:30"}


@tabled(("text", "value"), KEPT.items(), ids=KEPT)
def test_plain_text_stays_as_it_was_typed(text: str, value: str) -> None:
    assert read(changed("name: s", f"name: {text}")).name == value


PLAIN = {
    "1": 1,
    "-3": -3,
    "0o17": 15,
    "0x1F": 31,
    "1.5": 1.5,
    "1e3": 1000.0,
    "true": True,
    "~": None,
    "yes": "yes",
    "'1'": "1",
}


@tabled(("text", "value"), PLAIN.items(), ids=PLAIN)
def test_arguments_are_read_as_yaml_1_2(text: str, value: object) -> None:
    generator = read(changed("dtype: auto", f"x: {text}")).models["g"]
    assert isinstance(generator, Generator)
    assert (generator.args["x"], type(generator.args["x"])) == (value, type(value))


def test_a_later_file_wins_and_lists_are_replaced_unless_appended() -> None:
    stack = read(
        GOOD, "target: {gpus: 2}\nensembles: {p: {chain: [e, r]}}", "target: {images: !append [vllm-python-py3]}"
    )
    assert (stack.target.gpus, stack.target.release) == (2, "24.10")
    assert stack.target.images == ("py3", "vllm-python-py3")
    assert stack.ensembles["p"].chain == ("e", "r")


def test_a_mistake_names_the_file_it_stands_in() -> None:
    assert said(GOOD, "target: {gpus: x}").startswith("b.yaml:1:16: fatal:")


VARIABLES = {
    "a variable": ("${N}", {"N": "x"}, "x"),
    "within a text": ("a-${N}-b", {"N": "x"}, "a-x-b"),
    "a default": ("${N:-y}", {}, "y"),
    "a default for an empty one": ("${N:-y}", {"N": ""}, "y"),
    "set and wanted": ("${N:?why}", {"N": "x"}, "x"),
    "a dollar sign": ("a$${N}", {"N": "x"}, "a${N}"),
    "a lone dollar": ("a$b", {}, "a$b"),
}


@tabled(("text", "variables", "value"), VARIABLES.values(), ids=VARIABLES)
def test_variables(text: str, variables: dict[str, str], value: str) -> None:
    assert read(changed("name: s", f"name: {text}"), **variables).name == value


def test_a_variable_that_must_not_be_empty_is_called_empty() -> None:
    with pytest.raises(
        Stop, match=r"a.yaml:1:7: fatal: the environment variable N is empty: the name \[stack-variable"
    ):
        read(changed("name: s", "name: ${N:?the name}"), N="")


def test_a_variable_whose_bytes_no_file_can_be_given_is_told() -> None:
    with pytest.raises(Stop, match=r"the text contains U\+DCFF, which cannot be written to a file"):
        read(changed("name: s", "name: ${V}"), V="a\udcff")


def test_a_variable_can_be_a_number() -> None:
    assert read(changed("gpus: 0", 'gpus: "${G}"'), G="3").target.gpus == 3


SHA = "0a" * 32
SOURCES = {
    "a directory": ("./a b", Local("./a b", "./a b")),
    "a package": ("package:a-b==1.2/c/d", Package("package:a-b==1.2/c/d", "a-b", "1.2", "c/d")),
    "a whole package": ("package:a==1", Package("package:a==1", "a", "1", "")),
    "a hub model": ("hf://o/m", Hub("hf://o/m", "o/m", None)),
    "a hub model at a revision": ("hf://o/m@main", Hub("hf://o/m@main", "o/m", "main")),
    "a hub model at a pull request": ("hf://o/m@refs/pr/1/a", Hub("hf://o/m@refs/pr/1/a", "o/m", "refs/pr/1", "a")),
    "a path in a hub model": ("hf://o/m/a/b.gguf", Hub("hf://o/m/a/b.gguf", "o/m", None, "a/b.gguf")),
    "a path in a revision": ("hf://o/m@v1.0/a/", Hub("hf://o/m@v1.0/a/", "o/m", "v1.0", "a")),
    "a file on the web": (
        f"https://h.x/a/m.gguf#sha256={SHA}",
        Web(f"https://h.x/a/m.gguf#sha256={SHA}", "https://h.x/a/m.gguf", SHA),
    ),
    "a file on this machine's web server": (
        f"http://127.0.0.1:80/m?a=b/c#sha256={SHA.upper()}",
        Web(f"http://127.0.0.1:80/m?a=b/c#sha256={SHA.upper()}", "http://127.0.0.1:80/m?a=b/c", SHA),
    ),
    "a prefix in a bucket": ("s3://http://h:1/b/k", Bucket("s3://http://h:1/b/k")),
}


@tabled(("text", "source"), SOURCES.values(), ids=SOURCES)
def test_sources(text: str, source: object) -> None:
    assert parse_source(text) == source


def test_the_schema_is_current() -> None:
    committed = Path(__file__).parent.parent / "schemas" / "stack.schema.json"
    assert json.loads(committed.read_text("utf-8")) == schema(PARTS)


def test_the_schema_takes_what_the_loader_takes() -> None:
    for text in (GOOD, (EXAMPLE / "tritonrepo.yaml").read_text("utf-8")):
        jsonschema.validate(yaml.safe_load(text), schema(PARTS))
