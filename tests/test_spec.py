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


BAD = {
    "empty": ("", "a.yaml: fatal: the stack file is empty"),
    "only a comment": ("# nothing\n", "a.yaml: fatal: the stack file is empty"),
    "a list": ("- a\n", "a.yaml:1:1: fatal: the stack file must be a mapping of keys to values"),
    "a tab": ("name: s\nmodels:\n\te: {}\n", "a.yaml:3:1: fatal: YAML cannot be indented with a tab"),
    "an open quote": ('name: "s\n', "a.yaml:2:1: fatal: the file is not valid YAML: while scanning a quoted scalar"),
    "a key twice": ("name: s\nname: t\n", 'a.yaml:2:1: fatal: key "name" is set twice'),
    "a key that is a list": ("? [a]\n: b\n", "a.yaml:1:3: fatal: a key must be a plain name, not a list or a mapping"),
    "a tag": (changed("name: s", "name: !!python/object:os.system s"), "a.yaml:1:7: fatal: the tag"),
    "not UTF-8": (b"name: s\nx: \xff\n", "a.yaml:2: fatal: the stack file is not valid UTF-8 at byte 11"),
    "a NUL": (b"name: s\0", "a.yaml:1:8: fatal: the text contains U+0000, which YAML does not allow"),
    "an alias bomb": (
        "a: &a [x]\n"
        + "".join(
            f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
        ),
        "the file expands to more than 50,000 values",
    ),
    "an alias in itself": ("a: &a\n  b: *a\n", "the file is nested deeper than 60 levels"),
    "nested brackets without end": ("a: " + "[" * 20_000, "a.yaml"),
    "too large": (b"x" * (1 << 24), "a.yaml: fatal: the stack file has 16,777,216 bytes"),
    "a key misspelt": (changed("source: ./weights", "sourec: ./weights"), 'unknown key "sourec"'),
    "the right key is offered": (changed("source: ./weights", "sourec: ./weights"), 'Did you mean "source"?'),
    "a key missing": (changed("    source: ./weights\n", ""), 'a.yaml:5:5: fatal: required key "source" is missing'),
    "no role": (changed("role: embedder", "pooling: mean"), 'a.yaml:5:5: fatal: required key "role" is missing'),
    "an unknown role": (changed("role: embedder", "role: embeder"), 'a.yaml:5:11: fatal: unknown role "embeder"'),
    "a role not yet there": (changed("role: embedder", "role: reranker"), 'the role "reranker" is not supported yet'),
    "a key not yet there": (GOOD + "warmup: []\n", 'a.yaml:12:1: fatal: key "warmup" is not supported here yet'),
    "an engine not yet there": (
        changed("role: generator,", "role: generator, engine: openai,"),
        'the engine "openai" is not supported yet',
    ),
    "a form not yet there": (
        changed("chain: [e, r, g]", "chain: [e, r, g], form: bls"),
        'the form "bls" is not supported yet',
    ),
    "a number that is none": (
        changed("gpus: 0", "gpus: two"),
        'a.yaml:2:47: fatal: "gpus" must be an integer, not "two"',
    ),
    "a number too small": (changed("gpus: 0", "gpus: -1"), '"gpus" must be at least 0, not -1'),
    "a time without unit": (changed("1.5ms", "15"), '"max_queue_delay" must be a time such as 2ms, not "15"'),
    "a list that is none": (changed("images: [py3]", "images: py3"), '"images" must be a list'),
    "a mapping that is none": (
        changed("target: {release: 24.10, images: [py3], gpus: 0}", "target: 24.10"),
        '"target" must be a mapping of keys to values',
    ),
    "a source of no form": (changed("./weights", "package:x"), '"package:x" is not a source'),
    "a source not yet there": (changed("./weights", "gs://b/k"), "sources that begin with gs:// are not supported yet"),
    "a URL without a digest": (
        changed("./weights", "https://h/m"),
        'a.yaml:6:13: fatal: "https://h/m" must end in #sha256= and the SHA-256 of the file',
    ),
    "an unknown release": (changed("24.10", "24.1"), 'a.yaml:2:19: fatal: unknown Triton release "24.1"'),
    "an unknown image": (changed("[py3]", "[py4]"), 'Triton 24.10 has no image "py4"'),
    "a name with a slash": (changed("  r: {", "  r/1: {"), '"r/1" cannot be the name of a model'),
    "names that collide": (
        changed("  r: {", "  e_model: {"),
        '"e_model" needs the name "e_model", which "e" already uses',
    ),
    "an embedder that is none": (changed("embed_with: e", "embed_with: g"), '"g" is not an embedder of this stack'),
    "a chain of strangers": (
        changed("[e, r, g]", "[e, r, h]"),
        '"p" chains "h", which is not a model or pipeline of this stack',
    ),
    "a chain of itself": (changed("[e, r, g]", "[e, r, p]"), 'the chain of "p" leads back to "p"'),
    "chains of each other": (changed("[e, r, g]", "[q]") + "  q: {chain: [p]}\n", 'the chain of "p" leads back to "p"'),
    "a chain of a pipeline too many": (
        GOOD + "  q: {chain: [p, e]}\n",
        'the chain of "q" cannot be joined: embedder → retriever → generator → ',
    ),
    "a generator in a pipeline of a pipeline": (
        GOOD + "  q: {chain: [p]}\n",
        'generator "g" is already used in ensemble "p"',
    ),
    "a chain in disorder": (changed("[e, r, g]", "[r, e]"), 'the chain of "p" cannot be joined: retriever → embedder'),
    "an answer without generator": (
        changed("[e, r, g]", "[e, r], outputs: [answer]"),
        'ensemble "p" lists the output "answer" but has no generator',
    ),
    "a generator in two pipelines": (
        GOOD + "  q: {chain: [e, r, g]}\n",
        'generator "g" is already used in ensemble "p"',
    ),
    "a path in a model for a server": (
        changed("hf://o/m@abc", "hf://o/m@abc/x"),
        'the server loads a whole model, but the source of generator "g" is a path in one',
    ),
    "a stand-in from the hub": (
        changed("./m.gguf", "hf://o/m@abc"),
        'the local file of generator "g" must be one GGUF file, but hf://o/m@abc is a model',
    ),
    "a generator from disk": (
        changed("hf://o/m@abc", "./m"),
        'the server cannot load ./m, the source of generator "g", by itself',
    ),
    "model among the args": (changed("dtype: auto", "model: x"), 'args cannot set "model", which comes from "source"'),
    "a variable that is not set": (
        changed("./weights", "${W}"),
        "a.yaml:6:13: fatal: the environment variable W is not set",
    ),
    "a variable with its reason": (changed("./weights", "${W:?the weights}"), "W is not set: the weights"),
    "no model": ("name: s\nmodels: {}\n", 'a.yaml:2:9: fatal: "models" is empty'),
    "no name": (changed("name: s", 'name: ""'), 'a.yaml:1:7: fatal: "name" is empty'),
    "no image": (changed("images: [py3]", "images: []"), 'a.yaml:2:34: fatal: "images" is empty'),
    "a model in the record's place": (changed("  r: {", "  tritonrepo.json: {"), "cannot be the name of a model"),
    "a name that no directory can have": (changed("  r: {", f"  {'r' * 256}: {{"), "has 256 characters"),
    "a name too long with its ending": (changed("  e:\n", f"  {'e' * 250}:\n"), "has 256 characters"),
    "names that differ in case": (
        changed("  r: {", "  E_Model: {"),
        'Some file systems treat "E_Model" and "e_model" as the same name.',
    ),
    "half a character": (changed("name: s", 'name: "\\ud800"'), "a.yaml:1:7: fatal: the text contains U+D800"),
    "a NUL in a path": (changed("./weights", '"a\\0b"'), "a.yaml:6:13: fatal: the text contains U+0000"),
    "a NUL in a key": (changed("  r: {", '  "r\\0": {'), "the text contains U+0000"),
    "a number without end": (changed("gpus: 0", f"gpus: {'9' * 5000}"), "has 5000 digits"),
    "a number that JSON has not": (changed("dtype: auto", "x: 1e999"), '"1e999" is larger than any number'),
    "a time without end": (changed("1.5ms", f"{'9' * 400}s"), '"max_queue_delay" is too large: "999'),
    "an index over another": (
        GOOD.replace("  r: {", "  r2: {role: retriever, documents: ./b, index: ././i, embed_with: e}\n  r: {", 1),
        '"r" and "r2" use the same directory for different indexes',
    ),
    "a prompt without generator": (
        changed("[e, r, g]", "[e, r], prompt: {max_context_tokens: 90}"),
        'ensemble "p" has a prompt but no generator',
    ),
    "a window that is text": (
        changed("max_model_len: 512", 'max_model_len: "512"'),
        "max_model_len must be an integer of at least 1, not '512'",
    ),
    "a window of nothing": (
        changed("max_model_len: 512", "max_model_len: 0"),
        "max_model_len must be an integer of at least 1, not 0",
    ),
    "an answer of nothing": (
        changed("role: generator,", "role: generator, sampling: {max_tokens: 0},"),
        "max_tokens must be an integer of at least 1, not 0",
    ),
    "a sampling parameter misspelt": (
        changed("role: generator,", "role: generator, sampling: {temperatur: 0},"),
        'Did you mean "temperature"?',
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_wrong_stack_is_told_with_its_place(text: str | bytes, message: str) -> None:
    assert message in said(text)


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


@pytest.mark.parametrize(("text", "value"), KEPT.items(), ids=KEPT)
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


@pytest.mark.parametrize(("text", "value"), PLAIN.items(), ids=PLAIN)
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


@pytest.mark.parametrize(("text", "variables", "value"), VARIABLES.values(), ids=VARIABLES)
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


@pytest.mark.parametrize(("text", "source"), SOURCES.values(), ids=SOURCES)
def test_sources(text: str, source: object) -> None:
    assert parse_source(text) == source


def test_the_schema_is_current() -> None:
    committed = Path(__file__).parent.parent / "schemas" / "stack.schema.json"
    assert json.loads(committed.read_text("utf-8")) == schema(PARTS)


def test_the_schema_takes_what_the_loader_takes() -> None:
    for text in (GOOD, (EXAMPLE / "tritonrepo.yaml").read_text("utf-8")):
        jsonschema.validate(yaml.safe_load(text), schema(PARTS))


REFUSED = [
    "a key misspelt",
    "no role",
    "an unknown role",
    "a list that is none",
    "a number that is none",
    "a number too small",
]


@pytest.mark.parametrize("case", REFUSED)
def test_the_schema_refuses_what_the_loader_refuses(case: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(str(BAD[case][0])), schema(PARTS))
