"""Corner cases of the fixes for configs of vLLM, TensorRT and Python models: how the config is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.fixes import after, applied
from tritonrepo.tree import Entry, File, Tree, of_bytes, of_text

STRICT = "--no-auto-complete"
TEXTS = (
    'input { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }\n'
    'output { name: "text_output" data_type: TYPE_STRING dims: [ -1 ] }\n'
)
SOURCE = "class TritonPythonModel:\n    def execute(self, requests):\n        return [None for _ in requests]\n"
IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'


class Fixed(NamedTuple):
    """A rule, the config that it fixes, without its backend, and what that becomes."""

    rule: str
    config: str
    becomes: str
    safe: bool = True
    options: str = ""


def mended(tree: Tree, rule: str, options: str = "") -> tuple[dict[str, Entry], list[bool]]:
    """Return the tree with the fixes of one rule, and whether each is safe."""
    fixes = [each.fix for each in judged(tree, options).diagnostics if each.rule == rule and each.fix is not None]
    return after(tree, applied(tree, fixes).steps), [fix.safe for fix in fixes]


def text(tree: Mapping[str, Entry], path: str) -> str:
    entry = tree[path]
    assert isinstance(entry, File)
    return entry.content().decode()


def llm(config: str, model_json: str = '{"model": "m"}') -> dict[str, Entry]:
    return {"m/config.pbtxt": of_bytes(config.encode()), "m/1/model.json": of_text(model_json)}


GPUS = "--gpus 2"
TWO = '{"model": "m", "tensor_parallel_size": 2}'
VLLM = {
    "decoupled in an empty policy": Fixed(
        "vllm-decoupled-false", "model_transaction_policy {}", "model_transaction_policy { decoupled: true }"
    ),
    "a policy in angle brackets, split over lines": Fixed(
        "vllm-decoupled-false",
        "model_transaction_policy <\r\n  decoupled:\r\n    false;  # no\r\n>\r\n",
        "model_transaction_policy <\r\n  decoupled:\r\n    true;  # no\r\n>\r\n",
    ),
    "a policy is added after what precedes it": Fixed(
        "vllm-not-decoupled",
        f"{TEXTS}# runs on one GPU\ninstance_group {{ kind: KIND_MODEL }}",
        f"{TEXTS}# runs on one GPU\ninstance_group {{ kind: KIND_MODEL }}\n"
        "model_transaction_policy { decoupled: true }",
        options=STRICT,
    ),
    "a hexadecimal batch size with a separator": Fixed(
        "vllm-max-batch-size", "max_batch_size: 0x8; name: 'm'", "max_batch_size: 0; name: 'm'"
    ),
    "a batch size of a server that does not look": Fixed(
        "vllm-max-batch-size-unchecked",
        f"max_batch_size: 8 # as for BERT\n{TEXTS}",
        f"max_batch_size: 0 # as for BERT\n{TEXTS}",
        safe=False,
        options=STRICT,
    ),
    "both texts in a config without a line end": Fixed(
        "vllm-text-output-missing", 'name: "m"', f'name: "m"\n{TEXTS}'.rstrip(), options=STRICT
    ),
    "an output after a list of inputs": Fixed(
        "vllm-text-output-missing",
        'input [ { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] } ]\n',
        'input [ { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] } ]\n'
        'output { name: "text_output" data_type: TYPE_STRING dims: [ -1 ] }\n',
        options=STRICT,
    ),
    "an input, where another may be meant": Fixed(
        "vllm-text-input-missing",
        'input { name: "prompt" data_type: TYPE_STRING dims: [ 1 ] }\n' + TEXTS.splitlines()[1],
        'input { name: "prompt" data_type: TYPE_STRING dims: [ 1 ] }\n'
        'input { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }\n' + TEXTS.splitlines()[1],
        safe=False,
        options=STRICT,
    ),
    "type and dims of a tensor": Fixed(
        "vllm-io-contract",
        'input { name: "stream" data_type: TYPE_INT32, dims: [ 1,  # one\n 2 ] optional: true }',
        'input { name: "stream" data_type: TYPE_BOOL, dims: [ 1  # one\n  ] optional: true }',
        safe=False,
    ),
    "dims that are written repeatedly": Fixed(
        "vllm-io-contract",
        'output {\n  name: "text_output"\n  data_type: TYPE_STRING\n  dims: 4\n  dims: 5  # wide\n}',
        'output {\n  name: "text_output"\n  data_type: TYPE_STRING\n  dims: -1  # wide\n}',
        safe=False,
    ),
    "dims that are not written": Fixed(
        "vllm-io-contract",
        'input { name: "text_input" data_type: TYPE_STRING dims: [] }',
        'input { name: "text_input" data_type: TYPE_STRING dims: [] dims: [ 1 ] }',
        safe=False,
    ),
    "a tensor that the backend lacks, in a list": Fixed(
        "vllm-io-extra",
        'input [\n  { name: "n" data_type: TYPE_BOOL dims: 1 },  # n\n  { name: "image" dims: -1 }\n]',
        'input [\n    # n\n  { name: "image" dims: -1 }\n]',
        safe=False,
    ),
    "a text by another name": Fixed(
        "vllm-io-extra",
        'input { name: "prompt" data_type: TYPE_STRING dims: 1 }',
        'input { name: "text_input" data_type: TYPE_STRING dims: 1 }',
        safe=False,
    ),
    "a text by another name beside the right one": Fixed(
        "vllm-io-extra",
        'input { name: "prompt" dims: 1 }\ninput { name: "text_input" dims: 1 }',
        'input { name: "text_input" dims: 1 }',
        safe=False,
    ),
    "a flag that is missing from one of two": Fixed(
        "vllm-optional-flag",
        'input [ { name: "stream" data_type: TYPE_BOOL dims: 1 },\n'
        ' {name:"image" data_type:TYPE_STRING dims:-1 optional:true} ]',
        'input [ { name: "stream" data_type: TYPE_BOOL dims: 1 optional: true },\n'
        ' {name:"image" data_type:TYPE_STRING dims:-1 optional:true} ]',
    ),
    "a flag that is off": Fixed(
        "vllm-optional-flag",
        'input { name: "stream" data_type: TYPE_BOOL dims: 1 optional: false }',
        'input { name: "stream" data_type: TYPE_BOOL dims: 1 optional: true }',
        safe=False,
    ),
    "a scheduler with plain batches": Fixed(
        "vllm-scheduler-useless",
        "# of BERT\ndynamic_batching { preferred_batch_size: [ 4 ] max_queue_delay_microseconds: 9 }\n# end\n",
        "# of BERT\n# end\n",
    ),
    "a scheduler with a queue": Fixed(
        "vllm-scheduler-useless",
        "dynamic_batching { default_queue_policy { max_queue_size: 9 } }",
        "",
        safe=False,
    ),
    "sequences": Fixed("vllm-scheduler-useless", "sequence_batching { } name: 'm'", " name: 'm'", safe=False),
    "metrics by another word": Fixed(
        "vllm-custom-metrics-value",
        "parameters [ { key: 'REPORT_CUSTOM_METRICS', value: { string_value: 'On' } } ]",
        "parameters [ { key: 'REPORT_CUSTOM_METRICS', value: { string_value: \"yes\" } } ]",
    ),
    "metrics by a word that says nothing": Fixed(
        "vllm-custom-metrics-value",
        "parameters { key: 'REPORT_CUSTOM_METRICS' value { string_value: 'metrics' } }",
        "parameters { key: 'REPORT_CUSTOM_METRICS' value { string_value: \"yes\" } }",
        safe=False,
    ),
}


@tabled("case", VLLM.values(), ids=VLLM)
def test_a_config_of_vllm_is_fixed_as_it_is_written(case: Fixed) -> None:
    head = 'backend: "vllm"\n'
    tree, safe = mended(llm(head + case.config), case.rule, case.options)
    assert text(tree, "m/config.pbtxt") == head + case.becomes
    assert safe == [case.safe]
    assert not mended(tree, case.rule, case.options)[1]


GROUPS = {
    "no group": ("", "instance_group { kind: KIND_MODEL count: 1 }\n", True),
    "no kind": ("instance_group { }", "instance_group { kind: KIND_MODEL }", True),
    "a list": ("instance_group [{ kind: KIND_AUTO }]", "instance_group [{ kind: KIND_MODEL }]", True),
    "GPUs": ("instance_group { gpus: [ 0 ] kind: KIND_GPU }", "instance_group { kind: KIND_MODEL }", False),
    "two groups": (
        "instance_group { } instance_group { kind: KIND_GPU }",
        "instance_group { kind: KIND_MODEL } instance_group { kind: KIND_MODEL }",
        False,
    ),
    "two instances": ("instance_group { count: 2 }", "instance_group { kind: KIND_MODEL count: 2 }", False),
}


@tabled(("group", "becomes", "safe"), GROUPS.values(), ids=GROUPS)
def test_an_engine_on_several_gpus_gets_kind_model(group: str, becomes: str, safe: bool) -> None:  # noqa: FBT001
    tree, said = mended(llm(f'backend: "vllm"\n{group}', TWO), "vllm-kind-gpu-multi-gpu", GPUS)
    assert (text(tree, "m/config.pbtxt"), said) == (f'backend: "vllm"\n{becomes}', [safe])


TENSORRT = {
    "a CPU": ("{ kind: KIND_CPU gpus: [ 1 ] }", "{ kind: KIND_GPU gpus: [ 1 ] }", [False]),
    "the engine's own devices": ("{ kind: KIND_MODEL }", "{ kind: KIND_GPU }", [False]),
    "a GPU that does not exist": ("{ kind: KIND_CPU gpus: [ 2 ] }", "{ kind: KIND_CPU gpus: [ 2 ] }", []),
}


@pytest.mark.parametrize(("group", "becomes", "safe"), TENSORRT.values(), ids=TENSORRT)
def test_an_instance_of_tensorrt_moves_to_the_gpus(group: str, becomes: str, safe: list[bool]) -> None:
    config = f'platform: "tensorrt_plan" {IO}instance_group {group}'
    bad: dict[str, Entry] = {"m/config.pbtxt": of_text(config), "m/1/model.plan": of_text("")}
    tree, said = mended(bad, "tensorrt-kind", GPUS)
    assert (text(tree, "m/config.pbtxt").rpartition("instance_group ")[2], said) == (becomes, safe)
    assert mended(bad, "tensorrt-kind")[1] == []


XML = """<net name="m" version="11"><layers>
<layer id="0" name="a" type="Parameter" version="opset1">
<data shape="4" element_type="f32" /><output><port id="0" names="image" /></output></layer>
<layer id="1" name="b" type="Parameter" version="opset1">
<data shape="4" element_type="f32" /><output><port id="0" names="mask" /></output></layer></layers></net>
"""
SECOND = 'input { name: "mask" data_type: TYPE_FP32 dims: 4 }\n'
OPENVINO = {
    "a GPU": ("openvino-kind", "instance_group < kind: KIND_GPU; gpus: 0 >", "instance_group < kind: KIND_CPU; >"),
    "an input": (
        "openvino-input-unknown",
        SECOND + "input { name: 'images' data_type: TYPE_FP32 dims: 4 }",
        SECOND + 'input { name: "image" data_type: TYPE_FP32 dims: 4 }',
    ),
    "an input that is there": (
        "openvino-input-unknown",
        SECOND + "input { name: 'masks' data_type: TYPE_FP32 dims: 4 }",
        "",
    ),
}


@pytest.mark.parametrize(("rule", "config", "becomes"), OPENVINO.values(), ids=OPENVINO)
def test_a_config_of_openvino_is_fixed_as_it_is_written(rule: str, config: str, becomes: str) -> None:
    head = 'backend: "openvino"\noutput { name: "OUT" data_type: TYPE_FP32 dims: 4 }\n'
    bad: dict[str, Entry] = {"m/config.pbtxt": of_text(head + config), "m/1/model.xml": of_text(XML)}
    assert rule in {each.rule for each in judged(bad, STRICT).diagnostics}
    tree, safe = mended(bad, rule, STRICT)
    assert (text(tree, "m/config.pbtxt"), safe) == (head + (becomes or config), [False] * bool(becomes))


FORMATS = {
    "of one version": ("", {"1/xgboost.model": "{}"}, {"1/xgboost.json"}),
    "of several versions": ("version_policy { all { } }", {"1/xgboost.model": "{}", "2/xgboost.model": "{}"}, set()),
    "of a name": ('default_model_filename: "f"', {"1/f": "{}"}, set()),
    "beside another": ("", {"1/xgboost.model": "{}", "1/xgboost.json": "{}"}, set()),
}


@pytest.mark.parametrize(("config", "given", "left"), FORMATS.values(), ids=FORMATS)
def test_a_forest_of_another_format_gets_its_type_and_name(config: str, given: dict[str, str], left: set[str]) -> None:
    head = f'backend: "fil"\n{IO}parameters {{ key: "output_class" value {{ string_value: "false" }} }}\n'
    bad: dict[str, Entry] = {"m/config.pbtxt": of_text(head + config)}
    bad |= {f"m/{path}": of_text(content) for path, content in given.items()}
    assert "fil-model-format" in {each.rule for each in judged(bad).diagnostics}
    tree, safe = mended(bad, "fil-model-format")
    assert {path.removeprefix("m/") for path in tree} - {"config.pbtxt"} == (left or given.keys())
    assert safe == [False] * bool(left)
    assert ('"xgboost_json"' in text(tree, "m/config.pbtxt")) == bool(left)


FORCED = {
    "YES": '"yes"',
    " No ": '"no"',
    "0": '"no"',
    "always": "'always'",
}


@pytest.mark.parametrize(("value", "becomes"), FORCED.items())
def test_a_choice_is_written_as_the_backend_reads_it(value: str, becomes: str) -> None:
    config = "backend: 'python' {}parameters {{ key: 'FORCE_CPU_ONLY_INPUT_TENSORS' value {{ string_value: {} }} }}"
    bad: dict[str, Entry] = {
        "m/config.pbtxt": of_text(config.format(IO, f"'{value}'")),
        "m/1/model.py": of_text(SOURCE),
    }
    tree, safe = mended(bad, "python-force-cpu-value")
    assert text(tree, "m/config.pbtxt") == config.format(IO, becomes)
    assert safe == [True] * ("'" not in becomes)
    bad["m/1/other"] = bad.pop("m/1/model.py")
    assert not mended(bad, "python-force-cpu-value")[1]  # the server would hang, and now it refuses the model


OTHER = "print()\n"
NAMES = {
    "in all versions": (
        "sub/m.x.py",
        {"1/sub/m.x.py": SOURCE, "2/sub/m.x.py": SOURCE, "env/sub/m.x.py": SOURCE},
        ["1/sub/m_x.py", "2/sub/m_x.py", "env/sub/m.x.py"],
        [True],
    ),
    "without the class": ("m.python", {"1/m.python": OTHER}, ["1/m.py"], [False]),
    "to the file that exists": ("m.python", {"1/m.py": SOURCE}, ["1/m.py"], [False]),
    "not over another file": ("m.x.py", {"1/m.x.py": SOURCE, "1/m_x.py": OTHER}, ["1/m.x.py", "1/m_x.py"], []),
    "not out of the model": ("../../m.onnx", {"1/m.py": SOURCE}, ["1/m.py"], []),
    "without ./": ("./m.py", {"1/m.py": OTHER}, ["1/m.py"], [True]),
    "without ../ that lead back": ("sub/../m.py", {"1/m.py": OTHER}, ["1/m.py"], [True]),
    "with ../ that lead out": ("../m.py", {"1/n.py": OTHER, "m.py": OTHER}, ["1/n.py", "m.py"], []),
}


@tabled(("name", "files", "left", "safe"), NAMES.values(), ids=NAMES)
def test_a_file_of_python_is_renamed(name: str, files: dict[str, str], left: list[str], safe: list[bool]) -> None:
    config = f'backend: "python"\ndefault_model_filename: "{name}"\nversion_policy {{ all {{ }} }}\n{IO}'
    bad: dict[str, Entry] = {"m/config.pbtxt": of_text(config)}
    bad |= {f"m/{path}": of_text(content) for path, content in files.items()}
    rule = "python-filename-import" if name.endswith(".py") else "python-filename-extension"
    tree, said = mended(bad, rule)
    assert said == safe
    assert sorted(path.removeprefix("m/") for path in tree if path != "m/config.pbtxt") == sorted(left)
    assert not [each for each in judged(tree).diagnostics if each.rule == rule and safe]


OLD, NEW = "--release 24.10", "--release 25.09"
UNKNOWN, REMOVED, VALUE = "vllm-unknown-engine-arg", "vllm-removed-engine-arg", "vllm-value-type"
ARGUMENTS = {
    "hyphens": (UNKNOWN, '{"model":"m","--max-model-len":9}', '{"model":"m","max_model_len":9}', [True], OLD),
    "camels": (UNKNOWN, '{"model":"m","maxModelLen":9}', '{"model":"m","max_model_len":9}', [True], OLD),
    "a misspelt key": (UNKNOWN, '{"model":"m","max_model_length":9}', '{"model":"m","max_model_len":9}', [False], OLD),
    "both keys": (UNKNOWN, '{"model":"m","max-model-len":9,"max_model_len":8}', "", [], OLD),
    "a key of requests": (UNKNOWN, '{"temperature":1,"model":"m"}', '{"model":"m"}', [False], OLD),
    "adapters": (UNKNOWN, '{"model":"m","lora_modules":[]}', "", [], OLD),
    "another name": (
        REMOVED,
        '{"model":"m",\n "override_pooler_config": {}}',
        '{"model":"m",\n "pooler_config": {}}',
        [True],
        "--release 26.08",
    ),
    "the opposite": (
        REMOVED,
        '{"model":"m","disable_log_requests" : false}',
        '{"model":"m","enable_log_requests" : true}',
        [True],
        NEW,
    ),
    "the opposite beside it": (
        REMOVED,
        '{"model":"m","disable_log_requests":true,"enable_log_requests":false}',
        "",
        [],
        NEW,
    ),
    "the opposite of nothing": (REMOVED, '{"model":"m","disable_log_requests":null}', '{"model":"m"}', [False], NEW),
    "other values": (
        REMOVED,
        '{"model":"m","task":"x","seed":1}',
        '{"model":"m","seed":1}',
        [False],
        "--release 26.08",
    ),
    "too new": ("vllm-engine-arg-too-new", '{"model":"m","enable_log_requests":true}', '{"model":"m"}', [False], OLD),
    "a number in quotes": (VALUE, '{"model":"m","max_model_len":"9"}', '{"model":"m","max_model_len":9}', [True], OLD),
    "a fraction in quotes": (VALUE, '{"model":"m","max_num_seqs":"1.5"}', "", [], OLD),
    "too small in quotes": (VALUE, '{"model":"m","max_num_seqs":"0"}', "", [], OLD),
    "no number of JSON": (VALUE, '{"model":"m","max_num_seqs":" 1_0"}', "", [], OLD),
    "tenths": (
        "vllm-gpu-memory-utilization",
        '{"model":"m","gpu_memory_utilization":90}',
        '{"model":"m","gpu_memory_utilization":0.9}',
        [False],
        OLD,
    ),
    "no fraction": ("vllm-gpu-memory-utilization", '{"model":"m","gpu_memory_utilization":-1}', "", [], OLD),
    "another case": (
        "vllm-tokenizer-mode",
        '{"model":"m","tokenizer_mode":"Mis-tral"}',
        '{"model":"m","tokenizer_mode":"mistral"}',
        [True],
        NEW,
    ),
    "a type that is only similar": ("vllm-dtype", '{"model":"m","dtype":"float8"}', "", [], OLD),
    "a key that comes twice": (
        "vllm-enable-lora-string",
        '{"model":"m","enable_lora":false,"enable_lora":"False"}',
        '{"model":"m","enable_lora":false,"enable_lora":false}',
        [True],
        OLD,
    ),
}


@tabled(("rule", "given", "becomes", "safe", "options"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_model_json_is_fixed_as_it_is_written(
    rule: str, given: str, becomes: str, safe: list[bool], options: str
) -> None:
    bad = llm('backend: "vllm"\ninstance_group { kind: KIND_MODEL }\n', given)
    assert rule in {each.rule for each in judged(bad, options).diagnostics}
    tree, said = mended(bad, rule, options)
    assert (text(tree, "m/1/model.json"), said) == (becomes or given, safe)


ASIDE = {
    "one version": (("model.json", "1/x"), True),
    "the version that lacks it": (("model.json", "1/model.json", "2/x"), True),
    "two versions that lack it": (("model.json", "1/x", "2/x"), False),
    "a directory of that name": (("model.json/x", "1/x"), False),
}


@pytest.mark.parametrize(("paths", "fixed"), ASIDE.values(), ids=ASIDE)
def test_a_model_json_next_to_its_version_is_moved(paths: tuple[str, ...], fixed: bool) -> None:  # noqa: FBT001
    config = 'backend: "vllm"\ninstance_group { kind: KIND_MODEL }\nversion_policy { all { } }\n'
    bad: dict[str, Entry] = {"m/config.pbtxt": of_text(config)}
    bad |= {f"m/{path}": of_text('{"model": "m"}') for path in paths}
    tree, safe = mended(bad, "vllm-model-json-missing")
    assert safe == [True] * fixed
    assert [each.rule for each in judged(tree).diagnostics if each.rule == "vllm-model-json-missing"] == (
        [] if fixed else ["vllm-model-json-missing"] * sum("x" in path and "json" not in path for path in paths)
    )


def test_a_place_is_that_of_the_key_and_not_of_one_in_a_value() -> None:
    given = '{"model": "m", "hf_overrides": {"dtype": "x"}, "dtype": "\\"dtype\\": float8"}'
    (found,) = [each for each in judged(llm('backend: "vllm"', given)).diagnostics if each.rule == "vllm-dtype"]
    assert given[found.at.column - 1 : found.at.end_column - 1] == '"dtype"'
    assert found.at.column - 1 == given.rindex('"dtype": "')
