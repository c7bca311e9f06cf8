"""Values of a stack file: units, bounds, defaults and limits, each on both sides; and where each of them is."""

from __future__ import annotations

import json

import pytest

from tests.tabled import tabled
from tests.test_spec import GOOD, changed, read, said
from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.parts.embedder import Embedder
from tritonrepo.parts.generator import Generator
from tritonrepo.parts.retriever import Retriever
from tritonrepo.releases import newest
from tritonrepo.spec import source
from tritonrepo.spec.expectation import Expectation
from tritonrepo.spec.nodes import Keys, Node, Scalar, parse
from tritonrepo.spec.part import below, origin, wrong
from tritonrepo.spec.source import Package, parse_source
from tritonrepo.spec.stack import Batching, Instances, Prompt, Target


def embedder(keys: str, **variables: str) -> Embedder:
    found = read(changed("source: ./weights", f"source: ./weights\n    {keys}"), **variables).models["e"]
    assert isinstance(found, Embedder)
    return found


def generator(keys: str) -> Generator:
    found = read(changed("role: generator,", f"role: generator, {keys},")).models["g"]
    assert isinstance(found, Generator)
    return found


def faults(text: str, **variables: str) -> list[tuple[str, str]]:
    """Return place and rule of everything that is said."""
    with pytest.raises(Stop) as stop:
        read(text, **variables)
    assert {each.severity for each in stop.value.diagnostics} == {Severity.FATAL}
    return [(str(each.at), each.rule) for each in stop.value.diagnostics]


TIMES = {
    "0s": 0,
    "7us": 7,
    "1ms": 1_000,
    "2.3ms": 2_300,
    "1.1ms": 1_100,
    "1s": 1_000_000,
    "0.25s": 250_000,
    "4 ms": 4_000,
    "0.4us": 0,
    "0.6us": 1,
}


@tabled(("text", "microseconds"), TIMES.items(), ids=TIMES)
def test_a_time_is_a_number_of_microseconds(text: str, microseconds: int) -> None:
    found = read(changed("1.5ms", text)).models["e"]
    assert isinstance(found, Embedder)
    assert found.batching.max_queue_delay == microseconds
    assert type(found.batching.max_queue_delay) is int


SIZES = {
    "512B": 512,
    "1KiB": 1_024,
    "1MiB": 1_048_576,
    "1GiB": 1_073_741_824,
    "1TiB": 1_099_511_627_776,
    "1KB": 1_000,
    "1MB": 1_000_000,
    "1GB": 1_000_000_000,
    "1TB": 1_000_000_000_000,
    "1.5KiB": 1_536,
    "80 GiB": 85_899_345_920,
}


@tabled(("text", "size"), SIZES.items(), ids=SIZES)
def test_a_size_is_a_number_of_bytes(text: str, size: int) -> None:
    assert read(changed("gpus: 0", f"gpus: 0, gpu_memory: {text}")).target.gpu_memory == size


BOUNDS = {
    "GPUs": ("gpus: 0", "gpus: {}", "gpus", 0),
    "a batch": ("max_queue_delay: 1.5ms", "max_batch_size: {}", "max_batch_size", 1),
    "copies": ("source: ./weights", "source: ./weights\n    instances: {{count: {}}}", "count", 1),
    "tokens of a text": ("source: ./weights", "source: ./weights\n    max_tokens: {}", "max_tokens", 2),
    "passages": ("embed_with: e", "embed_with: e, top_k: {}", "top_k", 1),
    "tokens of a prompt": (
        "chain: [e, r, g]",
        "chain: [e, r, g], prompt: {{max_context_tokens: {}}}",
        "max_context_tokens",
        64,
    ),
    "a window": ("max_model_len: 512", "max_model_len: {}", "max_model_len", 1),
    "an answer": ("role: generator,", "role: generator, sampling: {{max_tokens: {}}},", "max_tokens", 1),
}


@tabled(("old", "new", "name", "least"), BOUNDS.values(), ids=BOUNDS)
def test_the_least_number_is_taken_and_the_next_smaller_one_is_not(old: str, new: str, name: str, least: int) -> None:
    read(changed(old, new.format(least)))
    message = said(changed(old, new.format(least - 1)))
    assert name in message
    assert f"at least {least}, not {least - 1}" in message


def test_a_window_of_minus_one_is_the_engines_own_choice_and_minus_two_is_none() -> None:
    read(changed("max_model_len: 512", "max_model_len: -1"))
    assert "must be an integer of at least 1, not -2" in said(changed("max_model_len: 512", "max_model_len: -2"))


INTEGERS = {"3": 3, "+3": 3, "010": 10, "0x1F": 31, "0o17": 15, "9" * 100: int("9" * 100)}


@tabled(("text", "number"), INTEGERS.items(), ids=lambda value: str(value)[:5])
def test_integers_are_those_of_yaml_1_2(text: str, number: int) -> None:
    assert read(changed("gpus: 0", f"gpus: {text}")).target.gpus == number


def test_a_number_has_at_most_a_hundred_digits() -> None:
    found = said(changed("gpus: 0", f"gpus: {'9' * 101}"))
    assert f'"{"9" * 20}…" has 101 digits, but a number can have at most 100' in found


FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@tabled(("text", "flag"), FLAGS.items(), ids=FLAGS)
def test_a_flag_is_true_or_false(text: str, flag: bool) -> None:  # noqa: FBT001
    assert embedder(f"normalize: {text}").normalize is flag


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_a_server_has_one_of_two_architectures(arch: str) -> None:
    assert read(changed("gpus: 0", f"gpus: 0, arch: {arch}")).target.arch == arch
    assert faults(changed("gpus: 0", "gpus: 0, arch: arm64")) == [("a.yaml:2:56", "stack-schema")]


LEAST = """\
name: s
models:
  e: {role: embedder, source: ./w}
  r: {role: retriever, index: ./i, documents: ./d, embed_with: e}
  g: {role: generator, source: hf://o/m, local: ./m}
ensembles:
  p: {chain: [e, r, g]}
smoke:
  - {model: p, inputs: {}, expect: {answer: {close: 1}}}
"""


def test_what_a_stack_leaves_out_has_these_values() -> None:
    stack = read(LEAST)
    found, search, answers = (stack.models[name] for name in "erg")
    assert isinstance(found, Embedder)
    assert isinstance(search, Retriever)
    assert isinstance(answers, Generator)
    assert stack.target == Target(
        release=newest().name, images=("py3", "vllm-python-py3"), arch="x86_64", gpus=1, gpu_memory=None
    )
    assert (found.pooling, found.normalize, found.max_tokens) == (None, None, None)
    assert found.batching == Batching(max_batch_size=32, preferred=(), max_queue_delay=0)  # type: ignore[arg-type]
    assert found.instances == Instances(count=1, kind="auto", gpus=())
    assert search.top_k == 4
    assert (answers.engine, answers.weights, answers.tokenizer) == ("vllm", "hub", None)
    assert (answers.args, answers.sampling) == ({}, {})
    pipeline, case = stack.ensembles["p"], stack.smoke[0]
    assert pipeline.prompt == Prompt(file=None, system=None, max_context_tokens=None)
    assert (pipeline.outputs, pipeline.form) == (None, "auto")
    assert case.expect["answer"] == Expectation(
        not_empty=None, contains=None, first=None, equals=None, close=1, within=0.001
    )
    alone = read("name: s\nmodels:\n  e: {role: embedder, source: ./w}\n")
    assert (alone.ensembles, alone.smoke) == ({}, ())


def test_null_is_as_if_the_key_were_not_there() -> None:
    assert read(changed("gpus: 0", "gpus: null")).target.gpus == 1
    assert embedder("max_tokens: ~\n    pooling:").max_tokens is None
    message = said(changed("source: ./weights", "source: null"))
    assert message.startswith('a.yaml:5:5: fatal: required key "source" is missing')
    assert "Add source (" in message


def test_values_of_a_variable_are_typed_as_if_they_were_written() -> None:
    assert embedder("normalize: ${V}", V="true").normalize is True
    assert embedder("normalize: ${V}", V="false").normalize is False
    assert embedder("max_tokens: ${V}", V="12").max_tokens == 12
    assert embedder("max_tokens: ${V:-7}").max_tokens == 7
    found = read(changed("dtype: auto", "a: '${V}', b: '${V}.5', c: '-${V}', d: 'x${V}', e: '${W}'"), V="3", W="true")
    assert isinstance(found.models["g"], Generator)
    assert found.models["g"].args == {"max_model_len": 512, "a": 3, "b": "3.5", "c": -3, "d": "x3", "e": True}


UNUSUAL = {
    "an empty one": ("a${V}b", {"V": ""}, "ab"),
    "an empty default": ("a${V:-}b", {}, "ab"),
    "a set one with a default": ("${V:-no}", {"V": "yes"}, "yes"),
    "two": ("${V}${W:-w}", {"V": "v"}, "vw"),
    "a dollar before a name": ("$V", {"V": "v"}, "$V"),
    "two dollar signs": ("$$TRITON_MODEL_DIRECTORY/e", {}, "$$TRITON_MODEL_DIRECTORY/e"),
    "two dollar signs before a brace": ("$${V} $$${V}", {"V": "v"}, "${V} $${V}"),
    "two dollar signs in one that does not end": ("${V:-$${W", {"V": "v"}, "${V:-${W"),
    "one that does not end": ("a${V", {"V": "v"}, "a${V"),
    "digits in a name": ("${V_1}", {"V_1": "x"}, "x"),
    "a name that begins with a digit": ("${1V}", {"1V": "x"}, "${1V}"),
}


@tabled(("text", "variables", "value"), UNUSUAL.values(), ids=UNUSUAL)
def test_variables_in_unusual_places(text: str, variables: dict[str, str], value: str) -> None:
    assert read(changed("name: s", f"name: 'n{text}'"), **variables).name == f"n{value}"


def test_variables_are_replaced_in_keys_values_and_lists_but_not_in_names() -> None:
    stack = read(changed("[py3]", "['${I}']").replace("dtype: auto", "'${K}': '${I}'"), I="py3")
    assert stack.target.images == ("py3",)
    assert isinstance(stack.models["g"], Generator)
    assert stack.models["g"].args == {"max_model_len": 512, "${K}": "py3"}


def test_a_variable_is_empty_or_not_set_and_a_hint_says_how_to_go_on() -> None:
    assert "N is empty" in said(changed("name: s", "name: ${N:?why}"), N="")
    message = said(changed("name: s", "name: ${N}"))
    assert message.startswith("a.yaml:1:7: fatal: the environment variable N is not set [stack-variable]\n")
    assert "`${N:-default}`" in message


def test_files_are_merged_key_by_key_and_each_value_keeps_its_place() -> None:
    later = "models:\n  e: {batching: {max_batch_size: 3}}\n  g: {args: {seed: 1}}\ntarget: {images: [vllm-python-py3]}"
    last = "target: {images: !append [py3]}\nsmoke: !append [{model: e, inputs: {}, expect: {embedding: {equals: 1}}}]"
    stack = read(GOOD, later, last)
    assert stack.target.images == ("vllm-python-py3", "py3")
    assert (stack.target.release, stack.target.gpus) == ("24.10", 0)
    found, answers = stack.models["e"], stack.models["g"]
    assert isinstance(found, Embedder)
    assert isinstance(answers, Generator)
    assert (found.batching.max_batch_size, found.batching.max_queue_delay) == (3, 1500)
    assert answers.args == {"max_model_len": 512, "dtype": "auto", "seed": 1}
    assert answers.places["args.seed"] == Span("b.yaml", 3, 20)
    assert answers.places["args.dtype"].path == "a.yaml"
    assert found.batching.places["max_batch_size"] == Span("b.yaml", 2, 34)
    assert len(stack.smoke) == 1


def test_an_earlier_value_of_another_shape_is_replaced() -> None:
    found = read(changed("dtype: auto", "x: [1], y: {z: 3}"), "models: {g: {args: {x: {y: 2}, y: 4}}}").models["g"]
    assert isinstance(found, Generator)
    assert found.args == {"max_model_len": 512, "x": {"y": 2}, "y": 4}


PLACES = {
    "args": (9, 69),
    "args.max_model_len": (9, 85),
    "args.x": (9, 93),
    "args.x.0": (9, 94),
    "args.x.1": (9, 97),
    "args.x.1.y": (9, 101),
}


def test_places_reach_into_the_users_own_mappings_and_lists() -> None:
    found = read(changed("dtype: auto", "x: [1, {y: 2}]")).models["g"]
    places = {name: (at.line, at.column) for name, at in found.places.items() if name.startswith("args")}
    assert places == PLACES
    inner = below(found.places, "args")
    assert {name: (at.line, at.column) for name, at in inner.items()} == {
        "": (9, 69),
        **{name.removeprefix("args."): place for name, place in PLACES.items() if name != "args"},
    }
    assert below(found.places, "sampling") == {"": found.places[""]}


def test_a_fault_is_at_the_key_or_at_the_whole_value() -> None:
    whole, key = Span("a", 1, 1), Span("a", 2, 2)
    assert wrong({"": whole, "k": key}, "k", "m", "h").at == key
    assert wrong({"": whole, "k": key}, "other", "m").at == whole
    assert wrong({}, "k", "m").at == Span("")
    assert origin({"": whole, "k": key}, one=key, two=None) == {"": whole, "one": key}


def ends(text: str, *path: str) -> tuple[int, int, int, int]:
    node: Node = parse(text.encode(), "a")
    for name in path:
        assert isinstance(node, Keys)
        node = node.keys[name][1]
    return node.at.line, node.at.column, node.at.end_line, node.at.end_column


ENDS = {
    "a value": ("a: bc\nd: e\n", ["a"], (1, 4, 1, 6)),
    "a quoted one": ("a: 'bc'\n", ["a"], (1, 4, 1, 8)),
    "nothing": ("a:\nd: e\n", ["a"], (1, 3, 0, 0)),
    "a flow": ("a: [1,\n  2]  # more\nb: 1\n", ["a"], (1, 4, 2, 5)),
    "a block, which ends with its last value": ("a:\n  b: 1\n  c: 23\n\n\nd: 4\n", ["a"], (2, 3, 3, 8)),
    "a block in a block": ("a:\n  b:\n    c: x\nd: 4\n", ["a"], (2, 3, 3, 9)),
    "a block of items": ("a:\n  - b\n  - c: dd\n\ne: 1\n", ["a"], (2, 3, 3, 10)),
    "a block that ends in an alias": ("a: &x 12\nb:\n  c: *x\nd: 1\n", ["b"], (3, 3, 0, 0)),
    "the whole file": ("a: 1\nb: 2\n\n", [], (1, 1, 2, 5)),
}


@tabled(("text", "path", "place"), ENDS.values(), ids=ENDS)
def test_a_node_has_a_start_and_an_end(text: str, path: list[str], place: tuple[int, int, int, int]) -> None:
    assert ends(text, *path) == place


KINDS = {
    **dict.fromkeys(["true", "True", "TRUE", "false", "False", "FALSE"], "bool"),
    **dict.fromkeys(["null", "Null", "NULL", "~", ""], "null"),
    **dict.fromkeys(["0", "-1", "+1", "12", "0o7", "0xfF"], "int"),
    **dict.fromkeys(["1.", ".5", "-1.5", "1e3", "1E-3", "1.5e+3"], "float"),
    **dict.fromkeys(
        ["tRUE", "nULL", "yes", "off", "0o8", "0xg", "1_0", "-x", "+x", "1e", ".", "1:2", "'1'", "a"], "str"
    ),
}


@tabled(("text", "kind"), KINDS.items(), ids=[text or "nothing" for text in KINDS])
def test_plain_text_has_the_kind_of_yaml_1_2(text: str, kind: str) -> None:
    (_, node) = parse(f"a: {text}\n".encode(), "a").keys["a"]
    assert isinstance(node, Scalar)
    assert (node.kind, node.text) == (kind, text.strip("'"))


def told(text: str | bytes) -> str:
    with pytest.raises(Stop) as stop:
        parse(text if isinstance(text, bytes) else text.encode(), "a")
    (found,) = stop.value.diagnostics
    assert (found.rule, found.severity) == ("stack-syntax", Severity.FATAL)
    return f"{found.at} {found.message}"


def test_a_file_may_have_four_mebibytes() -> None:
    assert told(b"\xff" * (4 << 20)) == "a:1:1 the stack file is not valid UTF-8 at byte 0"
    assert told(b"\xff" * ((4 << 20) + 1)) == "a the stack file has more than 4,194,304 bytes"


def test_a_file_may_be_nested_60_levels() -> None:
    parse(("a: " + "[" * 60 + "]" * 60).encode(), "a")
    assert told("a: " + "[" * 61 + "]" * 61) == "a:1:64 the file is nested deeper than 60 levels"
    mapping = "".join(f"{' ' * depth}a:\n" for depth in range(60))
    parse(f"{mapping}{' ' * 60}b".encode(), "a")
    assert told(f"{mapping}{' ' * 60}a: b") == "a:61:64 the file is nested deeper than 60 levels"


def test_a_file_may_expand_to_50000_values() -> None:
    """The mapping at the top is one of them, the first list and each of its 498 aliases are 100."""
    hundred = f"a: &a [{', '.join('1' * 99)}]\nb: [{', '.join(['*a'] * 498)}]\n"
    parse(f"{hundred}c: [{', '.join('1' * 97)}]\n".encode(), "a")
    message = told(f"{hundred}c: [{', '.join('1' * 98)}]\n")
    assert message.endswith(" the file expands to more than 50,000 values")


def test_a_long_file_may_have_more_values_than_that_but_its_aliases_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.spec.nodes.MAX_NODES", 4)
    parse(f"a: [{', '.join(['1234567'] * 20)}]\n".encode(), "a")
    assert told("a: &a [1, 2]\nb: *a\n") == "a:1:4 the file expands to more than 4 values"


def test_a_long_file_is_read_only_up_to_what_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.spec.nodes.MAX_NODES", 4)
    assert told("a: [1,2,3,4,5,6,7]\n") == "a:1:17 the file has more than 8 keys and values"


UNREAD = {
    "a byte order mark": (b"\xef\xbb\xbfa: 1", None),
    "a key set twice": ("a: 1\nb: 2\na: 3\n", 'a:3:1 key "a" is set twice'),
    "no mapping": ("3", "a:1:1 the stack file must be a mapping of keys to values"),
    "a tag on a value": ("a: !x 1", "a:1:4 the tag !x is not supported here"),
    "a tag of YAML 1.1": ("a: !!timestamp 2020-01-01", "a:1:4 the tag tag:yaml.org,2002:timestamp is"),
    "append on a mapping": ("a: !append {b: 1}", "a:1:4 the tag !append is not supported here"),
    "append on a value": ("a: !append 1", "a:1:4 the tag !append is not supported here"),
    "another tag on a list": ("a: !extend [1]", "a:1:4 the tag !extend is not supported here"),
    "bytes that are no UTF-8, by line": (b"a: 1\nb: 2\nc: \xe9", "a:3:4 the stack file is not valid UTF-8 at byte 13"),
    "bytes that are no UTF-8, after a byte order mark": (
        b"\xef\xbb\xbfa: 1\n\xe9",
        "a:2:1 the stack file is not valid UTF-8 at byte 8",
    ),
    "a tag after a byte order mark": (b"\xef\xbb\xbfa: !x 1", "a:1:4 the tag !x is not supported here"),
    "a fault of syntax after a byte order mark": (b"\xef\xbb\xbfa: ]", "a:1:4 the file is not valid YAML"),
    "a control character": ("a: 1\nb: x\x01", "a:2:5 the text contains U+0001, which YAML does not allow"),
    "a control character at the start": ("\x7f", "a:1:1 the text contains U+007F, which YAML does not allow"),
    "a control character after a byte order mark": (b"\xef\xbb\xbfa: \x00", "a:1:4 the text contains U+0000"),
    "half a pair in a value": ('a: "\\udfff"', "a:1:4 the text contains U+DFFF"),
    "the first half of a pair": ('a: "\\ud800"', "a:1:4 the text contains U+D800"),
    "half a pair in a key": ('"\\ud800": 1', "a:1:1 the text contains U+D800"),
    "characters next to the pairs": ('a: "\\ud7ff\\ue000"', None),
    "a character of one": ('a: "\\x01"', None),
}


@tabled(("text", "message"), UNREAD.values(), ids=UNREAD)
def test_what_yaml_allows_and_a_stack_does_not(text: str | bytes, message: str | None) -> None:
    if message is None:
        assert parse(text if isinstance(text, bytes) else text.encode(), "a").keys.keys() == {"a"}
    else:
        assert told(text).startswith(message)


def test_a_key_that_is_set_twice_is_shown_both_places() -> None:
    assert "Remove this one or the one on line 1." in said("name: s\nx: y\nname: t\n")


def test_only_a_list_with_the_tag_is_appended() -> None:
    for text, images in (("!append [py3]", ("py3", "py3")), ("[py3]", ("py3",))):
        assert read(GOOD, f"target: {{images: {text}}}").target.images == images
    assert read(changed("[py3]", "!append [py3]")).target.images == ("py3",)


HEX = "0" * 64
URL = "Use `https://HOST/PATH#sha256=HEX`, with the 64 hexadecimal digits of the file's SHA-256."


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_a_file_on_this_machine_needs_no_encryption(host: str) -> None:
    assert isinstance(parse_source(f"http://{host}/a#sha256={HEX}"), source.Web)


def test_a_package_is_a_requirement_and_a_path_in_it() -> None:
    found = parse_source("package:a.b-c==1.2+x//d/e/")
    assert found == Package("package:a.b-c==1.2+x//d/e/", "a.b-c", "1.2+x", "d/e")
    assert isinstance(found, Package)
    assert found.requirement == "a.b-c==1.2+x"


def test_a_plain_path_may_look_like_anything_else() -> None:
    for text in ("hf", "package", "./hf://x"[:5], "a:b", "s3:/x", "/root", "https:/x"):
        assert parse_source(text) == source.Local(text, text)


def test_json_has_nothing_that_yaml_does_not_know() -> None:
    free: dict[str, object] = {"a": [1, 2.5, True, None, "x", {"b": []}], "c": {}}
    found = read(changed("{max_model_len: 512, dtype: auto}", json.dumps(free))).models["g"]
    assert isinstance(found, Generator)
    assert found.args == free
