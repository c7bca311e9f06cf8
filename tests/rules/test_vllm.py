"""Corner cases of the rules on the keys and values of model.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import pytest

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.releases import RELEASES
from tritonrepo.tree import Entry, of_bytes, of_text

VLLM = 'backend: "vllm"\ninstance_group { kind: KIND_MODEL }\n'
DATA = json.loads(resources.files("tritonrepo").joinpath("data/vllm_arguments.json").read_text("utf-8"))
KEYS = DATA["arguments"]
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "max_position_embeddings": 2048,
}
TEN = {"num_attention_heads": 40, "num_key_value_heads": 10}


def found(
    value: object, options: str = "", config: str = VLLM, files: Mapping[str, str | bytes] | None = None
) -> list[Diagnostic]:
    """Return what is said of a model "m" with this model.json."""
    tree: dict[str, Entry] = {"m/config.pbtxt": of_text(config), "m/1/model.json": of_text(json.dumps(value))}
    for path, content in (files or {}).items():
        tree[f"m/{path}"] = of_bytes(content) if isinstance(content, bytes) else of_text(content)
    return list(judged(tree, f"{options} --image vllm-python-py3").diagnostics)


def errors(value: object, options: str = "", **more: Any) -> list[str]:  # noqa: ANN401
    return [each.rule for each in found(value, options, **more) if each.severity is Severity.ERROR]


@tabled("release", [name for name, release in RELEASES.items() if release.vllm])
def test_each_key_is_refused_in_the_releases_that_lack_it_and_taken_in_the_others(release: str) -> None:
    versions = DATA["versions"]
    builds = [versions.index(name) for name in RELEASES[release].vllm_builds]
    expected: dict[str, str] = {}
    for key, facts in KEYS.items():
        first, last = versions.index(facts["since"]), versions.index(facts.get("until", versions[-1]))
        uncertain = {versions.index(name) for name in facts.get("uncertain", ())}
        if not any(first <= build <= last or build in uncertain for build in builds):
            expected[key] = "vllm-removed-engine-arg" if last < min(builds) else "vllm-engine-arg-too-new"
    said = found({"model": "m"} | dict.fromkeys(key for key in KEYS if key != "model"), f"--release {release}")
    rules = {"vllm-removed-engine-arg", "vllm-engine-arg-too-new", "vllm-unknown-engine-arg"}
    assert {each.message.split('"')[1]: each.rule for each in said if each.rule in rules} == expected


OF_09, OF_10 = "--release 25.06", "--release 26.07"
WRONG = {
    "a percentage": ({"gpu_memory_utilization": 90}, "vllm-gpu-memory-utilization", ""),
    "no memory, which is only noticed late": ({"gpu_memory_utilization": 0}, "vllm-gpu-memory-utilization", ""),
    "no memory, which the field refuses": ({"gpu_memory_utilization": -0.5}, "vllm-gpu-memory-utilization", OF_10),
    "a number as a string, which is compared": ({"max_model_len": "8192"}, "vllm-value-type", OF_09),
    "a word for a number": ({"max_num_seqs": "many"}, "vllm-value-type", OF_10),
    "half a token": ({"max_model_len": 0.5}, "vllm-value-type", OF_10),
    "a word for a boolean": ({"enforce_eager": "maybe"}, "vllm-value-type", OF_10),
    "a number for a string": ({"revision": 1}, "vllm-value-type", OF_10),
    "too few": ({"max_num_seqs": 0}, "vllm-value-type", OF_10),
    "a list of a choice": ({"dtype": ["auto"]}, "vllm-dtype", ""),
    "another case of the letters, once they count": ({"dtype": "FLOAT16"}, "vllm-dtype", OF_10),
    "a rank between two": ({"enable_lora": "true", "max_lora_rank": 17}, "vllm-lora-limits", "--release 24.05"),
    "no adapters": ({"enable_lora": True, "max_loras": 0}, "vllm-lora-limits", ""),
    "fewer adapters on the CPU": (
        {"enable_lora": True, "max_loras": 4, "max_cpu_loras": 2},
        "vllm-lora-limits",
        "",
    ),
    "a pipeline before there were any": ({"pipeline_parallel_size": 2}, "vllm-pipeline-unsupported", "--release 24.07"),
    "fewer tokens than sequences": ({"max_num_batched_tokens": 8, "max_num_seqs": 16}, "vllm-batched-tokens", OF_10),
    "fewer tokens than vLLM's own number of sequences": ({"max_num_batched_tokens": 8}, "vllm-batched-tokens", ""),
    "a prompt that is not split": (
        {"max_num_batched_tokens": 512, "max_num_seqs": 9, "max_model_len": 4096, "enable_chunked_prefill": False},
        "vllm-batched-tokens",
        OF_10,
    ),
    "stages and parts multiply": (
        {"tensor_parallel_size": 2, "pipeline_parallel_size": 2},
        "vllm-more-ranks-than-gpus",
        "--release 26.07 --gpus 2",
    ),
}
RIGHT = {
    "no value": (dict.fromkeys(key for key in KEYS if "parallel_size" not in key and key != "model"), OF_10),
    "a string that pydantic converts": ({"gpu_memory_utilization": "0.9", "enforce_eager": "yes"}, OF_10),
    "a whole float": ({"max_num_seqs": 16.0}, OF_10),
    "another case of the letters": ({"dtype": "BFloat16", "tokenizer_mode": "AUTO", "quantization": "AWQ"}, OF_09),
    "limits of adapters that nobody uses": ({"max_lora_rank": 17, "max_loras": 0}, ""),
    "no tokenizer": ({"skip_tokenizer_init": True, "tokenizer_mode": "none"}, ""),
    "all of the memory": ({"gpu_memory_utilization": 1}, OF_10),
    "no memory, but a number of blocks": ({"gpu_memory_utilization": 0, "num_gpu_blocks_override": 9}, ""),
    "the model's own length": ({"max_model_len": -1}, OF_10),
    "a long prompt, which is split": ({"max_num_batched_tokens": 4096, "max_model_len": 40000}, ""),
    "a prompt that is split": (
        {"max_num_batched_tokens": 512, "max_model_len": 4096, "enable_chunked_prefill": True},
        "",
    ),
    "a prompt that is split anyhow": (
        {"max_num_batched_tokens": 512, "max_num_seqs": 9, "max_model_len": 4096, "enable_chunked_prefill": False},
        "--release 25.08",
    ),
    "GPUs of other machines": (
        {"tensor_parallel_size": 4, "distributed_executor_backend": "ray"},
        "--release 26.07 --gpus 2",
    ),
    "as many GPUs as there are": ({"tensor_parallel_size": 2}, "--release 26.07 --gpus 2"),
}


@tabled(("value", "rule", "options"), WRONG.values(), ids=WRONG)
def test_a_value_that_vllm_refuses_is_found_at_its_key(value: dict[str, Any], rule: str, options: str) -> None:
    said = [each for each in found({"model": "m"} | value, options) if each.severity is Severity.ERROR]
    assert [each.rule for each in said if "vllm-lora-file" not in each.rule] == [rule]
    (at,) = {each.at.column for each in said if each.rule == rule}
    assert json.dumps({"model": "m"} | value)[at - 1 :].startswith(tuple(f'"{key}"' for key in value))


@tabled(("value", "options"), RIGHT.values(), ids=RIGHT)
def test_a_value_that_vllm_takes_is_no_error(value: dict[str, Any], options: str) -> None:
    said = errors({"model": "m"} | value, options)
    assert not [rule for rule in said if rule.startswith("vllm") and "engine-arg" not in rule]


VALUES = [
    True,
    False,
    0,
    -1,
    1 << 80,
    10**400,
    10**4299,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "1",
    "é\n",
    [],
    [None],
    {},
    {"a": {"b": 1}},
]


@tabled("release", ["24.01", "24.05", "24.10", "25.06", "25.11", "26.08"])
def test_a_value_of_any_type_is_survived(release: str) -> None:
    for value in VALUES:
        found(dict.fromkeys(KEYS, value), f"--release {release} --gpus 2")
        found({"model": LLAMA} | dict.fromkeys((key for key in KEYS if key != "model"), value), f"--release {release}")


OWN = "/models/m/1/weights"


def beside(config: object, **more: str) -> dict[str, str | bytes]:
    text = config if isinstance(config, str | bytes) else json.dumps(config)
    return {"1/weights/config.json": text, "1/weights/model.safetensors": "x", **more}


@tabled(
    ("change", "value", "rules"),
    [
        ({}, {"max_model_len": 2048}, []),
        ({}, {"max_model_len": 2049}, ["vllm-max-model-len-too-long"]),
        ({}, {"max_model_len": 2049, "rope_scaling": {"type": "linear", "factor": 2}}, []),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, {"max_model_len": 4096}, []),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, {"max_model_len": 4097}, ["vllm-max-model-len-too-long"]),
        ({"rope_scaling": {"type": "linear", "factor": "2"}}, {"max_model_len": 4097}, []),
        ({"model_max_length": 9000}, {"max_model_len": 9000}, []),
        ({"quantization_config": {"quant_method": "gptq"}}, {"quantization": "AWQ"}, ["vllm-quantization"]),
        ({"quantization_config": {"quant_method": "gptq"}}, {"quantization": "gptq_marlin"}, []),
        ({"quantization_config": {"quant_method": 1}}, {"quantization": "gptq"}, []),
        ({"quantization_config": "gptq"}, {"quantization": "awq"}, []),
        ({}, {"quantization": "awq"}, []),
        ({}, {"tensor_parallel_size": 3}, ["vllm-heads-divisible"]),
        (TEN, {"tensor_parallel_size": 4}, ["vllm-heads-divisible"]),
        (TEN, {"tensor_parallel_size": 2}, []),
        (TEN, {"tensor_parallel_size": 20}, []),
        (TEN | {"architectures": ["FalconForCausalLM"]}, {"tensor_parallel_size": 4}, []),
        ({}, {"tensor_parallel_size": 4}, []),
        ({"architectures": ["NewForCausalLM"]}, {}, ["vllm-architecture-unsupported"]),
        ({"architectures": ["NewForCausalLM", "LlamaForCausalLM"]}, {}, []),
        ({"architectures": "NewForCausalLM"}, {}, []),
    ],
)
def test_the_config_json_in_the_repository_counts(change: object, value: object, rules: list[str]) -> None:
    assert isinstance(change, dict)
    assert isinstance(value, dict)
    assert errors({"model": OWN} | value, files=beside(CONFIG | change)) == rules


@tabled("text", ["", "{", "[]", "1", '"x"', b"\xff", "[" * 100_000, '{"architectures": [1]}'])
def test_a_config_json_that_says_nothing_is_no_fault(text: str | bytes) -> None:
    assert not errors({"model": OWN, "tensor_parallel_size": 3, "max_model_len": 1 << 40}, files=beside(text))


@tabled(
    ("name", "files", "rule"),
    [
        (OWN, {"1/weights/config.json": "{}"}, "vllm-model-dir-incomplete"),
        (OWN, {"1/weights/model.safetensors": "x"}, "vllm-model-dir-incomplete"),
        (OWN, {"1/weights/params.json": "{}", "1/weights/consolidated.safetensors": "x"}, ""),
        (OWN, {"1/weights/model.gguf": "x"}, ""),
        (OWN, {"1/weights/README.md": "x"}, ""),
        ("/models/m/1/elsewhere", {"1/weights/config.json": "{}"}, ""),
        ("/models/m/1/weights/", beside(CONFIG), ""),
    ],
)
def test_the_model_that_model_json_names_has_its_files(name: str, files: dict[str, str | bytes], rule: str) -> None:
    assert errors({"model": name}, files=files) == ([rule] if rule else [])


def test_another_implementation_may_divide_keys_otherwise() -> None:
    value = {"model": OWN, "tensor_parallel_size": 4}
    for impl, rules in (("auto", ["vllm-heads-divisible"]), ("transformers", [])):
        assert errors(value | {"model_impl": impl}, "--release 26.08", files=beside(CONFIG | TEN)) == rules


def test_a_config_json_may_lie_elsewhere() -> None:
    value = {"model": OWN, "hf_config_path": "/models/config"}
    assert not errors(value, "--release 26.08", files={"1/weights/model.safetensors": "x"})
    assert errors(value, "--release 26.08", files={"1/weights/config.json": "{}"}) == ["vllm-model-dir-incomplete"]


@pytest.mark.parametrize("name", [LLAMA, "meta-llama/Meta-Llama-3.1-70B-Instruct", f"/models/{LLAMA}"])
@pytest.mark.parametrize(
    ("release", "rules"), [("24.05", ["vllm-llama31-too-old"]), ("24.08", []), ("24.09", []), ("26.08", [])]
)
def test_llama_31_needs_a_vllm_that_knows_it(name: str, release: str, rules: list[str]) -> None:
    assert errors({"model": name}, f"--release {release}") == rules


def test_the_first_error_is_the_one_that_vllm_meets_first() -> None:
    config = VLLM + 'input { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }\n'
    value = {"model": LLAMA, "tensor_parallel_size": 3, "gpu_memory_utilization": 7, "max_model_len": 1 << 20}
    tree = {"m/config.pbtxt": of_text(config), "m/1/model.json": of_text(json.dumps(value | {"dtype": "x"}))}
    assert judged(tree).verdicts[0].rule == "vllm-dtype"
    tree["m/1/model.json"] = of_text(json.dumps(value))
    assert judged(tree).verdicts[0].rule == "vllm-max-model-len-too-long"


SETTINGS = {
    "metrics of the release": (VLLM, "24.08", "yes", False),
    "metrics of a later release": (VLLM, "24.08", "true", True),
    "metrics of an earlier release": (VLLM, "26.08", "yes", True),
    "metrics in any case": (VLLM, "26.08", "True", False),
    "no metrics": (VLLM, "26.08", "false", False),
    "before there were any": (VLLM, "24.07", "true", False),
    "another backend": ('backend: "python"\n', "24.08", "true", False),
}


@tabled(("config", "release", "value", "warned"), SETTINGS.values(), ids=SETTINGS)
def test_metrics_are_reported_for_the_value_of_the_release(config: str, release: str, value: str, warned: bool) -> None:  # noqa: FBT001
    config += f'parameters {{ key: "REPORT_CUSTOM_METRICS" value {{ string_value: "{value}" }} }}\n'
    said = {each.rule for each in found({"model": "m"}, f"--release {release}", config)}
    assert ("vllm-custom-metrics-value" in said) is warned


@tabled(
    ("group", "value", "warned"),
    [
        ("count: 2 kind: KIND_MODEL", {}, True),
        ("count: 2 kind: KIND_MODEL", {"gpu_memory_utilization": 0.45}, False),
        ("count: 2 kind: KIND_MODEL", {"gpu_memory_utilization": "x"}, False),
        ("count: 2 kind: KIND_CPU", {}, False),
        ("count: 1 kind: KIND_MODEL", {}, False),
    ],
)
def test_several_engines_need_their_parts_of_the_memory(group: str, value: dict[str, Any], warned: bool) -> None:  # noqa: FBT001
    said = found({"model": "m"} | value, "--gpus 1", f'backend: "vllm"\ninstance_group {{ {group} }}\n')
    assert ("vllm-instance-count" in {each.rule for each in said}) is warned


@tabled(
    ("name", "warned"),
    [
        *(("./x", True), ("../x", True), ("a/b/c", True), (".", True)),
        *(
            ("/a/b", False),
            ("a/b", False),
            ("m", False),
            ("s3://b/a/c", False),
            ("a/b/c.gguf", False),
            ("~/a/b", False),
        ),
    ],
)
def test_a_relative_path_starts_elsewhere(name: str, warned: bool) -> None:  # noqa: FBT001
    assert ("vllm-model-relative-path" in {each.rule for each in found({"model": name})}) is warned


def test_the_values_of_every_vllm_are_known() -> None:
    """The files of values and of architectures have the versions of the arguments, and only keys that these have."""
    package = resources.files("tritonrepo")
    for name in ("vllm_values.json", "vllm_architectures.json"):
        found = json.loads(package.joinpath(f"data/{name}").read_text("utf-8"))
        assert found["versions"] == DATA["versions"]
    known = json.loads(package.joinpath("data/vllm_values.json").read_text("utf-8"))["values"]
    assert known.keys() <= KEYS.keys()
    assert {name for spans in known.values() for span in spans for name in (span["since"], span.get("until"))} <= {
        *DATA["versions"],
        None,
    }


@tabled("value", [*VALUES, None, "x" * 100_000, {"rope_type": "linear", "factor": 1e308}])
def test_a_config_json_of_any_values_is_survived(value: object) -> None:
    keys = (*CONFIG, "rope_scaling", "quantization_config", "text_config", "model_max_length", "rope_parameters")
    for key in keys:
        for said in found(
            {"model": OWN, "max_model_len": 1 << 30, "quantization": "awq"}, files=beside(CONFIG | {key: value})
        ):
            assert len(said.message) < 1000
    found({"model": OWN, "tensor_parallel_size": 3}, files=beside(dict.fromkeys(keys, value)))
    found({"model": OWN}, files=beside(CONFIG | {"architectures": [value]}))
    found(
        {"model": value, "enable_lora": value}, files=beside(CONFIG) | {"1/multi_lora.json": json.dumps({"a\n": value})}
    )
