"""The memory of an engine against what vLLM printed at its start: data/vllm_memory.json, each case with its source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.pages import DATA
from tests.tabled import tabled
from tritonrepo.llm.advice import options
from tritonrepo.llm.facts import LanguageModel
from tritonrepo.llm.gpus import GIB, Range, behaviour, gpu, gpu_memory, gpus, linked, reported, version
from tritonrepo.llm.loading import bits, stages
from tritonrepo.llm.memory import BLOCK, Settings, Share, doubts, per_token, share
from tritonrepo.llm.weights import count

Case = Mapping[str, Any]
LOGS = json.loads((DATA / "vllm_memory.json").read_text())
CASES: Mapping[str, Case] = {case["id"]: case for case in LOGS["cases"]}

SMALLEST = {"qwen3-235b-fp8-tp4", "dsr1-distill-qwen14b-tp2"}
"""The log shows the memory of one GPU, but another one had less, and the least decides for all."""

ANOMALOUS = {
    "llama3-8b-tp1": "1.79 GiB outside PyTorch on one GPU, by a development version; all others have 0.4 or less"
}

SMALL_REST = {
    "qwen25-7b-4bit-8gb": "nothing is left: 0.5 GiB of width, and the truth is -1.05 GiB, a refusal at both ends",
    "qwen25vl-72b-4xa100-40": "0.04 GiB are left of 37.4, and the range is 4.1: 2.4 of NVLink, 1.7 of the encoder",
    "dsr1-distill-qwen-1.5b-8gb": "2.2 GiB are left of 7.0, and the range is 0.6: 0.4 of CUDA, 0.1 of the sampler",
    "qwen3-235b-fp8-tp4": "8.0 GiB are left of 71.2, and the range is 3.2: 2.4 of it is what NCCL holds with NVLink",
}
"""The cache is a small rest of the memory, so that what is known to within 5 to 11 % of that is more of the rest."""

UNNAMED = {
    "llama31-70b-w8a8",
    "qwen3-14b",
    "qwen25-1.5b-gb10",
    "qwen3-coder-30b-need",
    "ds-v2-lite-need",
    "qwen25-3b-need",
}
"""The source does not say which GPU it was."""


def model(case: Case) -> LanguageModel:
    sizes = {"model_type": "", **case["config"]}
    found = LanguageModel(**sizes)
    return found if found.parameters else count(found)


def settings(case: Case) -> Settings:
    """Return vLLM's settings of a case, with the defaults of its version."""
    length = case.get("max_len") or case["flags"].get("max_model_len", 2048)
    vllm = case["vllm"]
    prompt = max(length, 2048) if length <= 32768 else 2048
    sequences, tokens = (256, prompt) if version(vllm) < (0, 8) else (256, 2048)
    if case.get("gpu") == "H100":
        sequences, tokens = 1024, 8192
    used = case["budget_gib"] / case["total_gib"] if "budget_gib" in case else case.get("util")
    return Settings(
        vllm,
        used or behaviour("utilization", vllm),
        length,
        Range(*[case["flags"].get("max_num_seqs", sequences)] * 2),
        Range(*[case["flags"].get("max_num_batched_tokens", tokens)] * 2),
        tensor=case.get("tp", 1),
        pipeline=case.get("pp", 1),
        kv_bytes=case.get("kv_bytes", 2),
    )


def total(case: Case) -> Range:
    if "total_gib" in case:
        return Range(1, 1).times(case["total_gib"] * GIB)
    return seen(case["gpu"])


def seen(name: str) -> Range:
    found = gpus()[name].reported
    assert found is not None
    return found


def shared(name: str) -> Share:
    return share(model(CASES[name]), settings(CASES[name]), total(CASES[name]))


@tabled("name", [name for name, case in CASES.items() if "kv_gib" in case and "tokens" in case])
def test_tokens_of_the_cache_that_a_log_shows(name: str) -> None:
    case = CASES[name]
    stage = -(-case["config"]["layers"] // case.get("pp", 1))
    size = per_token(model(case), settings(case), stage)
    tokens = int(case["kv_gib"] * GIB / size / BLOCK) * BLOCK
    if name in SMALLEST:
        assert tokens > case["tokens"]
    else:
        assert tokens == pytest.approx(case["tokens"], rel=0.02)
    if "conc" in case:
        assert case["tokens"] / case["max_len"] == pytest.approx(case["conc"], abs=0.01)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "need_len" in case])
def test_memory_that_a_refusal_asks_for(name: str) -> None:
    case = CASES[name]
    size = per_token(model(case), settings(case), case["config"]["layers"])
    assert size * case["need_len"] / GIB == pytest.approx(case["need_gib"], rel=0.02)


@tabled(
    "name",
    [name for name, case in CASES.items() if {"total_gib", "weights_gib", "activation_gib", "kv_gib"} <= {*case}],
)
def test_what_a_log_leaves_for_the_cache(name: str) -> None:
    case = CASES[name]
    taken = case["weights_gib"] + case["non_torch_gib"] + case["activation_gib"]
    left = case.get("budget_gib", case["total_gib"] * settings(case).utilization) - taken
    assert left == pytest.approx(case["kv_gib"], rel=0.02, abs=0.02)


def truth(name: str) -> float:
    """Return the GiB of the smallest cache of a case."""
    case = CASES[name]
    if name in SMALLEST:
        return float(case["tokens"] * per_token(model(case), settings(case), case["config"]["layers"]) / GIB)
    if "kv_gib" in case:
        return float(case["kv_gib"])
    taken = case["weights_gib"] + case["non_torch_gib"] + case["activation_gib"]
    return float(case["total_gib"] * case["util"] - taken)


JUDGED = sorted(CASES.keys() - UNNAMED)


@tabled("name", JUDGED)
def test_the_range_holds_the_truth_from_model_gpu_and_flags_alone(name: str) -> None:
    found = shared(name)
    low, high = (bound / GIB for bound in found.cache)
    assert (low - 0.01 <= truth(name) <= high + 0.01) == (name not in ANOMALOUS), f"{low} {truth(name)} {high}"
    wide = found.cache.high - found.cache.low
    assert (wide <= 0.25 * found.cache.middle) == (name not in SMALL_REST)
    assert wide <= 0.12 * max(found.cache.middle, found.taken.middle)


def test_logs_show_no_other_memory_outside_pytorch() -> None:
    for log in LOGS["outside"]:
        whole = Range(log["total_gib"] * GIB, log["total_gib"] * GIB)
        found = share(count(QWEN), replace(PLAIN, vllm=log["vllm"], pipeline=log["gpus"]), whole).non_torch
        assert found.low <= log["gib"] * GIB <= found.high, log["source"]


LINKS = {8: False, 23.58: False, 39.38: True, 44.35: False, 47.5: False, 70: True, 79.2: True, 141: True, 280: True}


def test_large_gpus_can_have_nvlink_unless_they_are_known_not_to() -> None:
    assert {gib: linked(gib * GIB) for gib in LINKS} == LINKS


def test_graphs_of_experts_of_odd_layers_and_of_several_gpus_are_known_less() -> None:
    plain, late = count(QWEN), replace(PLAIN, vllm="0.22.1")
    kinds = [(plain, late), (replace(plain, experts=8), late), (replace(plain, plain=False), late)]
    found = [share(each, had, TEN).graphs.high / GIB for each, had in [*kinds, (plain, replace(late, tensor=2))]]
    assert found == [1.1, 3.5, 3.5, 3.5]


def test_logs_show_no_other_memory_of_the_sampler() -> None:
    for log in LOGS["sampler"]:
        rows = Range(log["sequences"], log["sequences"])
        small = replace(count(QWEN), vocabulary=log["vocabulary"], intermediate=1, hidden=1)
        found = share(small, replace(PLAIN, vllm="0.7.0", sequences=rows), TEN).activation
        assert found.low <= log["gib"] * GIB <= found.high, log["source"]


def test_logs_show_no_other_estimate_of_the_cuda_graphs() -> None:
    for log in LOGS["graphs"]:
        one = replace(count(QWEN), experts=8 * log.get("experts", False))
        found = share(one, replace(PLAIN, vllm="0.22.1", pipeline=log["gpus"]), TEN).graphs
        assert found.low <= log["gib"] * GIB <= found.high, log["source"]


def test_most_ranges_hold() -> None:
    assert len(ANOMALOUS) <= 0.1 * len(JUDGED)
    assert len(JUDGED) >= 18
    assert len(SMALL_REST) <= 4


def test_hybrid_and_multimodal_models_are_called_estimates() -> None:
    plain, case = model(CASES["llama3-8b-tp1"]), settings(CASES["llama3-8b-tp1"])
    assert not doubts(plain, case)
    odd = LanguageModel("Qwen3NextForCausalLM", "", 1, 1, 1, 1, 1, 1, 1, plain=False, multimodal=True)
    assert len(doubts(odd, case)) == 2


SIZES = {
    "80GiB": 80 * GIB,
    "24 gib": 24 * GIB,
    "40960MiB": 40 * GIB,
    "0.5GiB": GIB // 2,
    "80GB": 80 * 10**9,
    "24 gb": 24 * 10**9,
    "0GiB": None,
    "30GB": 30 * 10**9,
    "81920MB": 81920 * 10**6,
    "A100-80GB": None,
    "80": None,
    "": None,
    "GiB": None,
    "-1GiB": None,
    "1e3GiB": None,
}


@tabled(("text", "memory"), SIZES.items(), ids=SIZES)
def test_memory_as_people_write_it(text: str, memory: int | None) -> None:
    assert gpu_memory(text) == memory


def test_the_driver_reports_less_than_is_sold() -> None:
    assert reported(80 * GIB)[0] == (seen("H100").low, 80 * GIB)
    assert "A100-80GB" in reported(80 * GIB)[1]
    assert reported(80 * 10**9)[0] == (seen("H100").low, seen("A100-80GB").high)
    assert reported(70 * GIB) == (Range(70 * GIB, 70 * GIB), "")
    assert reported(gpus()["L4"].memory or 0) == (gpus()["L4"].reported, "L4")


NAMES = {
    "A100-80GB": 79.25,
    "nvidia a100 80gb": 79.25,
    "A100": None,
    "A100-SXM4-40GB": 39.38,
    "h100": 79.2,
    "NVIDIA H100 80GB HBM3": 79.2,
    "H100 NVL": None,
    "H100 94GB": None,
    "RTX 4090": 23.65,
    "B200": None,
}


@tabled(("name", "gib"), NAMES.items(), ids=NAMES)
def test_the_memory_of_a_gpu_by_its_name(name: str, gib: float | None) -> None:
    """A name that says another size than the table, or none where there are several, does not say it."""
    found = gpu(name)
    assert found is not None
    assert found.memory == (None if gib is None else int(gib * GIB))


def test_behaviour_follows_the_version() -> None:
    assert [behaviour("utilization", vllm) for vllm in ("0.2.3", "0.9.0rc1", "0.19.0", "0.22.1", "0.30.0")] == [
        *[0.9] * 3,
        *[0.92] * 2,
    ]
    assert [behaviour("counts_others", vllm) for vllm in ("0.5.5", "0.6.4.post1", "0.9.0", "0.9.2")] == [
        *[False, True, True, False]
    ]
    assert version("0.10.1.1") > version("0.9.2") > version("0.9.0rc1") > version("x") == ()


WRITTEN = {
    "none": ({}, "", (16, 16)),
    "int4 in groups of 128": ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "", (4.15625, 4.15625)),
    "an 8-bit gptq": ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "", (8.15625, 8.15625)),
    "the engine's own": ({}, "fp8", (8, 8.02)),
    "8 bits of bitsandbytes": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "", (8, 9)),
    "bits of another type": ({"quant_method": "awq", "bits": "4"}, "", (4.15625, 4.3)),
    "a method that is not known": ({"quant_method": "new"}, "", (2, 16)),
    "a name that is a list": ({"quant_method": []}, "", (16, 16)),
    "compressed tensors": (
        {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 8}}}},
        "",
        (8, 8.1),
    ),
    "compressed tensors of nothing": ({"quant_method": "compressed-tensors", "config_groups": [1]}, "", (2, 16)),
}


@tabled(("written", "method", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_bits_of_a_quantized_weight(written: dict[str, Any], method: str, expected: tuple[float, float]) -> None:
    found = LanguageModel("LlamaForCausalLM", "", 1, 1, 1, 1, 1, 1, 1, quantization=written)
    assert bits(found, method) == pytest.approx(expected)


LEFT = {
    "the output layer and norms": (["lm_head", "model.layers.0.mlp.gate", "model.layers.0.input_layernorm"], (8, 8.02)),
    "what is no name": ([1, None, ["q_proj"]], (8, 8.02)),
    "queries": (["model.layers.0.self_attn.q_proj"], (8 + 8 * 16 / 160, 8.02 + 7.98 * 16 / 160)),
    "a pattern": (["re:.*self_attn.*"], (8, 16)),
    "a whole layer": (["model.layers.1"], (8, 16)),
    "another layer": (["layers.0.self_attn.qkv_proj"], (8, 16)),
    "something long": (["x" * 100_000 + "layers.0.self_attn.q_proj"], (8, 8.02)),
}


@tabled(("names", "expected"), LEFT.values(), ids=LEFT)
def test_layers_that_a_checkpoint_leaves_in_16_bits(names: object, expected: tuple[float, float]) -> None:
    written = {"quant_method": "fp8", "ignored_layers": names}
    sizes = replace(QWEN, layers=1, hidden=4, heads=4, kv_heads=2, head_dim=1, intermediate=9, quantization=written)
    found = replace(sizes, parameters=160 + sizes.vocabulary * 4)
    assert bits(found) == pytest.approx(expected)


def test_layers_of_experts_that_a_checkpoint_leaves_are_not_counted() -> None:
    written = {"quant_method": "fp8", "ignored_layers": ["model.layers.0.mlp.up_proj"]}
    assert bits(replace(count(QWEN), experts=8, quantization=written)) == (8, 16)


def test_a_published_checkpoint_of_fp8_leaves_the_attention_in_16_bits() -> None:
    """Loading Llama 3.1 405B FP8 took 57.75 GiB of each of 8 GPUs: vllm-project/vllm#6746."""
    names = [f"model.layers.{n}.self_attn.{part}_proj" for n in range(126) for part in "qkvo"]
    names += [f"model.layers.{n}.mlp.{part}_proj" for n in (0, 125) for part in ("gate", "up", "down")]
    written = {"quant_method": "fbgemm_fp8", "modules_to_not_convert": [*names, "lm_head"]}
    found = LanguageModel("LlamaForCausalLM", "", 126, 16384, 128, 8, 128, 53248, 128256, quantization=written)
    assert next(stages(count(found), (8, 1))).weights.middle / GIB == pytest.approx(57.75, rel=0.02)


UNSURE = {
    "a checkpoint that sets the cache": ({"kv_cache_scheme": {"num_bits": 8}}, {}, "the checkpoint may set"),
    "an output layer in 4 bits": ({"lm_head": True}, {}, "the output layer may be quantized"),
    "replicas of experts": ({}, {"experts": 8}, "replicas may share"),
}


@pytest.mark.parametrize(("written", "sizes", "said"), UNSURE.values(), ids=UNSURE)
def test_what_makes_it_an_estimate(written: dict[str, Any], sizes: dict[str, Any], said: str) -> None:
    found = LanguageModel("LlamaForCausalLM", "", 1, 1, 1, 1, 1, 1, 1, quantization=written, **sizes)
    several = replace(settings(CASES["llama3-8b-tp1"]), replicas=2)
    assert [why for why in doubts(found, several) if why.startswith(said)]


QWEN = LanguageModel("Qwen2ForCausalLM", "", 28, 1536, 12, 2, 128, 8960, 151936, tied=True)
PLAIN = Settings("0.19.0", 0.9, 4096, Range(8, 8), Range(2048, 2048))
TEN = Range(10, 10).times(GIB)


def test_kv_heads_are_replicated_where_more_gpus_share_a_layer() -> None:
    sizes = [per_token(QWEN, replace(PLAIN, tensor=tensor), 28) for tensor in (1, 2, 4)]
    assert sizes == [28672, 14336, 14336]


def test_a_cache_of_latent_vectors_is_not_divided_and_was_not_always_there() -> None:
    """By vLLM 0.8.3 in vllm-project/vllm#15871: 0.95 GiB for 32,768 tokens; before 0.7.1, 16 heads of 256 numbers."""
    case = CASES["ds-v2-lite-need"]
    lite = {vllm: replace(settings(case), vllm=vllm) for vllm in ("0.5.5", "0.7.0", "0.8.3")}
    assert [per_token(model(case), each, 27) for each in lite.values()] == [27 * 8 * 256 * 4] * 2 + [27 * 576 * 2]


def test_latent_attention_keeps_parts_of_its_weights_twice() -> None:
    lite = replace(model(CASES["ds-v2-lite-need"]), nope_head_dim=128, value_head_dim=128)
    found = {
        vllm: share(lite, replace(PLAIN, vllm=vllm, tensor=8), TEN.times(4)).weights
        for vllm in ("0.7.0", "0.7.3", "0.9.2")
    }
    copies = 27 * 16 * 512 * 256 * 2 / 8
    assert found["0.9.2"].low - found["0.7.0"].low == found["0.7.3"].low - found["0.7.0"].low == pytest.approx(copies)
    assert found["0.7.3"].high - found["0.9.2"].high == pytest.approx(copies * (2 * 2048 / 256 - 1))


def test_cuda_graphs_count_since_the_version_that_counts_them_unless_there_are_none() -> None:
    found = {
        (vllm, eager): share(count(QWEN), replace(PLAIN, vllm=vllm, eager=eager), TEN).graphs
        for vllm in ("0.19.0", "0.22.1")
        for eager in (False, True)
    }
    assert [held.high > 0 for held in found.values()] == [False, False, True, False]


def test_shared_embeddings_are_loaded_once_unless_the_ends_are_apart() -> None:
    table = 151936 * 1536 * 2
    whole = list(stages(count(QWEN), (1, 1)))
    ends = list(stages(count(QWEN), (1, 2)))
    assert whole[0].weights.low == pytest.approx(1543714304 * 2, rel=0.001)
    assert sum(stage.weights.low for stage in ends) - whole[0].weights.low == pytest.approx(table, rel=0.001)
    assert [stage.samples for stage in ends] == [False, True]


SPLITS = {
    "stages in the middle have more": ((94, 4), False, [23, 24, 23]),
    "all but the last have more": ((23, 4), False, [6, 6, 5]),
    "the last had all the rest": ((94, 4), True, [23, 23, 25]),
    "nothing remains": ((28, 2), False, [14, 14]),
    "two stages": ((27, 2), False, [14, 13]),
    "more stages than layers": ((1, 4), False, [1]),
}


@tabled(("sizes", "rest_last", "layers"), SPLITS.values(), ids=SPLITS)
def test_layers_of_the_stages(sizes: tuple[int, int], rest_last: bool, layers: list[int]) -> None:  # noqa: FBT001
    """By vllm-project/vllm#13839: 94 layers on 4 stages were 23, 23, 23, 25, and are 23, 24, 24, 23."""
    found = stages(count(replace(QWEN, layers=sizes[0])), (1, sizes[1]), rest_last=rest_last)
    assert [stage.layers for stage in found] == layers


def test_the_version_decides_which_stage_has_more_layers() -> None:
    odd = count(replace(QWEN, layers=29, tied=False))
    sizes = [share(odd, replace(PLAIN, vllm=vllm, pipeline=2), TEN).per_token for vllm in ("0.7.3", "0.8.0")]
    assert [size / per_token(odd, PLAIN, 1) for size in sizes] == [15, 15]
    weights = [share(odd, replace(PLAIN, vllm=vllm, pipeline=3), TEN).per_token for vllm in ("0.7.3", "0.8.0")]
    assert weights[0] == weights[1] * 11 / 10


def test_what_cannot_be_divided_is_on_each_gpu() -> None:
    two, four = (next(stages(count(QWEN), (tensor, 1))).weights.low for tensor in (2, 4))
    keys = 2 * 28 * 1536 * 128 * 2
    assert four - two / 2 == pytest.approx(keys / 2)
    latent = replace(QWEN, kv_lora_rank=512, rope_head_dim=64, nope_head_dim=128, value_head_dim=128, q_lora_rank=1536)
    one, two = (next(stages(count(latent), (tensor, 1))).weights.low for tensor in (1, 2))
    assert two - one / 2 == pytest.approx(28 * 1536 * (1536 + 512 + 64))


def test_32_bits_are_only_for_what_is_not_quantized() -> None:
    four = replace(count(QWEN), quantization={"quant_method": "gptq", "bits": 4, "group_size": 128})
    found = [next(stages(four, (1, 1), "", whole)).weights.low for whole in (2.0, 4.0)]
    assert found[1] - found[0] == pytest.approx(151936 * 1536 * 2)


def test_a_table_of_positions_is_loaded_as_well() -> None:
    """Llama 3.1 8B takes 14.9888 GiB, Llama 3 8B 14.96: 131,072 positions of 128 numbers in 16 bits."""
    found = next(stages(replace(count(QWEN), context=131072), (1, 1))).weights
    assert found.high - found.low == 131072 * 128 * 2


def test_changes_that_are_offered_can_be_made() -> None:
    long, forty = replace(PLAIN, max_model_len=1 << 21), Range(40, 40).times(GIB)
    offered = {
        heads: [each.change for each in options(count(replace(QWEN, heads=heads, kv_heads=4)), long, forty)]
        for heads in (12, 6)
    }
    assert "tensor_parallel_size 4" in offered[12]
    assert not any("tensor" in change for change in offered[6])  # 4 GPUs cannot share 6 heads
    ten = [each.change for each in options(count(replace(QWEN, heads=40, kv_heads=10)), long, forty)]
    assert not any("tensor" in change for change in ten)  # 4 GPUs cannot share 10 keys, and 2 are not enough
    four = replace(count(QWEN), quantization={"quant_method": "awq", "bits": 4})
    assert not any("weights" in each.change for each in options(four, PLAIN, TEN))
    assert any("weights" in each.change for each in options(count(QWEN), PLAIN, TEN))
