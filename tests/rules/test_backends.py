"""Corner cases of the rules on model files and on vLLM."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from tests.pages import DATA, judged, loud
from tests.tabled import tabled
from tritonrepo.cli import run
from tritonrepo.diagnostics import State
from tritonrepo.llm.gpus import gpu
from tritonrepo.tree import Directory, Entry, Link, Unreadable, of_bytes, of_text

PYTHON = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
PY = 'backend: "python"\n' + IO
ONNX = 'backend: "onnxruntime"\n' + IO
VLLM = 'backend: "vllm"\ninstance_group { kind: KIND_MODEL }\n'
TEXT = 'input { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }\n'
TEXT += 'output { name: "text_output" data_type: TYPE_STRING dims: [ -1 ] }\n'
DECOUPLED = "model_transaction_policy { decoupled: true }\n"
FULL = {"1/model.json": '{"model": "m"}'}
STRICT = "--no-auto-complete"
PLAIN = (DATA / "onnx" / "plain.onnx").read_bytes()


class Case(NamedTuple):
    """A model "m": its config, its other files, rule and start of reason of its verdict, all that speaks."""

    config: str
    files: Mapping[str, str | bytes | Entry]
    rule: str = ""
    reason: str = ""
    spoken: frozenset[str] | None = None
    options: str = ""


def entry(content: str | bytes | Entry) -> Entry:
    """Return the entry with a content."""
    if isinstance(content, str) and not isinstance(content, Unreadable):
        return of_text(content)
    return of_bytes(content) if isinstance(content, bytes) else content


def tree(case: Case) -> dict[str, Entry]:
    """Return the case's repository."""
    return {"m/config.pbtxt": of_text(case.config)} | {f"m/{path}": entry(e) for path, e in case.files.items()}


NAMES = {
    "input": ("prompt", 'Use "text_input", '),
    "output": ("text", 'Use "text_output", '),
    "none": ("top_k", "Remove it."),
}


@pytest.mark.parametrize(("name", "hint"), NAMES.values(), ids=NAMES)
def test_a_text_by_another_name_is_told_by_that_of_the_backend(name: str, hint: str) -> None:
    kind = "output" if name == "text" else "input"
    config = f'{VLLM}{kind} {{ name: "{name}" data_type: TYPE_STRING dims: [ 1 ] }}\n'
    (found,) = judged(tree(Case(config, FULL))).diagnostics
    assert found.rule == "vllm-io-extra"
    assert found.hint.startswith(hint)


JSON_HINTS = {
    "a trailing comma": ('{\n "model": "m",\n}', "Remove the comma before } on line 2."),
    "a trailing comma in a list": ('{"model": ["m", ]}', "Remove the comma before ] on line 1."),
    "a comment": ('{\n // m\n "model": "m"}', "Remove the comment. JSON has none."),
    "a comment at the end of a line": ('{"model": "m" # m\n}', "Remove the comment. JSON has none."),
    "a comment in C": ('{"model": /* m */ "m"}', "Remove the comment. JSON has none."),
    "Python's quotes": ("{'model': 'm'}", 'Write names and strings in double quotes, such as "model".'),
    "Python's true": ('{"model": "m", "enforce_eager": True}', "Write true."),
    "Python's null": ('{"model": "m", "seed": None}', "Write null."),
    "a word": ('{"model": m}', 'Write "m" in double quotes.'),
    "a name": ('{model: "m"}', 'Write "model" in double quotes.'),
    "no comma": ('{"model": "m"\n "seed": 1}', "Add a comma after the value that ends on line 1."),
    "YAML": ("model: m\nseed: 1\n", 'Write JSON instead of YAML, beginning with `{"model": `.'),
    "a template": (
        '{"model": ${MODEL}}',
        "Replace the placeholder with a value. The file looks like an unrendered template.",
    ),
    "nothing": ("", 'Write at least `{"model": "…"}`.'),
    "an open string": ('{"model": "m\n"}', "Close the quotes on the line where they are opened."),
    "an escape": (r'{"model": "\m"}', "Write \\\\ for a backslash."),
    "two objects": ('{"model": "m"}}', "Remove what follows the object."),
    "anything else": ('{"model": .}', "Fix the JSON syntax here."),
}


@tabled(("text", "hint"), JSON_HINTS.values(), ids=JSON_HINTS)
def test_what_is_no_json_is_told_as_what_it_is(text: str, hint: str) -> None:
    case = Case(VLLM, {"1/model.json": text})
    found = judged(tree(case)).diagnostics
    assert [(each.rule, each.hint) for each in found] == [("vllm-model-json-syntax", hint)]


SETTINGS = {
    "adapters": ("lora_modules", "24.10", "create a multi_lora.json next to model.json"),
    "adapters before there were any": ("lora_modules", "24.02", "It is an option of vLLM's own server."),
    "an option of the server": ("--chat-template", "24.10", "It is an option of vLLM's own server."),
    "a sampling parameter": ("temperature", "24.10", "send it as JSON in sampling_parameters of each request."),
    "a misspelt argument": ("gpu_memory_utilisation", "24.10", 'Did you mean "gpu_memory_utilization"?'),
}


@tabled(("key", "release", "hint"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_of_something_else_is_told_where_it_goes(key: str, release: str, hint: str) -> None:
    case = Case(VLLM, {"1/model.json": json.dumps({"model": "m", key: 1})})
    (found,) = [
        each
        for each in judged(tree(case), f"--release {release}").diagnostics
        if each.rule == "vllm-unknown-engine-arg"
    ]
    assert hint in found.hint


HANG = "python-model-file-missing-hang"
FILES = {
    "model.py": Case(PY, {"1/model.py": PYTHON}),
    "an empty version directory": Case(PY, {"1": Directory()}, HANG, "Python model file not found in"),
    "a version that is not served": Case(PY, {"1": Directory(), "2/model.py": PYTHON}),
    "a directory called model.py": Case(
        PY, {"1/model.py/x": ""}, "python-model-file-is-directory", "ModuleNotFoundError: No module named '1.model'"
    ),
    "a package next to a directory called model.py": Case(PY, {"1/model.py/x": "", "1/model/__init__.py": PYTHON}),
    "a dangling link": Case(PY, {"1/model.py": Unreadable.DANGLING}, HANG, "Python model file not found in"),
    "a negative version is opened by another number": Case(
        PY + "version_policy { all { } }\n",
        {"1/model.py": PYTHON, "-1/model.py": PYTHON},
        HANG,
        "Python model file not found in",
        frozenset({HANG, "version-negative"}),
    ),
    "a link that is not followed": Case(PY, {"1/model.py": Link("/elsewhere/model.py")}),
    "another name": Case(PY + 'default_model_filename: "main.py"\n', {"1/main.py": PYTHON}),
    "another name in a directory": Case(PY + 'default_model_filename: "a/main.py"\n', {"1/a/main.py": PYTHON}),
    "an absolute name is below the version": Case(
        PY + 'default_model_filename: "/etc/hostname"\n',
        {"1/model.py": PYTHON},
        HANG,
        "Python model file not found in",
        frozenset({HANG, "python-filename-extension"}),
    ),
    "a path outside the model is not checked": Case(
        PY + 'default_model_filename: "../../x.py"\n',
        {"1/model.py": PYTHON},
        "python-filename-import",
        "ModuleNotFoundError: No module named '.'",
    ),
    "model.py next to the config": Case(
        PY, {"1": Directory(), "model.py": PYTHON}, HANG, "Python model file not found in"
    ),
    "a later release refuses the model": Case(
        PY, {"1": Directory()}, "python-model-file-missing", "Python model file not found in", options="--release 25.09"
    ),
    "model.onnx as a directory": Case(ONNX, {"1/model.onnx/model.onnx": PLAIN}),
    "a directory called model.onnx without one": Case(
        ONNX,
        {"1/model.onnx/a": "x"},
        "onnx-directory-form",
        "m/1/model.onnx/model.onnx' for model instance 'm",
        options=STRICT,
    ),
    "a link called model.onnx": Case(ONNX, {"1/model.onnx": Link("/elsewhere")}),
    "no model.onnx": Case(
        ONNX, {"1/a.onnx": "x"}, "onnx-model-file-missing", "m/1/model.onnx' for model instance 'm", options=STRICT
    ),
    "an unknown backend": Case('backend: "identity"\n' + IO, {"1": Directory()}),
}

CONTRACT = {
    "an empty config": Case(VLLM, FULL),
    "all that is needed without auto-complete": Case(VLLM + TEXT + DECOUPLED, FULL, options=STRICT),
    "an output with only a name is not completed": Case(
        VLLM + 'output { name: "text_output" dims: [ -1 ] }\n',
        FULL,
        "io-data-type-missing",
        "model output 'text_output' must specify 'data_type' for m",
    ),
    "an empty policy means false": Case(
        VLLM + "model_transaction_policy { }\n",
        FULL,
        "vllm-decoupled-false",
        "ValueError: trying to change decoupled property in auto-complete-config for model 'm', which is already set",
    ),
    "decoupled comes before the batch size": Case(
        VLLM + "max_batch_size: 8\nmodel_transaction_policy { decoupled: false }\n",
        FULL,
        "vllm-decoupled-false",
        "ValueError: trying to change",
        frozenset({"vllm-decoupled-false", "vllm-max-batch-size"}),
    ),
    "text_output comes first without auto-complete": Case(
        VLLM,
        {"1": Directory()},
        "vllm-text-output-missing",
        "TypeError: 'NoneType' object is not subscriptable",
        frozenset({"vllm-text-output-missing", "vllm-not-decoupled", "vllm-model-json-missing"}),
        STRICT,
    ),
    "a batch size loads without auto-complete": Case(
        VLLM + "max_batch_size: 8\n" + TEXT + DECOUPLED,
        FULL,
        spoken=frozenset({"vllm-max-batch-size-unchecked"}),
        options=STRICT,
    ),
    "a tensor of a later release": Case(
        VLLM + 'input { name: "embedding_request" data_type: TYPE_STRING dims: [ 1 ] optional: true }\n',
        FULL,
        spoken=frozenset({"vllm-contract-too-new"}),
        options="--release 25.10",
    ),
    "that tensor in its release": Case(
        VLLM + 'input { name: "embedding_request" data_type: TYPE_STRING dims: [ 1 ] optional: true }\n',
        FULL,
        options="--release 25.11",
    ),
    "a wrong type loads because the backend does not check it": Case(
        VLLM + TEXT.replace("TYPE_STRING", "TYPE_INT32", 1), FULL, spoken=frozenset({"vllm-io-contract"})
    ),
    "only the name makes it vLLM": Case("instance_group { kind: KIND_MODEL }\n", FULL),
}

LORA = '{"model": "m", "enable_lora": "true"}'
NO_KEYS = "object has no attribute 'keys'"
ADAPTERS: dict[str, tuple[str, str | None, str, str, str]] = {
    "no file": (LORA, None, "vllm-lora-file-missing", "Triton backend cannot find", ""),
    "no file, and a boolean": (LORA.replace('"true"', "true"), None, "vllm-lora-file-missing", "Triton backend", ""),
    "adapters are off": (LORA.replace('"true"', "false"), None, "", "", ""),
    "a file": (LORA, '{"a": "/lora/a"}', "", "", ""),
    "a list": (LORA, '["/lora/a"]', "vllm-lora-file-shape", f"AttributeError: 'list' {NO_KEYS}", ""),
    "not JSON": (LORA, "{", "vllm-lora-file-shape", "JSONDecodeError: Expecting property name", ""),
    "before there were adapters": (LORA, None, "", "", "--release 24.04"),
    "a boolean where a string is needed": (
        LORA.replace('"true"', "false"),
        None,
        "vllm-enable-lora-type",
        "AttributeError: 'bool' object has no attribute 'lower'",
        "--release 24.06",
    ),
}


@tabled(("text", "beside", "rule", "reason", "options"), ADAPTERS.values(), ids=ADAPTERS)
def test_adapters(text: str, beside: str | None, rule: str, reason: str, options: str) -> None:
    files = {"m/config.pbtxt": of_text(VLLM), "m/1/model.json": of_text(text)}
    files |= {"m/1/multi_lora.json": of_text(beside)} if beside is not None else {}
    (verdict,) = judged(files, options).verdicts
    assert verdict.rule == rule
    assert verdict.server_reason.startswith(reason)


UNREADABLE = {
    "a byte order mark at the start": (
        b"\xef\xbb\xbf{}",
        "is not valid JSON: Unexpected UTF-8 BOM",
        "Save the file as UTF-8 without a byte order mark.",
    ),
    "depth": (b"[" * 100_000, "cannot be read: it is nested too deeply", "Fix the JSON."),
    "digits": (b"9" * 5000, "cannot be read: an integer has more than 4300 digits", "Fix the JSON."),
    "an unterminated string": (
        b'{"a',
        "is not valid JSON: Unterminated string starting here",
        "Close the quotes.",
    ),
}


@pytest.mark.parametrize(("text", "said", "hint"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_is_described_in_our_words(text: bytes, said: str, hint: str) -> None:
    found = judged({"m/config.pbtxt": of_text(VLLM), "m/1/model.json": of_bytes(text)}).diagnostics
    assert [(each.message, each.hint) for each in found if each.rule == "vllm-model-json-syntax"] == [
        (f"model.json {said}", hint)
    ]


ARGUMENTS: dict[str, tuple[str | bytes, str, str, str]] = {
    "an empty file": (b"", "vllm-model-json-syntax", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)", ""),
    "a byte order mark": (
        b'\xef\xbb\xbf{"model": "m"}',
        "vllm-model-json-syntax",
        "JSONDecodeError: Unexpected UTF-8 BOM",
        "",
    ),
    "a trailing comma in a list": (
        '{"model": "m", "x": [1, ]}',
        "vllm-model-json-syntax",
        "JSONDecodeError: Expecting value: line 1 column 25 (char 24)",
        "",
    ),
    "not UTF-8": (b'{"model": "\xff"}', "vllm-model-json-syntax", "UnicodeDecodeError: ", ""),
    "nested too deeply": ("[" * 100_000, "vllm-model-json-syntax", "RecursionError: ", ""),
    "NaN is JSON to Python": ('{"model": "m", "gpu_memory_utilization": NaN}', "", "", ""),
    "null": ("null", "vllm-model-json-not-object", "AttributeError: 'NoneType' object has no attribute 'get'", ""),
    "a string": ('"m"', "vllm-model-json-not-object", "AttributeError: 'str' object has no attribute 'get'", ""),
    "a list, before the device was checked": (
        "[]",
        "vllm-model-json-not-object",
        "argument after ** must be a mapping, not list",
        "--release 24.05",
    ),
    "a size as a string": ('{"model": "m", "tensor_parallel_size": "2"}', "vllm-value-type", "not supported", ""),
    "a size of null": (
        '{"model": "m", "tensor_parallel_size": null}',
        "vllm-parallel-size-not-int",
        "TypeError: int() ",
        "",
    ),
    "the first unknown key in the file's order": (
        '{"model": "m", "zzz": 1, "async_scheduling": true}',
        "vllm-unknown-engine-arg",
        "TypeError: AsyncEngineArgs.__init__() got an unexpected keyword argument 'zzz'",
        "",
    ),
    "an unknown key comes before a missing model": (
        '{"zzz": 1}',
        "vllm-unknown-engine-arg",
        "TypeError: ",
        "--release 24.09",
    ),
    "no model, and vLLM has no default": ("{}", "vllm-model-key-missing", "TypeError: ", "--release 24.09"),
    "no model, and vLLM has a default": ("{}", "", "", ""),
    "a key of either build": ('{"model": "m", "qlora_adapter_name_or_path": "x"}', "", "", "--release 24.08"),
    "a key that is still there": ('{"model": "m", "swap_space": 1}', "", "", "--release 26.03"),
    "a key that is gone": (
        '{"model": "m", "swap_space": 1}',
        "vllm-removed-engine-arg",
        "TypeError: ",
        "--release 26.04",
    ),
    "an uncertain key": ('{"model": "m", "kernel_config": {}}', "", "", "--release 26.02"),
    "two GPUs of KIND_MODEL": ('{"model": "m", "tensor_parallel_size": 2}', "", "", "--gpus 2"),
}


@tabled("case", [*FILES.values(), *CONTRACT.values()], ids=[*FILES, *CONTRACT])
def test_verdict_and_words(case: Case) -> None:
    name = "m.vllm" if "backend" not in case.config else "m"
    files = {path.replace("m/", f"{name}/", 1): e for path, e in tree(case).items()}
    (verdict,) = judged(files, case.options).verdicts
    assert verdict.rule == case.rule
    assert verdict.server_reason.startswith(case.reason)
    assert loud(files, case.options) == (case.spoken if case.spoken is not None else {case.rule} - {""})


@tabled(("text", "rule", "reason", "options"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_model_json(text: str | bytes, rule: str, reason: str, options: str) -> None:
    (verdict,) = judged(tree(Case(VLLM, {"1/model.json": text})), options).verdicts
    assert verdict.rule == rule
    assert verdict.server_reason.startswith(reason)


REMOVED = {
    "a name that only changed": ("26.08", "override_pooler_config", "{}", "Use pooler_config instead."),
    "a meaning that is the opposite": (
        "25.09",
        "disable_log_requests",
        "true",
        'Set `"enable_log_requests": false` instead.',
    ),
    "the opposite the other way round": (
        "25.09",
        "disable_log_requests",
        "false",
        'Set `"enable_log_requests": true` instead.',
    ),
    "the opposite of what is not a boolean": (
        "25.09",
        "disable_log_requests",
        "null",
        "Remove it. If you still need its effect, set enable_log_requests, which takes other values.",
    ),
    "a key of an object": (
        "25.09",
        "speculative_model",
        '"x"',
        "Remove it, or configure it in speculative_config.",
    ),
    "other values": (
        "26.08",
        "task",
        '"embed"',
        "Remove it. If you still need its effect, set runner, which takes other values.",
    ),
    "no replacement": ("26.04", "swap_space", "1", "Remove it, or use a release with vLLM 0.17.1 or earlier."),
    "a replacement that is also gone": (
        "26.08",
        "max_context_len_to_capture",
        "1",
        "Remove it, or use a release with vLLM 0.6.3.post1 or earlier.",
    ),
}


@tabled(("release", "key", "value", "hint"), REMOVED.values(), ids=REMOVED)
def test_the_replacement_of_a_removed_argument(release: str, key: str, value: str, hint: str) -> None:
    text = f'{{"model": "m", "{key}": {value}}}'
    (found,) = judged(tree(Case(VLLM, {"1/model.json": text})), f"--release {release}").diagnostics
    assert (found.rule, found.hint) == ("vllm-removed-engine-arg", hint)


LISTED = {
    "a type": ("TYPE_INT32 dims: [ 1 ]", "TYPE_INT32 [ 1 ]", "", ", or remove the input: auto-complete adds it"),
    "dims": ("TYPE_STRING dims: [ 2, 3 ]", "TYPE_STRING [ 2, 3 ]", "", ", or remove the input: auto-complete adds it"),
    "a type that nothing completes": ("TYPE_INT32 dims: [ 1 ]", "TYPE_INT32 [ 1 ]", STRICT, ""),
}


@pytest.mark.parametrize(("given", "shown", "options", "removed"), LISTED.values(), ids=LISTED)
def test_the_type_and_dims_that_are_found_are_shown(given: str, shown: str, options: str, removed: str) -> None:
    config = VLLM + TEXT.replace("TYPE_STRING dims: [ 1 ]", given) + DECOUPLED
    found = next(d for d in judged(tree(Case(config, FULL)), options).diagnostics if d.rule == "vllm-io-contract")
    assert found.message == f'input "text_input" is {shown}, but the vLLM backend always uses TYPE_STRING [ 1 ]'
    assert found.hint == f"Use TYPE_STRING [ 1 ]{removed}."


def test_a_missing_model_py_hangs_the_server() -> None:
    (verdict,) = judged(tree(FILES["an empty version directory"])).verdicts
    assert verdict.verdict is State.HANG


GOOD: dict[str, Entry] = {"good/config.pbtxt": of_text(PY), "good/1/model.py": of_text(PYTHON)}
HANGS: dict[str, Entry] = {"hang/config.pbtxt": of_text(PY), "hang/1": Directory()}
REFUSED: dict[str, Entry] = {
    "bad/config.pbtxt": of_text(PY + "max_batch_size: -1\n"),
    "bad/1/model.py": of_text(PYTHON),
}
ENDS: dict[str, Entry] = {"end/config.pbtxt": Directory(), "end/1/model.py": of_text(PYTHON)}
OTHERS: dict[str, tuple[Mapping[str, Entry], dict[str, State]]] = {
    "one that loads": (GOOD | HANGS, {"good": State.HANG, "hang": State.HANG}),
    "one that is refused": (GOOD | HANGS | REFUSED, {"bad": State.REFUSED, "good": State.HANG, "hang": State.HANG}),
    "one that crashes the server": (GOOD | HANGS | ENDS, {"end": State.CRASH, "good": State.CRASH, "hang": State.HANG}),
    "one that loads, and one that is refused": (GOOD | REFUSED, {"bad": State.REFUSED, "good": State.READY}),
}


@pytest.mark.parametrize(("files", "states"), OTHERS.values(), ids=OTHERS)
def test_nothing_is_served_beside_a_model_that_hangs(files: Mapping[str, Entry], states: Mapping[str, State]) -> None:
    verdicts = judged(files).verdicts
    assert {each.model: each.verdict for each in verdicts} == states
    assert all(each.rule and each.server_reason for each in verdicts if each.verdict is not State.READY)


def test_two_gpus_of_an_instance_that_has_one() -> None:
    case = Case('backend: "vllm"\n', {"1/model.json": '{"model": "m", "tensor_parallel_size": 2}'})
    assert judged(tree(case), "--gpus 2").verdicts[0].rule == "vllm-kind-gpu-multi-gpu"
    assert not judged(tree(case), "--gpus 0").verdicts[0].rule


MULTI, WHOLE = "vllm-kind-gpu-multi-gpu", "vllm-parallel-size-not-int"
GPUS = {
    "one GPU": ('"tensor_parallel_size": 1, "pipeline_parallel_size": 1', "26.01", ""),
    "two": ('"tensor_parallel_size": 2', "24.06", MULTI),
    "two before the check existed": ('"tensor_parallel_size": 2', "24.05", ""),
    "none": ('"tensor_parallel_size": 0', "24.06", ""),
    "two stages": ('"pipeline_parallel_size": 2', "26.01", MULTI),
    "two stages before the check existed": ('"pipeline_parallel_size": 2', "25.12", ""),
    "stages that are not a number": ('"tensor_parallel_size": 2, "pipeline_parallel_size": "x"', "26.01", WHOLE),
    "not a number": ('"tensor_parallel_size": "x"', "24.06", WHOLE),
    "not a number before the check existed": ('"tensor_parallel_size": "x"', "24.05", "vllm-value-type"),
    "a list and one stage": ('"tensor_parallel_size": [], "pipeline_parallel_size": 1', "26.01", WHOLE),
}


@tabled(("given", "release", "rule"), GPUS.values(), ids=GPUS)
def test_an_instance_has_one_gpu(given: str, release: str, rule: str) -> None:
    case = Case('backend: "vllm"\n', {"1/model.json": f'{{"model": "m", {given}}}'})
    found = judged(tree(case), f"--gpus 2 --release {release} --image vllm-python-py3")
    assert found.verdicts[0].rule == rule


@pytest.mark.parametrize(
    ("text", "newer", "place", "reason"),
    [
        ('{"a": 1,\n }', "object", 7, "Expecting property name enclosed in double quotes: line 2 column 2 (char 10)"),
        ("[1, ]", "array", 2, "Expecting value: line 1 column 5 (char 4)"),
    ],
    ids=["object", "array"],
)
def test_a_newer_python_reports_a_trailing_comma_in_other_words_than_the_server(
    text: str, newer: str, place: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads(_: str) -> None:
        raise json.JSONDecodeError(f"Illegal trailing comma before end of {newer}", text, place)

    monkeypatch.setattr(json, "loads", loads)
    (verdict,) = judged(tree(Case(VLLM, {"1/model.json": text}))).verdicts
    assert verdict.server_reason == f"JSONDecodeError: {reason}"


def test_an_unreadable_file_is_not_renamed_to_itself() -> None:
    case = Case("", {"1/model.onnx": Unreadable.DANGLING, "1/model.py": PYTHON})
    hints = {found.rule: found.hint for found in judged(tree(case)).diagnostics}
    assert hints["onnx-model-file-missing"] == "Replace model.onnx, which is not a readable file, with the model file."


CAPABILITIES = {
    "T4": "7.5",
    "tesla t4": "7.5",
    "NVIDIA A100-SXM4-80GB": "8.0",
    "A100-80GB": "8.0",
    "A10": "8.6",
    "NVIDIA GeForce RTX 4090": "8.9",
    "NVIDIA H100 80GB HBM3": "9.0",
    "H100-NVL": "9.0",
    "RTX 6000 Ada": "8.9",
    "V100": "7.0",
    "A1000": None,
    "80GB": None,
    "": None,
}


@tabled(("name", "capability"), CAPABILITIES.items(), ids=CAPABILITIES)
def test_a_gpu_is_known_by_the_names_that_drivers_and_people_use(name: str, capability: str | None) -> None:
    found = gpu(name)
    assert (found and found.capability) == capability


FIL = 'backend: "fil"\ninput { name: "x" data_type: TYPE_FP32 dims: 4 }\n'
FIL += 'output { name: "y" data_type: TYPE_FP32 dims: 1 }\n'
OLD = {
    "CUDA 13 on Volta": (FIL, "--release 25.08 --gpus 1 --gpu V100", "gpu-too-old"),
    "CUDA 12 on Volta": (FIL, "--release 25.07 --gpus 1 --gpu V100", ""),
    "Turing": (FIL, "--release 26.08 --gpus 1 --gpu T4", ""),
    "Maxwell": (FIL, "--release 24.01 --gpus 1 --gpu M60", "gpu-too-old"),
    "a release about which nothing is known": (FIL, "--release 26.11 --gpus 1 --gpu M60", ""),
    "no GPU": (FIL, "--release 26.08 --gpus 0 --gpu V100", ""),
    "on the CPU": (FIL + "instance_group { kind: KIND_CPU }\n", "--release 26.08 --gpus 1 --gpu V100", ""),
    "no CUDA": (FIL.replace("fil", "python"), "--release 26.08 --gpus 1 --gpu V100", ""),
}


@tabled(("config", "options", "rule"), OLD.values(), ids=OLD)
def test_a_gpu_that_is_too_old_for_the_release(config: str, options: str, rule: str) -> None:
    tree = {"m/config.pbtxt": of_text(config), "m/1/xgboost.model": of_text(""), "m/1/model.py": of_text("")}
    found = [each.rule for each in judged(tree, options).diagnostics if "gpu" in each.rule]
    assert found == [rule][: bool(rule)]


HALF = {
    "bfloat16 on Turing": ('"bfloat16"', "T4", "vllm-bf16-old-gpu"),
    "bfloat16 on Ampere": ('"bfloat16"', "A10G", ""),
    "half on Turing": ('"half"', "T4", ""),
    "the model's own": ('"auto"', "T4", ""),
    "no text": ("16", "T4", ""),
}


@tabled(("dtype", "name", "rule"), HALF.values(), ids=HALF)
def test_bfloat16_needs_ampere(dtype: str, name: str, rule: str) -> None:
    tree = {
        "m/config.pbtxt": of_text('backend: "vllm"\n'),
        "m/1/model.json": of_text(f'{{"model": "o/m", "dtype": {dtype}}}'),
    }
    found = [each.rule for each in judged(tree, f"--gpus 1 --gpu {name}").diagnostics if "gpu" in each.rule]
    assert found == [rule][: bool(rule)]
    assert "vllm-bf16-old-gpu" not in [each.rule for each in judged(tree, f"--gpus 0 --gpu {name}").diagnostics]


def test_a_gpu_that_nobody_knows_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", ".", "--gpu", "A1OO"]) == 2
    assert 'unknown GPU "A1OO". Use one of 36 names. The closest are: A16, A10,' in capsys.readouterr().err
