"""The vLLM stand-in at both sides of each bound: arguments, sampling, log probabilities, and what is sent when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils
from vllm_arguments import EngineArguments, read_arguments
from vllm_generation import Delta, Generation, refuse_length
from vllm_ort import checked_length, find_weights
from vllm_request import Answer, complete
from vllm_sampler import Sampler, nucleus
from vllm_sampling import SamplingParameters, read_sampling
from vllm_script import ScriptEngine
from vllm_text import Transcript

from tests.tabled import tabled
from tests.tensors import outputs, refusal, request

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


def arguments(place: Path, kind: str = "MODEL", /, **given: Any) -> EngineArguments:  # noqa: ANN401  JSON
    (place / "model.json").write_text(json.dumps({"model": "m"} | given), "utf-8")
    return read_arguments(str(place), kind)


NOTHING: list[object] = [None, False, "", "false", "False", "auto", "none", "generate", "raw_logprobs", 1, {}, []]


@pytest.mark.parametrize("value", NOTHING, ids=map(repr, NOTHING))
def test_an_argument_that_asks_for_nothing_has_no_effect(tmp_path: Path, value: object) -> None:
    assert arguments(tmp_path, rope_scaling=value).without_meaning == ("rope_scaling",)


REFUSED = {
    "enable_prompt_adapter": "prompt adapters",
    "enable_prompt_embeds": "prompt embeddings",
    "quantization": "another quantization than that of the local weights",
    "quantization_param_path": "another quantization than that of the local weights",
    "qlora_adapter_name_or_path": "LoRA adapters",
    "spec_tokens": "speculative decoding",
    "num_speculative_tokens": "speculative decoding",
    "disable_logprobs_during_spec_decoding": "speculative decoding",
    "ngram_prompt_lookup_max": "speculative decoding",
    "typical_acceptance_sampler_posterior_alpha": "speculative decoding",
    "diffusion_config": "diffusion models",
    "rope_theta": "another rotary embedding than the graph's",
    "hf_overrides": "another configuration than the graph's",
    "model_class_overrides": "another model class",
    "override_generation_config": "other sampling defaults",
    "logits_processors": "logits processors",
    "logits_processor_pattern": "logits processors",
    "logprobs_mode": "another kind of log probabilities than raw_logprobs",
    "task": "anything but text generation",
    "runner": "anything but text generation",
    "convert": "anything but text generation",
    "override_pooler_config": "pooling",
    "skip_tokenizer_init": "prompts without a tokenizer",
    "tokens_only": "prompts without a tokenizer",
    "stream_interval": "responses of several tokens",
}


@pytest.mark.parametrize(("name", "what"), REFUSED.items(), ids=REFUSED)
def test_an_argument_that_would_change_answers_is_refused(tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(ValueError, match=f"engine argument '{name}' asks for {what}, which"):
        arguments(tmp_path, **{name: "some"})


HARMLESS = """dtype revision tokenizer_revision download_dir served_model_name trust_remote_code gpu_memory_utilization
swap_space block_size num_gpu_blocks_override cpu_offload_gb kv_cache_dtype enable_prefix_caching data_parallel_size
pipeline_parallel_size distributed_executor_backend disable_custom_all_reduce enforce_eager compilation_config
max_num_batched_tokens enable_chunked_prefill scheduler_delay_factor disable_log_stats limit_mm_per_prompt
guided_decoding_backend max_lora_rank max_loras tokenizer_mode load_format""".split()  # noqa: SIM905  as they are written in vLLM's help


@pytest.mark.parametrize("name", HARMLESS)
def test_an_argument_that_changes_no_answer_is_named(tmp_path: Path, name: str) -> None:
    assert arguments(tmp_path, "MODEL", **{name: 1}).without_meaning == (name,)


LORA: dict[str, tuple[object, bool]] = {
    "asked for": (True, True), "in words": ("True", True), "no": (False, False), "no in words": ("false", False),
}  # fmt: skip


@pytest.mark.parametrize(("value", "refused"), LORA.values(), ids=LORA)
def test_adapters_are_refused_only_if_they_are_asked_for(tmp_path: Path, value: object, *, refused: bool) -> None:
    if refused:
        with pytest.raises(ValueError, match=r"Triton backend cannot find .*multi_lora\.json"):
            arguments(tmp_path, enable_lora=value)
    else:
        assert arguments(tmp_path, enable_lora=value).without_meaning == ("enable_lora",)


SIZES: dict[str, tuple[str, dict[str, object], bool]] = {
    "two GPUs on one": ("GPU", {"tensor_parallel_size": 2}, True),
    "two stages on one": ("GPU", {"pipeline_parallel_size": 2}, True),
    "a number in words": ("GPU", {"tensor_parallel_size": "2"}, True),
    "one GPU": ("GPU", {"tensor_parallel_size": 1, "pipeline_parallel_size": 1}, False),
    "nothing said": ("GPU", {}, False),
    "two on a model's own": ("MODEL", {"tensor_parallel_size": 2}, False),
    "two on a CPU": ("CPU", {"tensor_parallel_size": 2}, False),
}


@pytest.mark.parametrize(("kind", "given", "refused"), SIZES.values(), ids=SIZES)
def test_several_gpus_do_not_fit_on_one(tmp_path: Path, kind: str, given: dict[str, object], *, refused: bool) -> None:
    if refused:
        with pytest.raises(ValueError, match="KIND_GPU is currently for single-GPU models"):
            arguments(tmp_path, kind, **given)
    else:
        assert arguments(tmp_path, kind, **given).without_meaning == tuple(sorted(given))


LEAST: dict[str, tuple[str, int]] = {
    "length": ("max_model_len", 1), "sequences": ("max_num_seqs", 1), "log probabilities": ("max_logprobs", 0),
    "a seed": ("seed", 0),
}  # fmt: skip


@pytest.mark.parametrize(("name", "least"), LEAST.values(), ids=LEAST)
def test_a_number_has_its_least_value(tmp_path: Path, name: str, least: int) -> None:
    assert getattr(arguments(tmp_path, "MODEL", **{name: least}), name) == least
    for wrong in (least - 1, str(least), 1.5, True):
        with pytest.raises(ValueError, match=f"'{name}' must be an integer of at least {least}, not {wrong!r}"):
            arguments(tmp_path, "MODEL", **{name: wrong})


BOUNDS: dict[str, tuple[dict[str, Any], str]] = {
    "presence -2": ({"presence_penalty": -2}, ""),
    "presence 2": ({"presence_penalty": 2}, ""),
    "presence -2.1": ({"presence_penalty": -2.1}, "presence_penalty must be in [-2, 2], got -2.1."),
    "frequency 2": ({"frequency_penalty": 2}, ""),
    "frequency 2.1": ({"frequency_penalty": 2.1}, "frequency_penalty must be in [-2, 2], got 2.1."),
    "frequency -2.1": ({"frequency_penalty": -2.1}, "frequency_penalty must be in [-2, 2], got -2.1."),
    "repetition 0.01": ({"repetition_penalty": 0.01}, ""),
    "repetition 0": ({"repetition_penalty": 0}, "repetition_penalty must be greater than zero, got 0.0."),
    "temperature 0": ({"temperature": 0}, ""),
    "temperature below 0": ({"temperature": -0.1}, "temperature must be non-negative, got -0.1."),
    "top_p 1": ({"top_p": 1}, ""),
    "top_p 1.1": ({"top_p": 1.1}, "top_p must be in (0, 1], got 1.1."),
    "top_p 0": ({"top_p": 0}, "top_p must be in (0, 1], got 0.0."),
    "top_k -1": ({"top_k": -1}, ""),
    "top_k -2": ({"top_k": -2}, "top_k must be 0 (disable), or at least 1, got -2."),
    "min_p 0": ({"min_p": 0}, ""),
    "min_p 1": ({"min_p": 1}, ""),
    "min_p 1.1": ({"min_p": 1.1}, "min_p must be in [0, 1], got 1.1."),
    "min_p below 0": ({"min_p": -0.1}, "min_p must be in [0, 1], got -0.1."),
    "one token": ({"max_tokens": 1}, ""),
    "no token": ({"max_tokens": 0}, "max_tokens must be at least 1, got 0."),
    "any number of tokens": ({"max_tokens": None, "min_tokens": 99}, ""),
    "as many as at most": ({"max_tokens": 3, "min_tokens": 3}, ""),
    "more than at most": (
        {"max_tokens": 3, "min_tokens": 4}, "min_tokens must be less than or equal to max_tokens=3, got 4.",
    ),
    "fewer than none": ({"min_tokens": -1}, "min_tokens must be greater than or equal to 0, got -1."),
    "log probabilities of none": ({"logprobs": 0}, ""),
    "as many log probabilities as allowed": ({"logprobs": 5}, ""),
    "more of them": ({"logprobs": 6}, "Requested sample logprobs of 6, which is greater than max allowed: 5"),
    "fewer than none of them": ({"logprobs": -1}, "logprobs must be non-negative, got -1."),
    "a stop": ({"stop": ["a", "b"]}, ""),
    "a stop of nothing": ({"stop": ["a", ""]}, "stop cannot contain an empty string."),
    "a seed of 0": ({"seed": 0}, ""),
    "a seed below 0": ({"seed": -1}, "seed must be non-negative here, got -1."),
}  # fmt: skip


@tabled(("given", "message"), BOUNDS.values(), ids=BOUNDS)
def test_sampling_parameters_have_vllms_bounds(given: dict[str, Any], message: str) -> None:
    if message:
        with pytest.raises(ValueError, match="but got exception: ") as error:
            read_sampling(json.dumps(given), 5)
        assert str(error.value).endswith(f"exception: {message}")
    else:
        read = read_sampling(json.dumps(given), 5)
        assert {name: getattr(read, name) for name in given} == given


WITHOUT_EFFECT: dict[str, list[object]] = {
    "n": [1], "best_of": [None, 1], "prompt_logprobs": [None], "logprob_token_ids": [None], "flat_logprobs": [False],
    "detokenize": [True], "spaces_between_special_tokens": [True], "logits_processors": [None, []],
    "truncate_prompt_tokens": [None], "guided_decoding": [None], "structured_outputs": [None],
    "logit_bias": [None, {}], "allowed_token_ids": [None, []], "bad_words": [None, []], "extra_args": [None, {}],
    "output_kind": [None], "use_beam_search": [False], "length_penalty": [1.0], "early_stopping": [False],
    "thinking_token_budget": [None], "repetition_detection": [None], "skip_reading_prefix_cache": [None, False],
}  # fmt: skip


@tabled("name", WITHOUT_EFFECT)
def test_what_the_stand_in_cannot_do_is_refused_unless_it_asks_for_nothing(name: str) -> None:
    for value in WITHOUT_EFFECT[name]:
        assert read_sampling(json.dumps({name: value}), 5) == SamplingParameters()
    with pytest.raises(ValueError, match=f"'{name}' = 7 is not supported by this CPU stand-in for vLLM"):
        read_sampling(json.dumps({name: 7}), 5)


def test_vllms_defaults() -> None:
    """vLLM 0.10, vllm/sampling_params.py."""
    given = SamplingParameters()
    assert (given.max_tokens, given.min_tokens, given.temperature, given.top_p, given.top_k) == (16, 0, 1, 1, 0)
    assert (given.min_p, given.presence_penalty, given.frequency_penalty, given.repetition_penalty) == (0, 0, 0, 1)
    assert (given.seed, given.stop, given.stop_token_ids, given.logprobs) == (None, [], [], None)
    assert (given.include_stop_str_in_output, given.ignore_eos, given.skip_special_tokens) == (False, False, True)


@pytest.mark.parametrize(("temperature", "greedy"), [(0, True), (9e-6, True), (1e-5, False), (1, False)])
def test_only_the_lowest_temperatures_are_greedy(temperature: float, *, greedy: bool) -> None:
    assert SamplingParameters(temperature=temperature).is_greedy is greedy


def drawn(logits: list[float], count: int = 200, prompt: list[int] | None = None, **given: Any) -> set[int]:  # noqa: ANN401  fields
    sampler = Sampler(SamplingParameters(**given), prompt or [], set(), seed=0)
    return {sampler.draw(np.array(logits, np.float64)) for _ in range(count)}


HALF = [float(np.log(p)) for p in (0.5, 0.3, 0.2)]
LEFT: dict[str, tuple[dict[str, Any], set[int]]] = {
    "all": ({}, {0, 1, 2}),
    "every token by top_k": ({"top_k": 3}, {0, 1, 2}),
    "more than every token by top_k": ({"top_k": 9}, {0, 1, 2}),
    "no top_k": ({"top_k": -1}, {0, 1, 2}),
    "two by top_k": ({"top_k": 2}, {0, 1}),
    "just the first by top_p": ({"top_p": 0.5}, {0}),
    "the second by top_p": ({"top_p": 0.51}, {0, 1}),
    "the third by top_p": ({"top_p": 0.81}, {0, 1, 2}),
    "just the second by min_p": ({"min_p": 0.59}, {0, 1}),
    "not the second by min_p": ({"min_p": 0.61}, {0}),
    "top_p of what top_k leaves": ({"top_k": 2, "top_p": 0.62}, {0}),
    "a low temperature": ({"temperature": 0.02}, {0}),
    "the lowest temperature that vLLM has": ({"temperature": 0.001}, {0}),
}


@tabled(("given", "left"), LEFT.values(), ids=LEFT)
def test_tokens_are_drawn_from_what_is_left(given: dict[str, Any], left: set[int]) -> None:
    assert drawn(HALF, **given) == left


def test_temperatures_below_a_hundredth_are_a_hundredth() -> None:
    """exp(-0.01 / 0.01) is 0.37: the second is drawn often; at 0.001 it would be almost never."""
    assert drawn([0, -0.01], temperature=0.001) == {0, 1}


def test_a_draw_has_its_share() -> None:
    sampler = Sampler(SamplingParameters(), [], set(), seed=5)
    tokens = [sampler.draw(np.array(HALF)) for _ in range(4000)]
    shares = [tokens.count(token) / 4000 for token in range(3)]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.03)


def test_the_nucleus_keeps_the_first_that_reach_its_share() -> None:
    probabilities = np.array([0.1, 0.4, 0.2, 0.3])
    assert nucleus(probabilities, 0.7).tolist() == [0, 0.4, 0, 0.3]
    assert nucleus(probabilities, 0.71).tolist() == [0, 0.4, 0.2, 0.3]
    assert nucleus(probabilities, 0.1).tolist() == [0, 0.4, 0, 0]


PENALTIES: dict[str, tuple[dict[str, Any], list[int], list[int], list[float]]] = {
    "none": ({}, [0], [1], [2, -2, 1]),
    "repetition, above and below 0": ({"repetition_penalty": 2.0}, [0], [1], [1, -4, 1]),
    "presence, only in the answer": ({"presence_penalty": 0.5}, [0], [1, 1], [2, -2.5, 1]),
    "frequency, by count": ({"frequency_penalty": 0.5}, [0], [1, 1, 2], [2, -3, 0.5]),
    "presence and frequency": ({"presence_penalty": 1.0, "frequency_penalty": 0.5}, [0], [2, 2], [2, -2, -1]),
}


@tabled(("given", "prompt", "answer", "logits"), PENALTIES.values(), ids=PENALTIES)
def test_penalties_change_the_logits(
    given: dict[str, Any], prompt: list[int], answer: list[int], logits: list[float]
) -> None:
    sampler = Sampler(SamplingParameters(**given), prompt, set(), seed=0)
    sampler.output = answer
    changed = np.array([2.0, -2.0, 1.0])
    sampler.penalise(changed)
    assert changed.tolist() == logits


def test_stopping_tokens_are_forbidden_up_to_the_minimum_only() -> None:
    sampler = Sampler(SamplingParameters(temperature=0.0, min_tokens=2), [], {1}, seed=0)
    assert [sampler.choose(np.array([0, 5, 1], np.float32)).token for _ in range(3)] == [2, 2, 1]


def test_no_log_probabilities_are_made_unless_they_are_asked_for() -> None:
    logits = np.log(np.array([0.2, 0.5, 0.3], np.float32))
    none = Sampler(SamplingParameters(temperature=0.0), [], set(), 0).choose(logits)
    assert (none.token, none.logprob, none.likeliest) == (1, None, None)
    only = Sampler(SamplingParameters(temperature=0.0, logprobs=0), [], set(), 0).choose(logits)
    assert only.likeliest is not None
    assert {token: rank for token, (_, rank) in only.likeliest.items()} == {1: 1}
    assert only.logprob == pytest.approx(np.log(0.5), abs=1e-6)


def transcribed(stop: list[str], *words: str, include_stop: bool = False) -> list[str]:
    """Return the pieces as words are added; the last call is the end."""
    transcript = Transcript(lambda ids: "".join(words[i] for i in ids), stop, include_stop=include_stop)
    pieces = []
    for number in range(len(words)):
        transcript.add(number)
        ended = transcript.meets_stop(may_end=True)
        pieces.append(transcript.take(finished=ended or number == len(words) - 1))
        if ended:
            break
    return pieces


HELD: dict[str, tuple[list[str], list[str], bool, list[str]]] = {
    "nothing to stop at": ([], ["ab", "cd"], False, ["ab", "cd"]),
    "a stop of one character holds nothing back": (["x"], ["ab", "cd"], False, ["ab", "cd"]),
    "a stop of three holds two back": (["xyz"], ["abc", "de", "f"], False, ["a", "bc", "def"]),
    "the longest stop counts": (["x", "wxyz"], ["abcd", "e"], False, ["a", "bcde"]),
    "what is included holds nothing back": (["xyz"], ["abc", "de"], True, ["abc", "de"]),
    "a stop over two words": (["xyz"], ["ax", "yz", "b"], False, ["", "a"]),
    "a stop over two words, included": (["xyz"], ["ax", "yzb", "b"], True, ["ax", "yz"]),
    "a stop at the start": (["ab"], ["ab", "c"], False, [""]),
    "the first stop in the list": (["b", "a"], ["ab", "c"], False, ["a"]),
    "a stop within one word": (["b"], ["abc", "d"], False, ["a"]),
}


@tabled(("stop", "words", "include", "pieces"), HELD.values(), ids=HELD)
def test_text_is_held_back_as_long_as_it_may_be_a_stop(
    stop: list[str], words: list[str], pieces: list[str], *, include: bool
) -> None:
    assert transcribed(stop, *words, include_stop=include) == pieces


def test_a_stop_before_the_minimum_is_not_found_later() -> None:
    words = ["ab", "c"]
    transcript = Transcript(lambda ids: "".join(words[i] for i in ids), ["b"], include_stop=False)
    transcript.add(0)
    assert not transcript.meets_stop(may_end=False)
    transcript.add(1)
    assert not transcript.meets_stop(may_end=True)
    assert transcript.take(finished=True) == "abc"


def answer(**tensors: Any) -> tuple[Answer, pb_utils.InferenceRequest]:  # noqa: ANN401  tensors of any kind
    asked = request(text_input="p", **tensors)
    made = Answer(asked, "llm")
    made.read()
    return made, asked


def sent(asked: pb_utils.InferenceRequest) -> list[tuple[dict[str, Any], int]]:
    return [(outputs(response), flags) for response, flags in asked.sender.sent]


PREPENDED: dict[str, tuple[dict[str, bool], bytes]] = {
    "by default": ({}, b"pt"),
    "left out": ({"exclude_input_in_output": True}, b"t"),
    "kept": ({"exclude_input_in_output": False}, b"pt"),
    "a stream": ({"stream": True}, b"t"),
    "a stream, left out": ({"stream": True, "exclude_input_in_output": True}, b"t"),
}


@tabled(("flags", "text"), PREPENDED.values(), ids=PREPENDED)
def test_the_prompt_comes_first_unless_it_is_streamed_or_left_out(flags: dict[str, bool], text: bytes) -> None:
    made, asked = answer(**flags)
    made.add(Delta("t", "stop", None, None))
    assert sent(asked) == [({"text_output": [text]}, FINAL)]


EXTRAS: dict[str, tuple[str, list[object]]] = {
    "finish_reason": ("return_finish_reason", [b"length"]),
    "cumulative_logprob": ("return_cumulative_logprob", [-0.75]),
    "logprobs": ("return_logprobs", [b'[{"1": {}}, {"2": {}}]']),
    "num_input_tokens": ("return_num_input_tokens", [4]),
    "num_output_tokens": ("return_num_output_tokens", [2]),
}


@tabled("name", EXTRAS)
def test_an_output_is_sent_only_if_its_flag_is_set(name: str) -> None:
    flag, value = EXTRAS[name]
    for flags, extra in (({flag: True}, {name: value}), ({flag: False}, {}), ({}, {})):
        made, asked = answer(exclude_input_in_output=True, **flags)
        made.num_input_tokens = 4
        made.add(Delta("a", None, -0.25, {1: {}}))
        assert not asked.sender.sent
        made.add(Delta("b", "length", -0.5, {2: {}}))
        assert sent(asked) == [({"text_output": [b"ab"], **extra}, FINAL)]


def test_a_stream_sends_each_tokens_own_numbers_and_the_sum_so_far() -> None:
    flags = {flag: True for flag, _ in EXTRAS.values()}
    made, asked = answer(stream=True, **flags)
    made.add(Delta("a", None, -0.25, {1: {}}))
    made.add(Delta("b", "stop", -0.5, {2: {}}))
    first, second = sent(asked)
    assert (first[0]["cumulative_logprob"], second[0]["cumulative_logprob"]) == ([-0.25], [-0.75])
    assert (first[0]["logprobs"], second[0]["logprobs"]) == ([b'[{"1": {}}]'], [b'[{"2": {}}]'])
    assert (first[0]["num_output_tokens"], second[0]["num_output_tokens"]) == ([1], [1])
    assert (first[0]["finish_reason"], second[0]["finish_reason"]) == ([b"None"], [b"stop"])
    assert (first[1], second[1]) == (0, FINAL)


def test_without_log_probabilities_there_is_no_sum_and_no_list() -> None:
    made, asked = answer(return_logprobs=True, return_cumulative_logprob=True)
    made.add(Delta("a", "stop", None, None))
    ((found, _),) = sent(asked)
    assert np.isnan(found["cumulative_logprob"][0])
    assert found["logprobs"] == [b"null"]


def test_an_empty_image_is_none() -> None:
    made, _ = answer(image=np.array([], dtype=object))
    assert made.prompt == "p"


def test_a_failure_is_the_last_response_with_its_code() -> None:
    made, asked = answer()
    made.fail("broken", pb_utils.TritonError.INTERNAL)
    ((response, flags),) = asked.sender.sent
    assert (refusal(response), response.error().code(), flags) == ("broken", pb_utils.TritonError.INTERNAL, FINAL)
    streamed, asked = answer(stream=True)
    streamed.cancel()
    ((response, flags),) = asked.sender.sent
    assert (response.error().code(), flags) == (pb_utils.TritonError.CANCELLED, FINAL)


TENSORS = {
    "text_input": ("STRING", [1], False), "image": ("STRING", [-1], True), "stream": ("BOOL", [1], True),
    "sampling_parameters": ("STRING", [1], True), "exclude_input_in_output": ("BOOL", [1], True),
    "return_finish_reason": ("BOOL", [1], True), "return_cumulative_logprob": ("BOOL", [1], True),
    "return_logprobs": ("BOOL", [1], True), "return_num_input_tokens": ("BOOL", [1], True),
    "return_num_output_tokens": ("BOOL", [1], True), "embedding_request": ("STRING", [1], True),
}  # fmt: skip
OUTPUTS = {
    "text_output": ("STRING", [-1]), "finish_reason": ("STRING", [-1]), "cumulative_logprob": ("FP32", [-1]),
    "logprobs": ("STRING", [-1]), "num_input_tokens": ("UINT32", [1]), "num_output_tokens": ("UINT32", [-1]),
}  # fmt: skip


def completed(given: Mapping[str, Any]) -> dict[str, Any]:
    config = pb_utils.ModelConfig(json.dumps(given))
    complete(config)
    return config.as_dict()


def test_an_empty_config_is_completed_to_the_contract_of_the_backend() -> None:
    """vllm_backend, src/model.py, auto_complete_config."""
    config = completed({"max_batch_size": 8, "input": [], "output": []})
    assert {t["name"]: (t["data_type"][5:], t["dims"], bool(t.get("optional"))) for t in config["input"]} == TENSORS
    assert {t["name"]: (t["data_type"][5:], t["dims"]) for t in config["output"]} == OUTPUTS
    assert (config["max_batch_size"], config["model_transaction_policy"]) == (0, {"decoupled": True})


def test_an_output_that_is_there_is_kept() -> None:
    own = {"name": "text_output", "data_type": "TYPE_STRING", "dims": [1]}
    config = completed({"max_batch_size": 0, "input": [], "output": [own]})
    assert [t for t in config["output"] if t["name"] == "text_output"] == [own]
    assert len(config["output"]) == len(OUTPUTS)


@pytest.mark.parametrize(("tokens", "message"), [(0, "cannot be empty"), (7, ""), (8, "length 8"), (9, "length 9")])
def test_a_prompt_leaves_room_for_one_token(tokens: int, message: str) -> None:
    if message:
        with pytest.raises(ValueError, match=f"The decoder prompt .*{message}"):
            refuse_length(tokens, 8)
    else:
        refuse_length(tokens, 8)


def test_a_length_may_be_the_graphs_own() -> None:
    assert (checked_length(8, 8), checked_length(7, 8), checked_length(None, 8)) == (8, 7, 8)


def test_a_token_is_due_at_the_engines_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 50.0)
    asked = request(text_input="a b")
    made, engine = Answer(asked, "llm"), ScriptEngine(None)
    engine.token_s = 7.5
    running = Generation(engine, read_sampling(made.read(), 20), made, seed=None)
    assert running.due == 50
    assert running.advance()
    assert running.due == 57.5


def test_an_end_of_sequence_stops_unless_it_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITONREPO_SCRIPT_TOKEN_MS", "0")
    for ignored, text in ((False, b"a "), (True, b"a b c ")):
        sampling = json.dumps({"max_tokens": 3, "ignore_eos": ignored})
        asked = request(text_input="a b c", exclude_input_in_output=True, sampling_parameters=sampling)
        made, engine = Answer(asked, "llm"), ScriptEngine(None)
        engine.eos_token_ids = frozenset({1})
        running = Generation(engine, read_sampling(made.read(), 20), made, seed=None)
        while running.advance():
            pass
        assert sent(asked) == [({"text_output": [text]}, FINAL)]


PACES: dict[str, tuple[str | None, float]] = {
    "by default": (None, 0.005), "empty": ("", 0.005), "none": ("0", 0), "slow": ("250", 0.25),
}  # fmt: skip


@pytest.mark.parametrize(("milliseconds", "seconds"), PACES.values(), ids=PACES)
def test_the_echo_keeps_its_pace(milliseconds: str | None, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITONREPO_SCRIPT_TOKEN_MS", raising=False)
    if milliseconds is not None:
        monkeypatch.setenv("TRITONREPO_SCRIPT_TOKEN_MS", milliseconds)
    assert ScriptEngine(None).token_s == seconds
    assert (ScriptEngine(None).context_length, ScriptEngine(9).context_length) == (1048576, 9)


def test_weights_are_found_by_their_name_or_at_their_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("model.onnx", "tokenizer.json", "generation.json"):
        (tmp_path / name).touch()
    assert find_weights(str(tmp_path)) == tmp_path
    monkeypatch.setenv("TRITONREPO_LOCAL_MODELS", json.dumps({"org/llm": str(tmp_path)}))
    assert find_weights("org/llm") == tmp_path
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"the local weights of model 'org/llm' lack tokenizer\.json in "):
        find_weights("org/llm")
