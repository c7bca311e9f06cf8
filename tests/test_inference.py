"""What a model's directory says without running it: versions, backend, completion, tensors, calls, and paths."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.tabled import tabled
from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.pbtxt import parse
from tritonrepo.repository import Model, Said, model, read, target
from tritonrepo.repository.calls import PINS_BYTES, Call, calls
from tritonrepo.repository.completion import SCRIPT_BYTES, completed, may_complete, may_complete_tensors
from tritonrepo.repository.ignores import SEARCHED_BYTES, ignores
from tritonrepo.repository.inference import Inferred
from tritonrepo.repository.json_text import place
from tritonrepo.repository.once import Memo, once
from tritonrepo.repository.paths import MISSING, NOT_A_DIRECTORY, TOO_LONG, follow
from tritonrepo.repository.target import unknown
from tritonrepo.repository.tensors import element_bytes
from tritonrepo.repository.versions import selected, versions
from tritonrepo.tree import Directory, Entry, File, Link, Outside, Unreadable, of_bytes, of_text
from tritonrepo.vllm_contract import by_name, contract

X = of_text("x")
NONE = Inferred("", "", "")


def made(
    config: str | None, files: Mapping[str, Entry | str], release: str = "24.10", *, completes: bool = True
) -> Model:
    """Return the model m of these files, judged for a server of this release."""
    entries = {path: of_text(entry) if isinstance(entry, str) else entry for path, entry in files.items()}
    if config is not None:
        entries["config.pbtxt"] = of_text(config)
    return model("m", entries, target(Said(release, auto_complete=completes)))


NUMBERS = {
    "the largest": ("9223372036854775807", {9223372036854775807: "9223372036854775807"}),
    "the smallest": ("-9223372036854775808", {-9223372036854775808: "-9223372036854775808"}),
    "with a plus": ("+9223372036854775807", {9223372036854775807: "+9223372036854775807"}),
    "zero": ("0", {0: "0"}),
    "zeros after a sign": ("-00000000000000000000001", {-1: "-00000000000000000000001"}),
    "after every blank": (" \t\n\v\f\r7", {7: " \t\n\v\f\r7"}),
    "before anything": ("7 old", {7: "7 old"}),
}


@tabled(("name", "found"), NUMBERS.values(), ids=NUMBERS)
def test_a_name_that_begins_with_a_number_is_a_version(name: str, found: dict[int, str]) -> None:
    assert versions([name]).found == found


NO_VERSIONS = {
    "one above the largest": ("9223372036854775808", "overflow"),
    "one below the smallest": ("-9223372036854775809", "overflow"),
    "thousands of digits": ("9" * 5000, "overflow"),
    "a leading zero": ("01", "leading_zero"),
    "two zeros": ("00", "leading_zero"),
    "a zero before a word": ("0x", "leading_zero"),
    "a sign": ("+", "no_number"),
    "two signs": ("+-1", "no_number"),
    "a blank between": ("- 1", "no_number"),
    "a word before": ("v1", "no_number"),
    "digits that are not ASCII": ("\u0661", "no_number"),
    "a blank that is not ASCII": ("\u00a01", "no_number"),
}


@tabled(("name", "kind"), NO_VERSIONS.values(), ids=NO_VERSIONS)
def test_any_other_name_is_none(name: str, kind: str) -> None:
    found = versions([name])
    assert getattr(found, kind) == (name,)
    assert (found.found, dict(found.collisions)) == ({}, {})


def test_reserved_names_are_neither() -> None:
    assert versions(["configs", "warmup", "initial_state"]) == versions([])
    assert versions(["configs", "warmup", "initial_state"], config_names=False).no_number == ("configs",)


def test_of_several_with_one_number_the_plain_one_counts_else_the_first() -> None:
    found = versions(["+1", "1 old", "-0", "0"])
    assert (found.found, dict(found.collisions)) == ({1: "+1", 0: "0"}, {"1 old": 1, "-0": 0})


LATEST = {3: (1, 2, 10), 4: (1, 2, 10), 1: (10,)}


@pytest.mark.parametrize(("count", "served"), LATEST.items(), ids=map(str, LATEST))
def test_the_latest_are_counted_from_the_highest(count: int, served: tuple[int, ...]) -> None:
    policy = parse(f"version_policy {{ latest {{ num_versions: {count} }} }}".encode(), "24.10").root
    assert selected([10, 1, 2], policy.message("version_policy")) == served
    assert selected([], None) == ()


WRITTEN = {
    "the backend": ('backend: "x"', {}, Inferred("x", "", "")),
    "the backend, whatever there is": ('backend: "x"', {"1/model.onnx": X}, Inferred("x", "", "")),
    "an ensemble": ('platform: "ensemble"', {"1/model.onnx": X}, Inferred("", "ensemble", "")),
    "a platform": (
        'platform: "onnxruntime_onnx"',
        {},
        Inferred("onnxruntime", "onnxruntime_onnx", "model.onnx"),
    ),
    "a platform against a file": (
        'platform: "tensorrt_plan"',
        {"1/model.onnx": X},
        Inferred("tensorrt", "tensorrt_plan", "model.plan"),
    ),
    "a filename": (
        'default_model_filename: "model.py"',
        {"1/model.onnx": X},
        Inferred("python", "", "model.py"),
    ),
    "a filename of its own": (
        'backend: "onnxruntime" default_model_filename: "x"',
        {},
        Inferred("onnxruntime", "onnxruntime_onnx", "x"),
    ),
    "a filename that tells nothing": ('default_model_filename: "x"', {"1/model.onnx": X}, Inferred("", "", "x")),
    "tensorrt": ('backend: "tensorrt"', {}, Inferred("tensorrt", "tensorrt_plan", "model.plan")),
    "openvino": ('backend: "openvino"', {}, Inferred("openvino", "", "model.xml")),
    "python": ('backend: "python"', {}, Inferred("python", "", "model.py")),
    "pytorch": ('backend: "pytorch"', {}, Inferred("pytorch", "pytorch_libtorch", "model.pt")),
    "pytorch that runs Python": (
        'backend: "pytorch" runtime: "model.py"',
        {},
        Inferred("pytorch", "pytorch_libtorch", ""),
    ),
    "tensorflow": ('backend: "tensorflow"', {}, Inferred("tensorflow", "", "")),
    "tensorflow with a graph": (
        'backend: "tensorflow"',
        {"1/model.graphdef": X},
        Inferred("tensorflow", "tensorflow_graphdef", "model.graphdef"),
    ),
    "tensorflow with a filename": (
        'backend: "tensorflow" default_model_filename: "model.savedmodel"',
        {"1/model.graphdef": X},
        Inferred("tensorflow", "tensorflow_savedmodel", "model.savedmodel"),
    ),
    "tensorflow's platform": (
        'platform: "tensorflow_savedmodel" default_model_filename: "x"',
        {},
        Inferred("tensorflow", "tensorflow_savedmodel", "x"),
    ),
    "another backend with a graph": ('backend: "x"', {"1/model.graphdef": X}, Inferred("x", "", "")),
}
SEEN = {
    "nothing": ({}, NONE),
    "a plan": ({"1/model.plan": X}, Inferred("tensorrt", "tensorrt_plan", "model.plan")),
    "a plan that is a directory": ({"1/model.plan/x": X}, NONE),
    "an ONNX file": ({"1/model.onnx": X}, Inferred("onnxruntime", "onnxruntime_onnx", "model.onnx")),
    "an ONNX directory": ({"1/model.onnx": Directory()}, Inferred("onnxruntime", "onnxruntime_onnx", "model.onnx")),
    "an OpenVINO file": ({"1/model.xml": X}, Inferred("openvino", "", "model.xml")),
    "a TorchScript file": ({"1/model.pt": X}, Inferred("pytorch", "pytorch_libtorch", "model.pt")),
    "a TorchScript directory": ({"1/model.pt/x": X}, NONE),
    "a Python file": ({"1/model.py": X}, Inferred("python", "", "model.py")),
    "a graph": ({"1/model.graphdef": X}, Inferred("tensorflow", "tensorflow_graphdef", "model.graphdef")),
    "a graph that is a directory": ({"1/model.graphdef/x": X}, NONE),
    "a saved model": ({"1/model.savedmodel/x": X}, Inferred("tensorflow", "tensorflow_savedmodel", "model.savedmodel")),
    "a saved model that is a file": ({"1/model.savedmodel": X}, NONE),
    "a graph before a saved model": (
        {"1/model.savedmodel/x": X, "1/model.graphdef": X},
        Inferred("tensorflow", "tensorflow_graphdef", "model.graphdef"),
    ),
    "a graph before all": (
        {"1/model.plan": X, "1/model.graphdef": X},
        Inferred("tensorflow", "tensorflow_graphdef", "model.graphdef"),
    ),
    "a plan before ONNX": (
        {"1/model.onnx": X, "1/model.plan": X},
        Inferred("tensorrt", "tensorrt_plan", "model.plan"),
    ),
    "ONNX before Python": (
        {"1/model.py": X, "1/model.onnx": X},
        Inferred("onnxruntime", "onnxruntime_onnx", "model.onnx"),
    ),
    "a file of the first directory in byte order": (
        {"10/model.py": X, "2/model.onnx": X},
        Inferred("python", "", "model.py"),
    ),
    "a file of another directory": ({"1/x": X, "2/model.onnx": X}, NONE),
    "a file below": ({"1/a/model.onnx": X}, NONE),
    "a file beside": ({"model.onnx": X, "1/x": X}, NONE),
    "a .pt2 file before its release": ({"1/model.pt2": X}, NONE),
}


@tabled(("config", "files", "inferred"), WRITTEN.values(), ids=WRITTEN)
def test_what_a_config_says_decides_the_backend(config: str, files: dict[str, Entry], inferred: Inferred) -> None:
    assert made(config, files).inferred == inferred


@tabled(("files", "inferred"), SEEN.values(), ids=SEEN)
def test_a_config_that_says_nothing_leaves_it_to_the_files(files: dict[str, Entry], inferred: Inferred) -> None:
    assert made("max_batch_size: 1", files).inferred == inferred
    assert made(None, files).inferred == inferred
    assert made("", files, completes=False).inferred == inferred
    assert made(None, files, completes=False).inferred == NONE


def test_ahead_of_time_inductor_came_with_two_releases() -> None:
    files = {"1/model.pt2": X}
    assert made("", files, "26.02").inferred == NONE
    assert made("", files, "26.03").inferred == Inferred("pytorch", "pytorch_libtorch", "model.pt")
    assert made("", files, "26.04").inferred == Inferred("pytorch", "torch_aoti", "model.pt2")
    assert made('platform: "libtorch"', {}, "26.03").inferred == Inferred("", "libtorch", "")
    assert made('platform: "libtorch"', {}, "26.04").inferred == Inferred("pytorch", "libtorch", "model.pt")


DOTTED = {"a.b": "b", "a.b.c": "b.c", "a": "", "a.": ""}


@pytest.mark.parametrize(("name", "backend"), DOTTED.items(), ids=DOTTED)
def test_a_models_name_can_end_in_its_backend(name: str, backend: str) -> None:
    found = model(name, {"config.pbtxt": of_text("")}, target(Said("24.10"))).inferred
    assert found == Inferred(backend, "", f"model.{backend}" if backend else "")
    assert model(name, {"config.pbtxt": of_text('platform: "p"')}, target(Said("24.10"))).inferred == Inferred(
        "", "p", ""
    )


IN, OUT = 'input { name: "I" data_type: TYPE_FP32 dims: [ 1, -1 ] optional: true } ', 'output { name: "O" } '
PLAIN = "class TritonPythonModel:\n    pass\n"
COMPLETION: dict[str, tuple[str, dict[str, Entry | str], bool, bool]] = {
    "onnxruntime without tensors": ('backend: "onnxruntime"', {}, True, False),
    "onnxruntime without inputs": ('backend: "onnxruntime"' + OUT, {}, True, False),
    "onnxruntime without outputs": ('backend: "onnxruntime"' + IN, {}, True, False),
    "onnxruntime with both": ('backend: "onnxruntime"' + IN + OUT, {}, False, False),
    "onnxruntime with a batch input": ('backend: "onnxruntime" batch_input { }' + OUT, {}, False, False),
    "vllm": ('backend: "vllm"' + IN + OUT, {}, True, False),
    "pytorch": ('backend: "pytorch"', {}, False, False),
    "identity": ('backend: "identity"', {}, False, False),
    "square": ('backend: "square"', {}, False, False),
    "repeat": ('backend: "repeat"', {}, False, False),
    "an ensemble": ('platform: "ensemble"', {}, False, False),
    "a custom backend": ('backend: "own"' + IN + OUT, {}, True, True),
    "a plain class": ('backend: "python"', {"1/model.py": PLAIN}, False, False),
    "a plain class of object": (
        'backend: "python"',
        {"1/model.py": "class TritonPythonModel ( object ) :\n"},
        False,
        False,
    ),
    "a plain class with empty brackets": (
        'backend: "python"',
        {"1/model.py": "class TritonPythonModel():\n"},
        False,
        False,
    ),
    "a class with a base": ('backend: "python"', {"1/model.py": "class TritonPythonModel(Base):\n"}, True, True),
    "a class that completes": (
        'backend: "python"',
        {"1/model.py": PLAIN + "    def auto_complete_config(c): ...\n"},
        True,
        True,
    ),
    "an indented class": ('backend: "python"', {"1/model.py": "if x:\n    class TritonPythonModel:\n"}, True, True),
    "only an import": ('backend: "python"', {"1/model.py": "import x\n"}, True, True),
    "neither class nor import": ('backend: "python"', {"1/model.py": "x = 1\n"}, False, False),
    "no file": ('backend: "python"', {"1/x": X}, False, False),
    "a file of another name": (
        'backend: "python" default_model_filename: "m.py"',
        {"1/model.py": PLAIN, "1/m.py": "import x\n"},
        True,
        True,
    ),
    "a version that is not served": (
        'backend: "python"',
        {"1/model.py": "import x\n", "2/model.py": PLAIN},
        False,
        False,
    ),
    "one of two that are": (
        'backend: "python" version_policy { all { } }',
        {"1/model.py": PLAIN, "2/model.py": "import x\n"},
        True,
        True,
    ),
    "a file as large as is read": (
        'backend: "python"',
        {"1/model.py": of_bytes(PLAIN.encode().ljust(SCRIPT_BYTES))},
        False,
        False,
    ),
    "a larger file": (
        'backend: "python"',
        {"1/model.py": of_bytes(PLAIN.encode().ljust(SCRIPT_BYTES + 1))},
        True,
        True,
    ),
}


@tabled(("config", "files", "whole", "listed"), COMPLETION.values(), ids=COMPLETION)
def test_a_backend_may_complete_a_config(
    config: str,
    files: dict[str, Entry | str],
    whole: bool,  # noqa: FBT001  a table's column
    listed: bool,  # noqa: FBT001  a table's column
) -> None:
    found = made(config, files or {"1/x": X})
    assert (may_complete(found), may_complete_tensors(found)) == (whole, listed)
    never = made(config, files or {"1/x": X}, completes=False)
    assert (may_complete(never), may_complete_tensors(never)) == (False, False)
    assert completed(never).exact


def test_a_completed_config_has_what_is_listed() -> None:
    found = completed(made('backend: "own" max_batch_size: 4 ' + IN + OUT, {"1/x": X}))
    assert [(port.name, port.data_type, port.dims, port.optional) for port in found.inputs] == [
        ("I", "TYPE_FP32", (1, -1), True)
    ]
    assert [(port.name, port.data_type, port.dims, port.optional) for port in found.outputs] == [
        ("O", "TYPE_INVALID", (), False)
    ]
    assert found.inputs[0].listed is not None
    assert (found.max_batch_size, found.exact) == (4, False)


POLICY = "model_transaction_policy { decoupled: %s }"
DECOUPLED = {
    "unknown where it may be completed": ('backend: "own"', None),
    "written where it may be completed": ('backend: "own"' + POLICY % "true", True),
    "not written for onnxruntime": ('backend: "onnxruntime"', False),
    "not written where nothing completes it": ('backend: "identity"', False),
    "written": ('backend: "identity"' + POLICY % "true", True),
    "written as false": ('backend: "identity"' + POLICY % "false", False),
    "of an ensemble": ('platform: "ensemble"' + POLICY % "true", None),
}


@tabled(("config", "decoupled"), DECOUPLED.values(), ids=DECOUPLED)
def test_a_model_is_decoupled_or_it_is_unknown(config: str, decoupled: bool | None) -> None:  # noqa: FBT001
    assert completed(made(config, {"1/x": X})).decoupled is decoupled


def test_vllm_adds_the_tensors_of_its_release_that_are_not_listed() -> None:
    listed = 'backend: "vllm" max_batch_size: 8 input { name: "stream" data_type: TYPE_INT8 } output { name: "stream" }'
    found = completed(made(listed, {"1/x": X}, "24.05"))
    assert [port.name for port in found.inputs[:3]] == ["stream", "text_input", "sampling_parameters"]
    assert [port.data_type for port in found.inputs[:2]] == ["TYPE_INT8", "TYPE_STRING"]
    assert [port.name for port in found.outputs] == ["stream", "text_output"]
    assert (found.max_batch_size, found.decoupled, found.exact) == (0, True, True)
    assert found.inputs[1] == ("text_input", "TYPE_STRING", (1,), False, None)
    assert found.inputs[2].optional
    never = completed(made(listed, {"1/x": X}, "24.05", completes=False))
    assert ([port.name for port in never.inputs], never.max_batch_size, never.decoupled) == (["stream"], 8, False)


def test_the_contract_grows_with_the_releases() -> None:
    """Source: vllm_backend, src/model.py, auto_complete_config, branches r24.01, r24.03 and r24.12."""
    names = {
        release: [tensor.name for tensor in contract(release)]
        for release in ("24.01", "24.02", "24.03", "24.11", "24.12")
    }
    assert names["24.01"] == names["24.02"] == ["text_input", "stream", "sampling_parameters", "text_output"]
    assert "exclude_input_in_output" in names["24.03"]
    assert ("image" in names["24.11"], "image" in names["24.12"]) == (False, True)
    text = by_name()["input", "text_input"]
    assert (text.dims, text.since, text.optional) == ((1,), "24.01", False)
    assert ("output", "text_input") not in by_name()


SIZES = {"BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8}
SIZES |= {"FP16": 2, "FP32": 4, "FP64": 8, "BF16": 2, "STRING": 4, "INVALID": 4}


@tabled(("name", "size"), SIZES.items(), ids=SIZES)
def test_an_element_has_the_size_that_the_server_counts(name: str, size: int) -> None:
    assert element_bytes(f"TYPE_{name}") == size
    assert element_bytes("") == 4


def test_tensors_are_the_inputs_then_the_outputs_as_they_are_listed() -> None:
    text = (
        'output { name: "O" reshape { } } input { name: "A" name: "" dims: 1 dims: [ 2 ] optional: true } '
        "input { data_type: 99 reshape { shape: 1 } dims: [ ] } output { optional_: 1 }"
    )
    found = made(text, {}).tensors
    assert [(each.kind, each.item, each.name, each.data_type, list(each.dims)) for each in found] == [
        ("input", 0, "A", "", [1, 2]),
        ("input", 1, "", "99", []),
        ("output", 2, "O", "", []),
        ("output", 3, "", "", []),
    ]
    assert [each.reshape is not None for each in found] == [False, True, True, False]
    assert [each.flag("optional") for each in found] == [True, False, False, False]
    assert "dims" not in found[1].fields


CALLED = '{"b": 1,\n "é": 2}'
PINS: dict[str, tuple[str | bytes, tuple[Call, ...]]] = {
    "two": (CALLED, (Call(Span("p", 1, 2, 1, 5), "b", 1), Call(Span("p", 2, 2, 2, 5), "é", 2))),
    "none": ("{}", ()),
    "a list": ("[1]", ()),
    "a version in quotes": ('{"b": "1"}', ()),
    "a bool": ('{"b": true}', ()),
    "one bad of two": ('{"b": 1, "c": null}', ()),
    "no JSON": ("{", ()),
    "no UTF-8": (b'{"\xff": 1}', ()),
    "nested too deep": ("[" * 60000, ()),
    "an escaped name": ('{"\\u0062": 1}', (Call(Span("p", 1, 1), "b", 1),)),
    "a name with signs": ('{"a.b": 1}', (Call(Span("p", 1, 2, 1, 7), "a.b", 1),)),
    "a name as a value before": ('{ "b" : 1}', (Call(Span("p", 1, 3, 1, 6), "b", 1),)),
    "as large as is read": (
        CALLED.ljust(PINS_BYTES - 1),
        (Call(Span("p", 1, 2), "b", 1), Call(Span("p", 2, 2), "é", 2)),
    ),
    "larger": (CALLED.ljust(PINS_BYTES), ()),
}


@tabled(("text", "found"), PINS.values(), ids=PINS)
def test_calls_are_read_if_the_file_is_ours(text: str | bytes, found: tuple[Call, ...]) -> None:
    got = calls("p", of_bytes(text.encode() if isinstance(text, str) else text))
    assert got == found
    assert [each.at.end_column for each in got] == [each.at.end_column or got[0].at.end_column for each in found]


def test_the_calls_of_a_model_are_those_of_its_served_versions() -> None:
    files = {f"{version}/calls.json": json.dumps({f"c{version}": version}) for version in (1, 2, 3)}
    python = 'backend: "python" version_policy { specific { versions: [ 1, 3 ] } }'
    assert [(call.at.path, call.model) for call in made(python, files).calls] == [
        ("1/calls.json", "c1"),
        ("3/calls.json", "c3"),
    ]
    assert made(python.replace("python", "onnxruntime"), files).calls == ()
    assert made(python, {"1/calls.json": Directory(), "3/x": X}).calls == ()


def test_a_key_is_found_where_a_colon_follows() -> None:
    assert place("p", '["a",\n{"b": "a", "a" : 1}]', "a") == Span("p", 2, 12)
    assert place("p", '{"axb": 1, "a.b": 2}', "a.b") == Span("p", 1, 12)
    assert place("p", "{}", "a") == Span("p", 1, 1)


BESIDE: dict[str, Entry] = {
    "m/config.pbtxt": of_text('backend: "identity"'),
    "m/1/a": X,
    "m/1/link": Outside("/x"),
    "m/1/loop": Link(".."),
    "m/1/pipe": Unreadable.FIFO,
    "m/1/gone": Unreadable.DANGLING,
    "m/1/closed": Unreadable.LOCKED,
    "m/2": Directory(),
    "n/1/b": X,
    "n/m": X,
    "labels.txt": X,
}
FOUND: dict[str, tuple[str, Entry | str]] = {
    "a file": ("1/a", X),
    "the model itself": ("", Directory()),
    "a directory": ("1", Directory()),
    "an empty directory": ("2", Directory()),
    "dots and slashes": ("./1//./a", X),
    "up and down": ("2/../1/a", X),
    "a file beside the model": ("../labels.txt", X),
    "another model's": ("../n/1/b", X),
    "another model's with its name": ("../n/m", X),
    "back into the model": ("../m/1/a", X),
    "the repository": ("..", Directory()),
    "out of the repository": ("../..", Link("..")),
    "out of it and below": ("../../x/y", Link("..")),
    "missing": ("1/x", MISSING),
    "below what is missing": ("x/y", MISSING),
    "up from what is missing": ("x/../1/a", MISSING),
    "below a file": ("1/a/b", NOT_A_DIRECTORY),
    "up from a file": ("1/a/..", NOT_A_DIRECTORY),
    "a file as a directory": ("1/a/", NOT_A_DIRECTORY),
    "below a FIFO": ("1/pipe/b", NOT_A_DIRECTORY),
    "a FIFO": ("1/pipe", Unreadable.FIFO),
    "a dangling link": ("1/gone", MISSING),
    "below a dangling link": ("1/gone/x", MISSING),
    "a directory that is closed": ("1/closed", Link("..")),
    "below it": ("1/closed/x", Link("..")),
    "a link out": ("1/link", Outside("/x")),
    "below a link out": ("1/link/x/..", Outside("/x")),
    "a NUL ends it": ("1/a\0/b", X),
    "as long as a name can be": ("é" * 127 + "x", MISSING),
    "a longer name": ("é" * 128, TOO_LONG),
    "a longer name below what is missing": ("x/" + "y" * 256, MISSING),
}


@tabled(("path", "found"), FOUND.values(), ids=FOUND)
def test_a_path_is_followed_as_a_file_system_does(path: str, found: Entry | str) -> None:
    assert follow(read(BESIDE, target(Said("24.10"))).models["m"], path) == found


def test_a_repository_is_read_in_byte_order() -> None:
    tree: dict[str, Entry] = {
        "é/1/x": X,
        "z/1/x": X,
        "Z/1/x": X,
        "f": X,
        "closed": Unreadable.LOCKED,
        "away": Outside("/"),
    }
    found = read(tree, target(Said("24.10")), "root")
    assert list(found.models) == ["Z", "away", "closed", "z", "é"]
    assert list(found.strays) == ["f"]
    assert (found.root, found.models["z"].root, found.models["z"].beside) == ("root", "root", tree)
    assert [found.models[name].odd for name in ("closed", "away", "z")] == [
        (("", Unreadable.LOCKED),),
        (("", Outside("/")),),
        (),
    ]
    assert [name for name, each in found.models.items() if each.hidden] == ["away", "closed"]


def test_a_models_name_is_compared_alone_and_not_with_its_paths() -> None:
    tree = {"a-b/1/x": X, "a/1/x": X}
    assert list(read(tree, target(Said("24.10"))).models) == ["a", "a-b"]


def test_a_model_says_what_rules_ask_of_it() -> None:
    found = made('name: "other" backend: "x" max_batch_size: 3 input { dims: 1 } foo: 1', {"10/a": X, "9/a": X, "b": X})
    assert (found.config_name, found.max_batch_size, found.directories, found.served) == (
        "other",
        3,
        ("10", "9"),
        (10,),
    )
    assert found.children == {"10": None, "9": None, "b": X, "config.pbtxt": found.entries["config.pbtxt"]}
    assert found.fields == {"name", "backend", "max_batch_size", "input"}
    assert found.traits >= {"backend=x", "text=broken", "input", "*.dims", "*.input"}
    assert "dims" not in found.traits
    assert found.unknown
    clean = made('backend: "x"', {})
    assert (clean.config_name, clean.max_batch_size, clean.served, clean.unknown) == ("m", 0, (), False)
    assert "text=broken" not in clean.traits
    assert clean.directory_of(-1) == "18446744073709551615"
    assert (clean.directory_of(7), clean.is_ensemble, made('platform: "ensemble"', {}).is_ensemble) == (
        "7",
        False,
        True,
    )


def test_a_place_in_a_model_is_the_configs_a_paths_or_the_models() -> None:
    found = made('backend: "x"', {})
    assert found.at() == Span("m/config.pbtxt")
    assert found.at("1/a") == Span("m/1/a")
    assert found.at("") == Span("m")
    assert found.at(found.config.fields[0].value) == Span("m/config.pbtxt", 1, 10)
    assert made(None, {}).at() == Span("m")


IGNORED = {
    "on its line": ('name: "m"\nbackend: "x" # tritonrepo: ignore[a, b c] why', 2, 14, ["a", "b c"], "why", 2),
    "for the next line": ('name: "m"\n# tritonrepo: ignore[a]\n# x\n\nbackend: "x"', 2, 1, ["a"], "", 5),
    "for the model": ('\n# tritonrepo: ignore[a] \nname: "m"', 2, 1, ["a"], "", 0),
    "with more signs and blanks": ('name: "m"  ##tritonrepo:ignore [ a ,,b ]x ', 1, 12, ["a", "b"], "x", 1),
    "no names": ('name: "m" # tritonrepo: ignore[]', 1, 11, [], "", 1),
    "not readable": ('name: "m" # tritonrepo: ingore[a]', 1, 11, [], "", 1),
}


@tabled(("text", "line", "column", "names", "reason", "covers"), IGNORED.values(), ids=IGNORED)
def test_a_comment_is_read_with_its_names_and_reason(
    text: str, line: int, column: int, names: list[str], reason: str, covers: int
) -> None:
    (found,) = ignores(made(text, {}))
    assert (found.model, found.at) == ("m", Span("m/config.pbtxt", line, column))
    assert ([name.text for name in found.names], found.reason, found.line) == (names, reason, covers)
    written = text.split("\n")[line - 1]
    assert all(written[name.at.column - 1 :].startswith(name.text) for name in found.names)
    assert all(name.at.line == line for name in found.names)


def test_a_comment_covers_its_line_of_its_file() -> None:
    (found,) = ignores(made('name: "m"\n# tritonrepo: ignore[a]\nbackend: "x"', {}))

    def at(path: str, line: int) -> Diagnostic:
        return Diagnostic("a", Severity.ERROR, Span(path, line, 1), "x")

    assert found.covers(at("m/config.pbtxt", 3))
    assert not found.covers(at("m/config.pbtxt", 2))
    assert not found.covers(at("n/config.pbtxt", 3))
    (whole,) = ignores(made("# tritonrepo: ignore[a]", {}))
    assert whole.covers(at("m/1/model.py", 9))


def test_comments_are_read_up_to_limits() -> None:
    line = "# tritonrepo: ignore[{}]\n"
    assert len(list(ignores(made(line.format("a") * 60, {})))) == 50
    assert len(list(ignores(made(line.format("") * 60, {})))) == 50
    assert len(list(ignores(made(line.format("a, b") * 60, {})))) == 25
    (many,) = ignores(made(line.format(", ".join("a" * 60)), {}))
    assert len(many.names) == 50
    whole = line.format("a").encode()
    for size, count in ((SEARCHED_BYTES, 1), (SEARCHED_BYTES + 1, 0)):
        entry = of_bytes(whole.ljust(size))
        assert len(list(ignores(model("m", {"config.pbtxt": entry}, target())))) == count
    assert not list(ignores(made("# tritonrep: ignore[a]", {})))
    assert not list(ignores(made("# see tritonrepo: ignore[a]", {})))


def test_what_is_unknown_of_a_release_is_told() -> None:
    (told,) = unknown(target(Said("26.11")), Span("p"))
    assert (told.rule, told.severity, told.at) == ("release-incomplete", Severity.INFO, Span("p"))
    assert not list(unknown(target(Said("24.10")), Span("p")))


def test_what_is_computed_once_is_kept_with_its_owner() -> None:
    class Owner:
        def __init__(self) -> None:
            self.memo: Memo = {}

    asked: list[tuple[Owner, int]] = []

    @once
    def work(owner: Owner, number: int) -> int | None:
        asked.append((owner, number))
        return None if number else 7

    @once
    def other(owner: Owner) -> int:
        return len(asked) + len(owner.memo)

    first, second = Owner(), Owner()
    assert (work(first, 0), work(first, 0), work(second, 1), work(second, 1)) == (7, 7, None, None)
    assert asked == [(first, 0), (second, 1)]
    assert other(first) == 3


def test_a_config_is_read_up_to_its_limit() -> None:
    def unread(_: int, __: int) -> bytes:
        raise AssertionError

    huge = model("m", {"config.pbtxt": File((64 << 20) + 1, unread)}, target())
    assert (huge.parsed, huge.hidden, huge.unknown) == (None, True, True)
    asked: list[int] = []

    def nothing(_: int, count: int) -> bytes:
        asked.append(count)
        return b""

    assert not model("m", {"config.pbtxt": File(64 << 20, nothing)}, target()).hidden
    assert asked
