"""Corner cases of the rules on ONNX files; ONNX Runtime 1.16 to 1.28 were asked to load such files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.diagnostics import Move
from tritonrepo.fixes import after, applied
from tritonrepo.tree import Directory, Entry, File, Link, Unreadable, of_bytes, of_text

IO = """input { name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ -1, 2 ] }
"""
FLOAT = TensorProto.FLOAT


def model(
    node: NodeProto | None = None,
    weights: Sequence[TensorProto] = (),
    opsets: Mapping[str, int] | None = None,
    ir_version: int = 8,
    functions: Sequence[onnx.FunctionProto] = (),
) -> bytes:
    """A graph from x to y, both [batch, 2] FP32."""
    x, y = (helper.make_tensor_value_info(name, FLOAT, ["batch", 2]) for name in "xy")
    graph = helper.make_graph([node or helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y], weights)
    made = ModelProto(ir_version=ir_version, graph=graph, functions=functions)
    for domain, version in ({"": 17} if opsets is None else opsets).items():
        made.opset_import.add(domain=domain, version=version)
    return bytes(made.SerializeToString())


def op(name: str, domain: str = "", inputs: str = "x") -> NodeProto:
    """A node that makes y."""
    found: NodeProto = helper.make_node(name, inputs.split(), ["y"], domain=domain)
    return found


def stored(name: str = "w", **said: str) -> TensorProto:
    """Weights [2] FP32 in another file."""
    tensor = TensorProto(name=name, data_type=FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, text in said.items():
        tensor.external_data.add(key=key, value=text)
    return tensor


def here(size: int, **said: Sequence[float]) -> TensorProto:
    """Weights [2] FP32 in the file itself."""
    return TensorProto(name="w", data_type=FLOAT, dims=[2], raw_data=bytes(size), **said)


def graph(*nodes: str, outputs: str = "y") -> bytes:
    """A graph from x to outputs of these nodes, each an operator, an input and outputs."""
    made = onnx.load_from_string(model())
    made.graph.ClearField("node")
    for kind, given, *names in map(str.split, nodes):
        made.graph.node.add(op_type=kind, input=[given], output=names)
    made.graph.ClearField("output")
    made.graph.output.extend(helper.make_tensor_value_info(name, FLOAT, ["batch", 2]) for name in outputs)
    return bytes(made.SerializeToString())


def named(*nodes: str) -> bytes:
    """A graph of nodes whose first two have the same name."""
    made = onnx.load_from_string(graph(*nodes))
    for node in made.graph.node[:2]:
        node.name = "n"
    return bytes(made.SerializeToString())


def branching(name: str, *nodes: str, weights: Sequence[TensorProto] = (), inside: str = "") -> bytes:
    """A graph with a subgraph that reads a name."""
    made = onnx.load_from_string(graph("Identity x y", *nodes))
    branch = helper.make_graph([op("Neg", inputs=name)], "s", [], [helper.make_empty_tensor_value_info("y")])
    for kind, given, output in [inside.split()] * bool(inside):
        branch.node.insert(0, helper.make_node(kind, [given], [output]))
    made.graph.initializer.extend(weights)
    made.graph.node[0].CopyFrom(helper.make_node("If", ["x"], ["y"], then_branch=branch))
    return bytes(made.SerializeToString())


def twice(name: str) -> bytes:
    """A graph in which two inputs have a name."""
    made = onnx.load_from_string(model(weights=[here(8)]))
    for _ in range(2 if name == "w" else 1):
        made.graph.input.add().CopyFrom(helper.make_tensor_value_info(name, FLOAT, ["batch", 2]))
    return bytes(made.SerializeToString())


def values(inputs: Mapping[str, onnx.TypeProto], outputs: Mapping[str, onnx.TypeProto]) -> bytes:
    """A model with inputs and outputs of any types."""
    graph = helper.make_graph(
        [],
        "g",
        [helper.make_value_info(name, kind) for name, kind in inputs.items()],
        [helper.make_value_info(name, kind) for name, kind in outputs.items()],
    )
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


def tensor(kind: str) -> onnx.TypeProto:
    """A tensor [batch, 2] of a type."""
    made: onnx.TypeProto = helper.make_tensor_type_proto(getattr(TensorProto, kind), ["batch", 2])
    return made


FINE = tensor("FLOAT")


class Case(NamedTuple):
    """A model's file; the rules that speak and the reason; what lies beside it; the release."""

    content: bytes | Entry
    rules: Sequence[str] = ()
    reason: str = ""
    beside: Mapping[str, Entry] = {}
    release: str = "24.10"
    config: str = IO


WHOLE = model()
ADD = op("Add", inputs="x w")
WEIGHTS = of_bytes(bytes(64))
BESIDE = {"1/w.bin": WEIGHTS}
IF = helper.make_node(
    "If",
    ["x"],
    ["y"],
    then_branch=helper.make_graph([op("NoSuch")], "s", [], [helper.make_empty_tensor_value_info("y")]),
)
OWN = helper.make_function("my.own", "Twice", ["a"], ["b"], [], [])
SPACE = 'model_operations { op_library_filename: [ "/opt/own.so" ] }\n'
FAILED = "Load model from m/1/model.onnx failed:"
MISSING, SHORT, FAR = (f"onnx-external-data-{each}" for each in ("missing", "truncated", "escapes"))
NOT, EMPTY, UNKNOWN, CUSTOM = "onnx-not-a-protobuf", "onnx-empty-file", "onnx-unknown-op", "onnx-custom-domain"
ENTRY, UNTYPED = "onnx-external-data-entry", "onnx-input-without-type"
LOOSE, UNMADE, TWICE = "onnx-tensor-undefined", "onnx-output-undefined", "onnx-tensor-defined-twice"
SIZE, NAMES = "onnx-weights-size", "onnx-node-name-twice"
UNFOUND = helper.make_function("my.own", "Twice", ["a"], ["b"], [op("Neg", inputs="nowhere")], [])
IR, OPSET = "onnx-ir-newer-than-image", "onnx-opset-newer-than-image"

CASES = {
    "a model": Case(WHOLE),
    "a link that is not followed": Case(Link("/elsewhere")),
    "an empty file": Case(b"", [EMPTY], FAILED),
    "half a file": Case(WHOLE[:60], [NOT], FAILED + "Protobuf parsing failed."),
    "a file without a graph": Case(b"\x08\x08", [NOT], FAILED),
    "a file without an IR version": Case(WHOLE[2:], [NOT], FAILED),
    "a file without an operator set": Case(model(opsets={}), [NOT], "Missing opset in the model."),
    "a name that is too long to be read": Case(b"\x08\x08" + model(op("N" * 70_000))),
    "the newest IR version": Case(model(ir_version=10)),
    "an IR version that 24.10 does not know": Case(
        model(ir_version=11), [IR], "Unsupported model IR version: 11, max supported IR version: 10"
    ),
    "that IR version on 25.08": Case(model(ir_version=11), release="25.08"),
    "on a release with an unknown ONNX Runtime": Case(model(ir_version=99), release="26.11"),
    "a negative IR version": Case(model(ir_version=-1)),
    "the newest opset": Case(model(opsets={"": 21})),
    "an opset that 24.10 does not know": Case(
        model(opsets={"": 22}), [OPSET], "Opset 22 is under development and support for this is limited."
    ),
    "that opset on 25.03": Case(model(opsets={"": 22}), release="25.03"),
    "an opset of ai.onnx.ml": Case(model(opsets={"": 17, "ai.onnx.ml": 6}), [OPSET], "Opset 6 is under development"),
    "an opset of a domain that is not known": Case(model(opsets={"": 17, "my.own": 99})),
    "opset 0": Case(model(opsets={"": 0}), [UNKNOWN], "No Op registered for Identity with domain_version of 0"),
    "a negative opset": Case(
        model(opsets={"": -1}), [UNKNOWN], "No Op registered for Identity with domain_version of -1"
    ),
    "opset 0 of a domain that no node uses": Case(model(opsets={"": 17, "ai.onnx.ml": 0})),
    "an opset of more than 32 bits": Case(model(opsets={"": 17, "ai.onnx.ml": 1 << 31})),
    "an operator without a name": Case(
        model(op("")), [UNKNOWN], "Field 'op_type' of 'node' is required to be non-empty."
    ),
    "no opset of ONNX": Case(model(opsets={"ai.onnx.ml": 3})),
    "an operator that does not exist": Case(
        model(op("NoSuch")), [UNKNOWN], "No Op registered for NoSuch with domain_version of 17"
    ),
    "an operator of a newer opset": Case(
        model(op("Gelu")), [UNKNOWN], "No Op registered for Gelu with domain_version of 17"
    ),
    "that operator in its opset": Case(model(op("Gelu"), opsets={"": 20})),
    "an operator that was removed": Case(
        model(op("Upsample"), opsets={"": 11}),
        [UNKNOWN],
        "Op registered for Upsample is deprecated in domain_version of 11",
    ),
    "that operator before": Case(model(op("Upsample"), opsets={"": 9})),
    "an operator that ONNX Runtime removed": Case(
        model(op("Affine")), [UNKNOWN], "Affine(10) is not a registered function/op"
    ),
    "an operator in a subgraph": Case(model(IF), [UNKNOWN], "No Op registered for NoSuch with domain_version of 17"),
    "an operator in the other name of ONNX": Case(model(op("Identity", "ai.onnx"))),
    "an operator of ai.onnx.ml": Case(
        model(op("NoSuch", "ai.onnx.ml"), opsets={"": 17, "ai.onnx.ml": 3}),
        [UNKNOWN],
        "No Op registered for NoSuch with domain_version of 3",
    ),
    "an operator of Microsoft": Case(model(op("Gelu", "com.microsoft"))),
    "a newer operator of Microsoft": Case(
        model(op("PagedAttention", "com.microsoft")),
        [UNKNOWN],
        "com.microsoft:PagedAttention(-1) is not a registered function/op",
    ),
    "that operator on 25.08": Case(model(op("PagedAttention", "com.microsoft")), release="25.08"),
    "an operator of Microsoft that nobody knows": Case(model(op("NoSuch", "com.microsoft"))),
    "an operator for training": Case(model(op("Adam", "ai.onnx.preview.training"))),
    "a custom operator": Case(
        model(op("Tok", "my.own"), opsets={"": 17, "my.own": 1}),
        [CUSTOM],
        "my.own:Tok(-1) is not a registered function/op",
    ),
    "a custom operator of a domain without an opset": Case(
        model(op("Tok", "my.own")), [CUSTOM], "No opset import for domain 'my.own'"
    ),
    "a custom operator with a library": Case(
        model(op("Tok", "my.own"), opsets={"": 17, "my.own": 1}), config=IO + SPACE
    ),
    "a function of the model": Case(model(op("Twice", "my.own"), opsets={"": 17, "my.own": 1}, functions=[OWN])),
    "a function of a domain without an opset": Case(
        model(op("Twice", "my.own"), functions=[OWN]), [CUSTOM], "No opset import for domain 'my.own'"
    ),
    "another operator of a function's domain": Case(
        model(op("Other", "my.own"), opsets={"": 17, "my.own": 1}, functions=[OWN]),
        [CUSTOM],
        "my.own:Other(-1) is not a registered function/op",
    ),
    "a name that nothing makes": Case(
        model(op("Add", inputs="x q")),
        [LOOSE],
        "Invalid model. Node input 'q' is not a graph input, initializer, or output of a previous node.",
    ),
    "two names that nothing makes": Case(
        model(op("Sum", inputs="x q r")), [LOOSE], "is not a graph input, initializer, or output of a previous node."
    ),
    "a name that nothing makes, of a node that nothing needs": Case(
        graph("Neg x y", "Neg q z"), [LOOSE], "Invalid model."
    ),
    "a name that nothing makes in a subgraph": Case(
        branching("q"), [LOOSE], "Nodes in a graph must be topologically sorted, however input "
    ),
    "a name that a subgraph makes for itself": Case(branching("inner", inside="Neg x inner")),
    "a name that a constant of a subgraph has": Case(branching("inner", inside="Constant x inner")),
    "a name in a subgraph that a later node makes": Case(branching("late", "Neg x late")),
    "a name that nothing makes in a function": Case(
        model(op("Twice", "my.own"), opsets={"": 17, "my.own": 1}, functions=[UNFOUND])
    ),
    "nodes in any order": Case(graph("Neg a y", "Neg x a")),
    "inputs and outputs that are left out": Case(model(helper.make_node("Clip", ["x", "", ""], ["y"]))),
    "an output that nothing makes": Case(
        graph("Neg x z"), [UNMADE], "This is an invalid model. Graph output (y) does not exist in the graph."
    ),
    "an output that is an input": Case(graph("Neg x y", outputs="yx")),
    "a name that is made twice": Case(graph("Neg x y", "Abs x y"), [TWICE], "Duplicate definition of name (y)."),
    "a name that is made by one node twice": Case(graph("Split x y y"), [TWICE], "Duplicate definition of name (y)."),
    "two nodes of a name": Case(named("Neg x a", "Neg a y"), [NAMES], "two nodes with same node name (n)."),
    "two constants of a name": Case(named("Constant x a", "Constant x b", "Neg x y")),
    "a constant that is made twice": Case(model(helper.make_node("Constant", [], ["y", "y"], value_int=1))),
    "a node that makes an input": Case(graph("Neg x y", "Neg y x"), [TWICE], "Duplicate definition of name (x)."),
    "a node that makes weights": Case(
        model(weights=[stored("y", location="w.bin")]), [TWICE], "Duplicate definition of name (y).", BESIDE
    ),
    "two inputs of a name": Case(twice("x"), [TWICE], "Duplicate definition-site for (x)."),
    "two inputs of the name of weights": Case(twice("w")),
    "two outputs of a name": Case(graph("Neg x y", outputs="yy")),
    "names that are not UTF-8": Case(model(op("Add", inputs="x q"), [here(8)]).replace(b"B\x01w", b"B\x01\xff")),
    "weights of a wrong size": Case(model(ADD, [here(12)]), [SIZE]),
    "weights without data": Case(model(ADD, [TensorProto(name="w", data_type=FLOAT, dims=[2])]), [SIZE]),
    "weights of a wrong size that no node reads": Case(model(weights=[here(12)])),
    "weights of a wrong size that only a subgraph reads": Case(branching("w", weights=[here(12)])),
    "weights of numbers and bytes": Case(model(ADD, [here(8, float_data=[1.0])])),
    "weights of numbers": Case(model(ADD, [TensorProto(name="w", data_type=FLOAT, dims=[2], float_data=[1.0, 2.0])])),
    "weights that are texts": Case(model(weights=[TensorProto(name="w", data_type=8, dims=[2])])),
    "weights of four bits": Case(model(ADD, [TensorProto(name="w", data_type=22, dims=[2], raw_data=b"1")])),
    "weights in a file that is there": Case(model(ADD, [stored(location="w.bin", length="8")]), beside=BESIDE),
    "weights that say no length": Case(model(ADD, [stored(location="./w.bin")]), beside=BESIDE),
    "weights in a directory below": Case(model(ADD, [stored(location="d/w.bin")]), beside={"1/d/w.bin": WEIGHTS}),
    "weights behind a link": Case(model(ADD, [stored(location="w.bin")]), beside={"1/w.bin": Link("/elsewhere")}),
    "weights that cannot be read here": Case(
        model(ADD, [stored(location="w.bin")]), beside={"1/w.bin": Unreadable.FORBIDDEN}
    ),
    "weights in a file that is missing": Case(
        model(ADD, [stored(location="w.bin")]), [MISSING], "cannot get file size: No such file or directory [m/1/w.bin]"
    ),
    "that file on 24.08": Case(
        model(ADD, [stored(location="w.bin")]),
        [MISSING],
        "GetFileLength for m/1/w.bin failed:Invalid fd was supplied: -1",
        release="24.08",
    ),
    "that file on 26.08": Case(
        model(ADD, [stored(location="w.bin")]),
        [MISSING],
        'External data path does not exist: "m/1/w.bin"',
        release="26.08",
    ),
    "weights that no node reads": Case(model(weights=[stored(location="w.bin")])),
    "the value of an operator that is missing": Case(
        model(helper.make_node("Constant", [], ["y"], value=stored("", location="w.bin"))), [MISSING]
    ),
    "weights without a file": Case(model(ADD, [stored()]), [ENTRY], "model format error! Missing 'location'"),
    "weights without a file that no node reads": Case(model(weights=[stored()])),
    "weights in an empty file name": Case(model(ADD, [stored(location="")]), [ENTRY], "model format error!"),
    "weights with an empty number": Case(
        model(ADD, [stored(location="w.bin", offset="")]), [ENTRY], "model format error!", BESIDE
    ),
    "weights in a directory": Case(
        model(ADD, [stored(location="d")]),
        [MISSING],
        "cannot get file size: Is a directory [m/1/d]",
        {"1/d/x": WEIGHTS},
    ),
    "that directory on 24.08": Case(
        model(ADD, [stored(location="d")]), [MISSING], "SystemError : 21", {"1/d": Directory()}, "24.08"
    ),
    "weights of another length": Case(
        model(ADD, [stored(location="w.bin", length="12")]),
        [ENTRY],
        "TensorProto: w external data size mismatch. Computed size: 8, external_data.length: 12",
        BESIDE,
    ),
    "weights of length 0, which counts as none": Case(
        model(ADD, [stored(location="w.bin", length="0")]), beside=BESIDE
    ),
    "weights of another length, with an unknown ONNX Runtime": Case(
        model(ADD, [stored(location="w.bin", length="12")]), beside=BESIDE, release="26.11"
    ),
    "weights of a length that is no number": Case(
        model(ADD, [stored(location="w.bin", length="8x")]), [ENTRY], "", BESIDE
    ),
    "weights of a negative length": Case(model(ADD, [stored(location="w.bin", length="-8")]), [ENTRY], "", BESIDE),
    "weights of a length that some versions read": Case(
        model(ADD, [stored(location="w.bin", length=" +8")]), beside=BESIDE
    ),
    "weights with an entry of another name": Case(
        model(ADD, [stored(location="w.bin", basepath="/")]), [ENTRY], "model format error!", BESIDE
    ),
    "weights with a checksum and what is packed": Case(
        model(ADD, [stored(location="w.bin", checksum="x", prepacked_0="k|0;8;x")]), beside=BESIDE
    ),
    "weights at a place that ONNX Runtime uses itself": Case(model(ADD, [stored(location="*/_ORT_MEM_ADDR_/*")])),
    "weights that end early": Case(
        model(ADD, [stored(location="w.bin", offset="60", length="8")]),
        [SHORT],
        "External initializer: w offset: 60 size to read: 8 given file_length: 64 are out of bounds or can not be read "
        "in full.",
        BESIDE,
    ),
    "weights that end at the end": Case(model(ADD, [stored(location="w.bin", offset="56")]), beside=BESIDE),
    "weights that end early, which no node reads": Case(
        model(weights=[stored(location="w.bin", offset="60")]), beside=BESIDE
    ),
    "weights outside, on a release that reads them": Case(
        model(ADD, [stored(location="../w.bin")]), beside={"w.bin": WEIGHTS}
    ),
    "weights outside, on 26.02": Case(
        model(ADD, [stored(location="../w.bin")]),
        [FAR],
        "External data path validation failed for initializer: ",
        {"w.bin": WEIGHTS},
        "26.02",
    ),
    "weights at an absolute path, on 26.02": Case(
        model(ADD, [stored(location="/w.bin")]), [FAR], "External data path validation", {}, "26.02"
    ),
    "weights at an absolute path": Case(model(ADD, [stored(location="/w.bin")]), beside={"w.bin": of_bytes(b"")}),
    "weights outside and in again": Case(
        model(ADD, [stored(location="d/../w.bin")]), beside=BESIDE | {"1/d/x": WEIGHTS}, release="26.02"
    ),
    "a file of 2 GiB": Case(
        File(1 << 31, lambda offset, n: (WHOLE + b"\x32\xf8\xff\xff\xff\x07" + bytes(n))[offset : offset + n]), [NOT]
    ),
}


def tree(case: Case) -> dict[str, Entry]:
    found: dict[str, Entry] = {"m/config.pbtxt": of_text('backend: "onnxruntime"\n' + case.config)}
    found["m/1/model.onnx"] = of_bytes(case.content) if isinstance(case.content, bytes) else case.content
    return found | {f"m/{path}": entry for path, entry in case.beside.items()}


@tabled("case", CASES.values(), ids=CASES)
def test_verdict_and_words(case: Case) -> None:
    found = judged(tree(case), f"--release {case.release}")
    verdict = found.verdicts[0]
    assert {d.rule for d in found.diagnostics if d.severity == "error"} == set(case.rules)
    assert verdict.rule == (case.rules[0] if case.rules else "")
    assert verdict.server_reason.startswith(case.reason)


SEQUENCE = helper.make_sequence_type_proto(FINE)
NO_TENSOR, NO_TYPE, BF16 = "onnx-io-not-tensor", "onnx-io-dtype-unsupported", "onnx-bf16-io"
TYPES = {
    "a sequence that is listed": (values({"x": FINE}, {"y": SEQUENCE}), NO_TENSOR),
    "a sequence that is not listed": (values({"x": FINE}, {"y": FINE, "z": SEQUENCE}), NO_TENSOR),
    "an optional input": (values({"x": helper.make_optional_type_proto(FINE)}, {"y": FINE}), NO_TENSOR),
    "an output whose type is inferred": (values({"x": FINE}, {"y": FINE, "z": onnx.TypeProto()}), ""),
    "an input without a type": (values({"x": FINE, "w": onnx.TypeProto()}, {"y": FINE}), UNTYPED),
    "an input of no elements' type": (values({"x": helper.make_tensor_type_proto(0, [1])}, {"y": FINE}), UNTYPED),
    "an output of no elements' type": (values({"x": FINE}, {"y": helper.make_tensor_type_proto(0, [1])}), UNTYPED),
    "a complex input": (values({"x": tensor("COMPLEX64")}, {"y": FINE}), NO_TYPE),
    "an output that is not listed": (values({"x": FINE}, {"y": FINE, "z": tensor("INT4")}), ""),
    "an output of BF16 that is not listed": (values({"x": FINE}, {"y": FINE, "z": tensor("BFLOAT16")}), ""),
    "an input of BF16": (values({"x": tensor("BFLOAT16")}, {"y": FINE}), BF16),
}


@tabled(("content", "rule"), TYPES.values(), ids=TYPES)
def test_types_of_inputs_and_outputs(content: bytes, rule: str) -> None:
    found = judged(tree(Case(content))).diagnostics
    assert {d.rule for d in found} & {NO_TENSOR, NO_TYPE, BF16, UNTYPED} == ({rule} if rule else set())


def test_bf16_is_a_type_since_26_03() -> None:
    case = Case(values({"x": tensor("BFLOAT16")}, {"y": tensor("BFLOAT16")}), config=IO.replace("FP32", "BF16"))
    spoken = [{d.rule for d in judged(tree(case), f"--release {each}").diagnostics} for each in ("26.02", "26.03")]
    assert [BF16 in each for each in spoken] == [True, False]


@tabled(
    ("case", "hint"),
    [
        (Case(WHOLE[:60]), "Copy the whole file again."),
        (Case(b"<html>404</html>"), "Export it again."),
        (Case(model(op("Identty"))), 'Did you mean "Identity"?'),
        (Case(model(op("Tok", "my.own"))), "Name the library that has it"),
        (Case(model(opsets={"": 99})), "Export the model with opset 21."),
        (Case(model(ADD, [stored(location="w.bin")]), beside={"1/v.bin": WEIGHTS}), "Rename v.bin to w.bin"),
        (
            Case(model(ADD, [stored(location="a.data")]), beside={"1/b.data": WEIGHTS, "1/xyz": WEIGHTS}),
            "Rename b.data to a.data",
        ),
        (Case(model(ADD, [stored(location="d/w.bin")])), "Copy w.bin to the directory 1/d"),
    ],
)
def test_the_next_step(case: Case, hint: str) -> None:
    assert any(d.hint.startswith(hint) for d in judged(tree(case)).diagnostics)


def test_each_served_version_is_checked() -> None:
    files: dict[str, Entry] = {f"m/{version}/model.onnx": of_bytes(b"") for version in (1, 2, 3)}
    files["m/config.pbtxt"] = of_text('backend: "onnxruntime"\nversion_policy { all { } }\n' + IO)
    said = [d.at.path for d in judged(files).diagnostics if d.rule == EMPTY]
    assert said == [f"m/{version}/model.onnx" for version in (1, 2, 3)]


NAME, ALL = 'default_model_filename: "{}"\n', "version_policy { all { } }\n"
ABSENT = {
    "one file": ("", ["1/e.onnx"], "safe", NAME.format("e.onnx")),
    "one name in all versions": (ALL, ["1/e.onnx", "2/e.onnx"], "safe", NAME.format("e.onnx")),
    "a directory": ("", ["1/e.onnx/model.onnx"], "safe", NAME.format("e.onnx")),
    "another name is set": (NAME.format("f.onnx"), ["1/e.onnx"], "unsafe", NAME.format("e.onnx")),
    "a directory is set": (NAME.format("a/f.onnx"), ["1/a/e.onnx"], "unsafe", NAME.format("a/e.onnx")),
    "a name in one version": (ALL, ["1/e.onnx", "2/model.onnx"], "unsafe", [Move("m/1/e.onnx", "m/1/model.onnx")]),
    "two names": (
        ALL,
        ["1/e.onnx", "2/f.onnx"],
        "unsafe",
        [Move("m/1/e.onnx", "m/1/model.onnx"), Move("m/2/f.onnx", "m/2/model.onnx")],
    ),
    "beside the version": ("", ["model.onnx", "1/notes.txt"], "safe", [Move("m/model.onnx", "m/1/model.onnx")]),
    "beside the version, with its weights": (
        "",
        ["model.onnx", "model.onnx_data", "1/notes.txt"],
        "unsafe",
        [Move("m/model.onnx", "m/1/model.onnx")],
    ),
    "beside two versions": (ALL, ["model.onnx", "1/notes.txt", "2/notes.txt"], "", []),
    "beside the version of another directory": (NAME.format("a/f.onnx"), ["f.onnx", "1/notes.txt"], "", []),
    "two files": ("", ["1/e.onnx", "1/f.onnx"], "", []),
    "no file": ("", ["1/notes.txt"], "", []),
    "a name that is not UTF-8": ("", ["1/\udcff.onnx"], "", []),
    "a name with a line feed": ("", ["1/a\nb.onnx"], "", []),
    "a name in quotes": ("", ['1/"e".onnx'], "safe", NAME.format('\\"e\\".onnx')),
}


@tabled(("config", "paths", "safe", "becomes"), ABSENT.values(), ids=ABSENT)
def test_a_missing_file_is_found_elsewhere(config: str, paths: list[str], safe: str, becomes: str | list[Move]) -> None:
    files = {f"m/{path}": of_bytes(model()) for path in paths}
    tree: dict[str, Entry] = {"m/config.pbtxt": of_text(f'backend: "onnxruntime"\n{IO}{config}'), **files}
    found = [each.fix for each in judged(tree).diagnostics if each.rule == "onnx-model-file-missing"]
    fixes = [fix for fix in found if fix is not None]
    assert {"safe" if fix.safe else "unsafe" for fix in fixes} == ({safe} if safe else set())
    assert [each for fix in fixes for each in fix.files] == (becomes if isinstance(becomes, list) else [])
    there = after(tree, applied(tree, fixes).steps)
    assert not fixes or "onnx-model-file-missing" not in {each.rule for each in judged(there).diagnostics}
    written = there["m/config.pbtxt"]
    assert isinstance(written, File)
    assert isinstance(becomes, list) or becomes in written.content().decode()
