"""Corner cases of the rules on the memory of GPUs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.tree import Entry, of_bytes, of_text

MODEL = 'backend: "vllm"\ninstance_group { kind: KIND_MODEL }\n'
PIN = 'parameters { key: "GPU_DEVICE_IDS" value { string_value: "%s" } }\n'
EACH = 'backend: "vllm"\n'
ONNX = 'backend: "encoder"\nmax_batch_size: 8\ninstance_group { %s }\n'
L8, L70 = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"
L4, TWO = "--gpus 1 --gpu L4", "--gpus 2 --gpu-memory 80GiB"
L7 = "meta-llama/Llama-2-7b-hf"
V2, LITE = "--gpus 1 --gpu-memory 40GiB", "deepseek-ai/DeepSeek-V2-Lite-Chat"
SEED: dict[str, Any] = {"model": L70, "tensor_parallel_size": 2, "max_model_len": 8192, "gpu_memory_utilization": 0.92}
RULES = {
    "vllm-weights-too-large",
    "vllm-max-model-len-kv",
    "vllm-max-num-seqs-kv",
    "vllm-sequences-fit",
    "vllm-gpu-memory-sum",
    "gpu-memory-shared",
}
FITS: set[str] = set()


class Case(NamedTuple):
    """Models, each a config and its model.json, a target, and the rules that speak."""

    models: Mapping[str, tuple[str, Any]]
    options: str
    spoken: set[str]
    files: Mapping[str, Entry] = {}


def one(options: str, spoken: str = "", config: str = MODEL, **arguments: object) -> Case:
    return Case({"llm": (config, arguments)}, options, {spoken} if spoken else FITS)


def tree(case: Case) -> dict[str, Entry]:
    found: dict[str, Entry] = dict(case.files)
    for name, (config, arguments) in case.models.items():
        found[f"{name}/config.pbtxt"] = of_text(config)
        if arguments is not None:
            found[f"{name}/1/model.json"] = of_text(json.dumps(arguments))
    return found


def encoder(size: int) -> dict[str, Entry]:
    """Return the files of a model "encoder" with weights of this many GiB, which nobody reads."""
    weights = of_bytes(b"x").__class__(size << 30, lambda _, n: b"x" * n)
    return {"encoder/1/weights": weights, "encoder/libtriton_encoder.so": of_bytes(b"")}


CASES = {
    "nothing is known of the GPU": one("--gpus 1", model=L70),
    "no GPU": one("--gpus 0 --gpu L4", model=L70, max_model_len=8192),
    "no such model": one(L4, model="nobody/knows", max_model_len=8192),
    "weights of one GPU too many": one(L4, "vllm-weights-too-large", model=L70),
    "weights that fit in 4 bits": one("--gpus 1 --gpu-memory 48GiB", model=L70, max_model_len=2048, quantization="awq"),
    "weights partly on the CPU": one(L4, "vllm-max-model-len-kv", model=L70, cpu_offload_gb=120),
    "a context that nobody set": one(L4, "vllm-max-model-len-kv", model=L8),
    "the longest that surely fits": one(L4, model=L8, max_model_len=8192),
    "a length that may fit": one(L4, model=L8, max_model_len=23000),
    "a length that cannot": one(L4, "vllm-max-model-len-kv", model=L8, max_model_len=50000),
    "half as many bytes a token": one(L4, model=L8, max_model_len=40000, kv_cache_dtype="fp8"),
    "a length that vLLM did not look at yet": one(f"{L4} --release 24.01", model=L7, max_model_len=8192),
    "a length that vLLM looks at": one(f"{L4} --release 24.02", "vllm-max-model-len-kv", model=L7, max_model_len=32768),
    "no cache at all, whatever the length": one(
        "--gpus 1 --gpu-memory 14.2GiB --release 24.01", "vllm-max-model-len-kv", model=L7, max_model_len=4096
    ),
    "latent vectors": one(f"{V2} --release 26.08", model=LITE, max_model_len=32768),
    "latent attention whose keys and values are kept": one(
        f"{V2} --release 24.10", "vllm-max-model-len-kv", model=LITE, max_model_len=32768
    ),
    "a length that vLLM finds": one(f"{L4} --release 26.08", model=L8, max_model_len=-1),
    "a cache of its own size": one(
        f"{L4} --release 26.08", model=L8, max_model_len=8192, kv_cache_memory_bytes=2 << 30
    ),
    "a cache of its own size, too small": one(
        f"{L4} --release 26.08", "vllm-max-model-len-kv", model=L8, max_model_len=8192, kv_cache_memory_bytes=1 << 29
    ),
    "another number of blocks": one(L4, model=L8, num_gpu_blocks_override=10000),
    "adapters": one(L4, "vllm-max-model-len-kv", model=L8, enable_lora=True),
    "adapters of weights that do not fit": one(L4, "vllm-weights-too-large", model=L70, enable_lora=True),
    "a length that another sampler leaves room for": one(L4, model=L8, max_model_len=41000),
    "not on a GPU": one(L4, model=L8, device="cpu"),
    "a seed asks for 64": one(TWO, "vllm-max-num-seqs-kv", **SEED, max_num_seqs=64),
    "a seed asks for 16": one(TWO, "vllm-sequences-fit", **SEED, max_num_seqs=16),
    "a seed asks for 4": one(TWO, **SEED, max_num_seqs=4),
    "a seed asks for nothing": one(TWO, **SEED),
    "a sliding window": one(L4, model="mistralai/Mistral-7B-v0.1", max_model_len=32768, max_num_seqs=8),
    "two engines that share a GPU": Case(
        {name: (MODEL, {"model": L8, "max_model_len": 4096, "gpu_memory_utilization": 0.45}) for name in ("a", "b")},
        TWO,
        FITS,
    ),
    "two engines that ask for the whole": Case(
        {name: (MODEL, {"model": L8, "max_model_len": 4096}) for name in ("a", "b")}, TWO, {"vllm-gpu-memory-sum"}
    ),
    "two engines that are pinned to their own GPUs": Case(
        {name: (MODEL + PIN % gpu, {"model": L8, "max_model_len": 4096}) for name, gpu in (("a", "0"), ("b", " 1"))},
        TWO,
        FITS,
    ),
    "two engines that are pinned to one": Case(
        {name: (MODEL + PIN % "1,", {"model": L8, "max_model_len": 4096}) for name in ("a", "b")},
        TWO,
        {"vllm-gpu-memory-sum"},
    ),
    "two engines of a vLLM that counts others": Case(
        {name: (MODEL, {"model": L8, "max_model_len": 4096, "gpu_memory_utilization": 0.45}) for name in ("a", "b")},
        f"{TWO} --release 25.05",
        {"vllm-gpu-memory-sum"},
    ),
    "two engines on their own GPUs": Case(
        {
            name: (
                EACH + f"instance_group {{ kind: KIND_GPU gpus: [ {gpu} ] }}\n",
                {"model": L8, "max_model_len": 4096},
            )
            for gpu, name in enumerate(("a", "b"))
        },
        TWO,
        FITS,
    ),
    "two engines of KIND_GPU before they have GPUs of their own": Case(
        {
            name: (
                EACH + f"instance_group {{ kind: KIND_GPU gpus: [ {gpu} ] }}\n",
                {"model": L8, "max_model_len": 4096},
            )
            for gpu, name in enumerate(("a", "b"))
        },
        f"{TWO} --release 24.05",
        {"vllm-gpu-memory-sum"},
    ),
    "an engine for each GPU, which another rule reports": one(f"{TWO} --release 24.05", config=EACH, **SEED),
    "two engines of which nothing else is known": Case(
        {name: (MODEL, {"model": "nobody/knows"}) for name in ("a", "b")}, TWO, {"vllm-gpu-memory-sum"}
    ),
    "two instances": one(
        TWO, "vllm-gpu-memory-sum", config=MODEL.replace("}", "count: 2 }"), model=L8, max_model_len=4096
    ),
    "an encoder next to an engine": Case(
        {"encoder": (ONNX % "kind: KIND_GPU", None), "llm": (MODEL, {"model": L8, "gpu_memory_utilization": 0.92})},
        TWO,
        {"gpu-memory-shared"},
        encoder(1),
    ),
    "an encoder on another GPU": Case(
        {"encoder": (ONNX % "kind: KIND_GPU gpus: [ 1 ]", None), "llm": (MODEL, {"model": L8})}, TWO, FITS, encoder(1)
    ),
    "an encoder on the CPU": Case(
        {"encoder": (ONNX % "kind: KIND_CPU", None), "llm": (MODEL, {"model": L8})}, TWO, FITS, encoder(1)
    ),
    "an encoder with room": Case(
        {"encoder": (ONNX % "kind: KIND_GPU", None), "llm": (MODEL, {"model": L8, "gpu_memory_utilization": 0.8})},
        TWO,
        FITS,
        encoder(1),
    ),
    "an encoder that fills the rest": Case(
        {"encoder": (ONNX % "kind: KIND_GPU", None), "llm": (MODEL, {"model": L8, "gpu_memory_utilization": 0.8})},
        TWO,
        {"gpu-memory-shared"},
        encoder(9),
    ),
}


@tabled("case", CASES.values(), ids=CASES)
def test_what_is_said_of_memory(case: Case) -> None:
    found = {each.rule for each in judged(tree(case), case.options).diagnostics}
    assert found & RULES == case.spoken


ODD: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**30, "8192", [], {}, float("inf"))


@tabled(
    "key",
    [
        *["model", "max_model_len", "max_num_seqs", "max_num_batched_tokens", "tensor_parallel_size", "quantization"],
        *["pipeline_parallel_size", "data_parallel_size", "gpu_memory_utilization", "cpu_offload_gb", "kv_cache_dtype"],
        *["kv_cache_memory_bytes", "dtype", "enforce_eager", "device", "enable_chunked_prefill", "enable_lora"],
    ],
)
def test_values_of_every_type(key: str) -> None:
    for value in ODD:
        case = Case({"llm": (MODEL, {**SEED, "max_num_seqs": 64, key: value})}, TWO, FITS)
        assert judged(tree(case), case.options)
        assert judged(tree(case), f"{case.options} --release 26.08")


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
CONTENTS = {
    "its sizes": (json.dumps(CONFIG), {"vllm-max-model-len-kv"}),
    "an array": ("[]", FITS),
    "no JSON": ("{", FITS),
    "deeply nested": ("[" * 100_000, FITS),
    "sizes of zero": (json.dumps(CONFIG | {"hidden_size": 0}), FITS),
    "one huge layer": (json.dumps(CONFIG | {"hidden_size": 1 << 39}), {"vllm-weights-too-large"}),
}


@tabled(("content", "spoken"), CONTENTS.values(), ids=CONTENTS)
def test_a_config_of_weights_in_the_repository(content: str, spoken: set[str]) -> None:
    files: dict[str, Entry] = {"llm/1/weights/config.json": of_text(content)}
    case = Case({"llm": (MODEL, {"model": "/models/llm/1/weights"})}, L4, spoken, files)
    assert {each.rule for each in judged(tree(case), case.options).diagnostics} & RULES == spoken


def test_the_warning_says_how_many_fit_and_on_what() -> None:
    case = CASES["a seed asks for 64"]
    said = judged(tree(case), f"{case.options} --release 24.05 --image vllm-python-py3").diagnostics
    (found,) = [each for each in said if each.rule == "vllm-max-num-seqs-kv"]
    assert "max_num_seqs is 64, but 2 to 5 sequences of max_model_len, 8,192 tokens, fit" in found.message
    assert "GPUs with 79.1 GiB to 80.0 GiB" in found.message


def test_the_reason_is_that_of_the_releases_server() -> None:
    case = CASES["a context that nobody set"]
    reasons = {
        release: judged(tree(case), f"{case.options} --release {release}").verdicts[0].server_reason
        for release in ("24.10", "25.04", "26.07")
    }
    assert reasons == {"24.10": "max seq len (131072)", "25.04": "", "26.07": "Engine core initialization failed"}
