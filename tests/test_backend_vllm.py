"""The parts of the vLLM stand-in as plain Python; on the server: test_backends.py."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils
from vllm_arguments import EngineArguments, read_arguments
from vllm_generation import Generation
from vllm_ort import OrtEngine, checked_length, find_weights
from vllm_request import Answer
from vllm_sampler import Sampler
from vllm_sampling import LoraRefused, SamplingParameters, read_sampling
from vllm_scheduler import Scheduler
from vllm_script import ScriptEngine
from vllm_text import Transcript

from tests.tabled import tabled
from tests.tensors import outputs, refusal, request
from tritonrepo.server.backends.vllm.model import TritonPythonModel


def arguments(place: Path, content: object, kind: str = "MODEL") -> EngineArguments:
    (place / "model.json").write_text(json.dumps(content), "utf-8")
    return read_arguments(str(place), kind)


def test_engine_arguments_have_their_defaults(tmp_path: Path) -> None:
    assert arguments(tmp_path, {"model": "m"}) == EngineArguments("m", None, 16, 20, None, ())


def test_engine_arguments_are_read_and_those_without_meaning_named(tmp_path: Path) -> None:
    given = {
        "model": "m",
        "tokenizer": "m",
        "max_model_len": 64,
        "max_num_seqs": 2,
        "max_logprobs": 0,
        "seed": 0,
        "tensor_parallel_size": 2,
        "quantization": None,
        "gpu_memory_utilization": 0.5,
    }
    without = ("gpu_memory_utilization", "quantization", "tensor_parallel_size")
    assert arguments(tmp_path, given) == EngineArguments("m", 64, 2, 0, 0, without)


BAD_ARGUMENTS: dict[str, tuple[object, str]] = {
    "a list": ([1], "model.json must hold a JSON object of vLLM's engine arguments, not a list"),
    "no model": ({}, 'model.json lacks "model"'),
    "a model of no name": ({"model": 1}, 'model.json lacks "model"'),
    "a flag for a number": (
        {"model": "m", "max_num_seqs": True},
        "'max_num_seqs' must be an integer of at least 1, not True",
    ),
    "too small": ({"model": "m", "max_model_len": 0}, "'max_model_len' must be an integer of at least 1, not 0"),
    "below nothing": ({"model": "m", "seed": -1}, "'seed' must be an integer of at least 0, not -1"),
    "another tokenizer": (
        {"model": "m", "tokenizer": "n"},
        "'tokenizer' is 'n', but this stand-in uses the tokenizer of",
    ),
    "what is not here": ({"model": "m", "spec_model": "n"}, "'spec_model' asks for speculative decoding"),
    "speculative decoding": (
        {"model": "m", "speculative_config": {"k": 1}},
        "'speculative_config' asks for speculative decoding",
    ),
    "another quantization": (
        {"model": "m", "quantization": "awq"},
        "engine argument 'quantization' asks for another quantization",
    ),
    "a text for a number": (
        {"model": "m", "max_model_len": "long"},
        "engine argument 'max_model_len' must be an integer of at least 1, not 'long'",
    ),
    "shards of no number": (
        {"model": "m", "tensor_parallel_size": "two"},
        "invalid literal for int() with base 10: 'two'",
    ),
    "an unknown name": ({"model": "m", "max_len": 1}, "got an unexpected keyword argument 'max_len'"),
    "adapters": ({"model": "m", "enable_lora": True}, "Triton backend cannot find "),
    "a size of no number": ({"model": "m", "pipeline_parallel_size": "x"}, "invalid literal for int"),
}


@pytest.mark.parametrize(("content", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_engine_arguments_are_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        arguments(tmp_path, content)


@pytest.mark.parametrize("enabled", ["true", True])
def test_adapters_are_known_by_name_and_not_loaded(tmp_path: Path, enabled: object) -> None:
    (tmp_path / "multi_lora.json").write_text('{"b": "/nowhere", "a": "o/a"}', "utf-8")
    found = arguments(tmp_path, {"model": "m", "enable_lora": enabled})
    assert found.adapters == ("b", "a")
    assert arguments(tmp_path, {"model": "m", "enable_lora": "false"}).adapters is None
    (tmp_path / "multi_lora.json").write_text("[]", "utf-8")
    with pytest.raises(TypeError, match="'list' object has no attribute 'keys'"):
        arguments(tmp_path, {"model": "m", "enable_lora": enabled})


def test_several_gpus_are_refused_on_one_of_kind_gpu(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="KIND_GPU is currently for single-GPU models"):
        arguments(tmp_path, {"model": "m", "tensor_parallel_size": 2}, kind="GPU")


def test_a_version_without_model_json_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'model\.json' containing vllm engine args must be provided in"):
        read_arguments(str(tmp_path), "MODEL")


def test_sampling_parameters_have_vllms_defaults_and_take_text_for_numbers() -> None:
    assert read_sampling("", 20) == SamplingParameters()
    given = {"temperature": "0.5", "max_tokens": None, "seed": "3", "stop": "x", "stop_token_ids": None, "n": 1}
    wanted = SamplingParameters(temperature=0.5, max_tokens=None, seed=3, stop=["x"], stop_token_ids=[])
    assert read_sampling(json.dumps(given), 20) == wanted


BAD_SAMPLING: dict[str, tuple[object, str]] = {
    "unknown": ({"heat": 1}, "Unexpected keyword argument 'heat'"),
    "not done": ({"n": 2}, "'n' = 2 is not supported by this CPU stand-in for vLLM"),
    "no number": ({"top_p": "high"}, "top_p: could not convert string to float: 'high'"),
    "nothing for a number": ({"temperature": None}, "temperature: "),
    "stops of numbers": ({"stop": [1]}, "stop must contain only strings, got [1]."),
    "ids of text": ({"stop_token_ids": ["x"]}, "stop_token_ids must contain only integers, got ['x']."),
    "an empty stop": ({"stop": ""}, "stop cannot contain an empty string."),
    "a penalty": ({"presence_penalty": 3}, "presence_penalty must be in [-2, 2], got 3.0."),
    "more log probabilities": ({"logprobs": 6}, "Requested sample logprobs of 6, which is greater than max allowed: 5"),
    "a minimum above": ({"min_tokens": 9, "max_tokens": 3}, "min_tokens must be less than or equal to max_tokens=3"),
    "a share": ({"top_p": 0}, "top_p must be in (0, 1], got 0.0."),
}


@tabled(("given", "message"), BAD_SAMPLING.values(), ids=BAD_SAMPLING)
def test_sampling_parameters_are_refused(given: object, message: str) -> None:
    with pytest.raises(ValueError, match="Was trying to create `TritonSamplingParams`, but got exception: ") as error:
        read_sampling(json.dumps(given), 5)
    assert message in str(error.value)


def test_sampling_parameters_are_an_object_without_adapter() -> None:
    with pytest.raises(TypeError, match="sampling parameters must be a JSON object, not a list"):
        read_sampling("[]", 5)
    with pytest.raises(LoraRefused, match="LoRA feature is not enabled"):
        read_sampling('{"lora_name": "x"}', 5)
    assert read_sampling('{"lora_name": null}', 5) == SamplingParameters()


def test_a_request_for_an_adapter_is_refused_and_others_are_not() -> None:
    with pytest.raises(LoraRefused, match=r"^LoRA x is not supported, we currently support \['a', 'b'\]$"):
        read_sampling('{"lora_name": "x"}', 5, ("a", "b"))
    with pytest.raises(LoraRefused, match=r"^LoRA a needs the real vLLM backend"):
        read_sampling('{"lora_name": "a"}', 5, ("a", "b"))
    assert read_sampling('{"lora_name": null}', 5, ("a", "b")) == SamplingParameters()


ALLOWED: dict[str, tuple[dict[str, Any], set[int]]] = {
    "everything": ({}, {0, 1, 2, 3}),
    "greedy": ({"temperature": 0.0}, {3}),
    "top_k": ({"top_k": 2}, {2, 3}),
    "top_p": ({"top_p": 0.6}, {2, 3}),
    "top_p of the first": ({"top_p": 0.39}, {3}),
    "min_p": ({"min_p": 0.7}, {2, 3}),
    "min_p and top_k": ({"min_p": 0.7, "top_k": 1}, {3}),
    "min_tokens forbids stopping tokens": ({"min_tokens": 500, "max_tokens": 500}, {0, 1, 2}),
    "repetition of the prompt": ({"temperature": 0.0, "repetition_penalty": 9.0}, {2}),
}


@tabled(("sampling", "allowed"), ALLOWED.values(), ids=ALLOWED)
def test_tokens_are_drawn_from_what_the_parameters_leave(sampling: dict[str, Any], allowed: set[int]) -> None:
    prompt = [3] if "repetition_penalty" in sampling else []
    sampler = Sampler(SamplingParameters(**sampling), prompt, {3}, seed=0)
    logits = np.log(np.array([0.1, 0.2, 0.3, 0.4], np.float32)) + 3
    assert {sampler.choose(logits).token for _ in range(300 if not prompt else 1)} == allowed


def test_penalties_wear_a_token_out() -> None:
    sampler = Sampler(SamplingParameters(temperature=0.0, frequency_penalty=1.0), [], set(), seed=0)
    logits = np.array([2.5, 0, 1], np.float32)
    assert [sampler.choose(logits).token for _ in range(5)] == [0, 0, 2, 0, 1]


def test_the_requests_seed_wins_and_repeats_the_draw() -> None:
    logits = np.zeros(1000, np.float32)
    own = SamplingParameters(seed=1)
    drawn = [Sampler(own, [], set(), seed).choose(logits).token for seed in (2, 3, None)]
    assert len(set(drawn)) == 1
    others = {Sampler(SamplingParameters(), [], set(), seed).choose(logits).token for seed in range(5)}
    assert len(others) > 1


def test_log_probabilities_are_those_of_the_raw_logits() -> None:
    """0.2, 0.5 and 0.3, by hand; temperature and top_k do not affect them, and the chosen token comes first."""
    logits = np.log(np.array([0.2, 0.5, 0.3], np.float32)) + 7
    choice = Sampler(SamplingParameters(logprobs=2, min_tokens=1), [], {1, 2}, seed=0).choose(logits)
    assert choice.token == 0
    assert choice.logprob == pytest.approx(np.log(0.2), abs=1e-6)
    assert choice.likeliest is not None
    assert list(choice.likeliest) == [0, 1, 2]
    assert [rank for _, rank in choice.likeliest.values()] == [3, 1, 2]
    assert choice.likeliest[1][0] == pytest.approx(np.log(0.5), abs=1e-6)


@pytest.mark.parametrize(
    ("stop", "pieces"),
    [
        pytest.param([], ["a", "", "", "☕", "b", "☕"], id="no stop string"),
        pytest.param(["☕b☕!"], ["", "", "", "", "", "a☕b☕"], id="a stop string that only began"),
    ],
)
def test_pieces_never_split_a_character(stop: list[str], pieces: list[str]) -> None:
    tokens = [b"a", b"\xe2", b"\x98", b"\x95", b"b", "☕".encode()]
    transcript = Transcript(
        lambda ids: b"".join(tokens[i] for i in ids).decode(errors="replace"), stop, include_stop=False
    )
    found = []
    for token in range(len(tokens)):
        transcript.add(token)
        found.append(transcript.take(finished=token == len(tokens) - 1))
    assert found == pieces


Sent = list[tuple[dict[str, Any] | str, int]]
FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


def sent(asked: pb_utils.InferenceRequest) -> Sent:
    """Return what was sent: the outputs, or the error, and the flags."""
    return [
        (refusal(response) if response.has_error() else outputs(response), flags)
        for response, flags in asked.sender.sent
    ]


def generation(asked: pb_utils.InferenceRequest, context: int | None = None, max_logprobs: int = 20) -> Generation:
    answer = Answer(asked, "llm")
    sampling = read_sampling(answer.read(), max_logprobs)
    return Generation(ScriptEngine(context), sampling, answer, seed=None)


def finished(asked: pb_utils.InferenceRequest, context: int | None = None) -> Sent:
    running = generation(asked, context)
    while running.advance():
        pass
    return sent(asked)


def test_a_whole_answer_begins_with_the_prompt() -> None:
    asked = request(text_input="one two three", sampling_parameters='{"max_tokens": 2}')
    assert finished(asked) == [({"text_output": [b"one two threeone two "]}, FINAL)]


def test_a_stream_has_a_response_a_token_and_the_outputs_that_were_asked_for() -> None:
    flags = {"return_finish_reason": True, "return_num_output_tokens": True, "return_num_input_tokens": True}
    asked = request(text_input="one two", stream=True, sampling_parameters='{"max_tokens": 2}', **flags)
    counts = {"num_input_tokens": [2], "num_output_tokens": [1]}
    assert finished(asked) == [
        ({"text_output": [b"one "], "finish_reason": [b"None"], **counts}, 0),
        ({"text_output": [b"two "], "finish_reason": [b"length"], **counts}, FINAL),
    ]


def test_log_probabilities_add_up_over_the_answer() -> None:
    flags = {"return_logprobs": True, "return_cumulative_logprob": True, "exclude_input_in_output": True}
    asked = request(text_input="a b", sampling_parameters='{"max_tokens": 2, "logprobs": 1}', **flags)
    ((answer, _),) = finished(asked)
    assert isinstance(answer, dict)
    assert answer["cumulative_logprob"] == [0.0]
    assert [json.loads(text) for text in answer["logprobs"]] == [
        [
            {"0": {"logprob": 0.0, "rank": 1, "decoded_token": "a "}},
            {"1": {"logprob": 0.0, "rank": 1, "decoded_token": "b "}},
        ]
    ]


def test_an_answer_ends_at_a_stop_string_and_at_the_models_length() -> None:
    stopped = request(text_input="a b c", stream=True, sampling_parameters='{"stop": ["b"], "max_tokens": 9}')
    texts = [answer["text_output"] for answer, _ in finished(stopped) if isinstance(answer, dict)]
    assert b"".join(text for (text,) in texts) == b"a "
    short = request(text_input="a b c", exclude_input_in_output=True, sampling_parameters='{"max_tokens": 9}')
    assert finished(short, context=5) == [({"text_output": [b"a b "]}, FINAL)]


def test_the_tensor_wins_over_the_requests_parameters() -> None:
    both = pb_utils.InferenceRequest(
        inputs=request(text_input="a", sampling_parameters='{"max_tokens": 1}').inputs(),
        requested_output_names=[],
        model_name="",
        parameters={"max_tokens": 3},
    )
    assert finished(both) == [({"text_output": [b"aa "]}, FINAL)]
    alone = pb_utils.InferenceRequest(
        inputs=request(text_input="a").inputs(), requested_output_names=[], model_name="", parameters={"max_tokens": 3}
    )
    assert finished(alone) == [({"text_output": [b"aa a a "]}, FINAL)]


ENDS: dict[str, tuple[dict[str, Any], bytes, bytes]] = {
    "a stopping token": ({"stop_token_ids": [1]}, b"a ", b"stop"),
    "a stopping token that is kept": ({"stop_token_ids": [1], "include_stop_str_in_output": True}, b"a b ", b"stop"),
    "a stop string": ({"stop": ["b"]}, b"a ", b"stop"),
    "a stop string that is kept": ({"stop": ["b"], "include_stop_str_in_output": True}, b"a b", b"stop"),
    "a stop before the minimum": ({"stop": ["b"], "min_tokens": 3}, b"a b c a ", b"stop"),
    "a stop at the minimum": ({"stop": ["b"], "min_tokens": 2}, b"a b c a ", b"stop"),
    "a stop just after the minimum": ({"stop": ["b"], "min_tokens": 1}, b"a ", b"stop"),
    "the limit": ({"max_tokens": 2}, b"a b ", b"length"),
}


@pytest.mark.parametrize(("sampling", "text", "reason"), ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_an_answer_ends(sampling: dict[str, Any], text: bytes, reason: bytes, *, stream: bool) -> None:
    asked = request(
        text_input="a b c",
        stream=stream,
        exclude_input_in_output=True,
        return_finish_reason=True,
        sampling_parameters=json.dumps({"max_tokens": 9} | sampling),
    )
    answers = [answer for answer, _ in finished(asked) if isinstance(answer, dict)]
    assert b"".join(piece for answer in answers for piece in answer["text_output"]) == text
    assert answers[-1]["finish_reason"] == [reason]


BAD_REQUESTS = {
    "an embedding": (request(text_input="x", embedding_request="{}"), "Model llm does not support 'embed' request"),
    "an image": (request(text_input="x", image="png"), "input 'image' is set"),
    "a stream with its prompt": (
        request(text_input="x", stream=True, exclude_input_in_output=False),
        "When streaming, `exclude_input_in_output` = False is not allowed.",
    ),
    "no words": (request(text_input=" "), "The decoder prompt cannot be empty"),
    "too many words": (request(text_input="a " * 8), "The decoder prompt (length 8) is longer than the maximum model"),
    "no UTF-8": (request(text_input=b"\xff"), "can't decode byte 0xff"),
}


@tabled(("asked", "message"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_request_is_refused(asked: pb_utils.InferenceRequest, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        generation(asked, context=8)


@pytest.mark.parametrize(
    ("stream", "last"), [(True, "Request was cancelled"), (False, {"text_output": [b"a ba "]})], ids=["stream", "whole"]
)
def test_a_cancelled_request_ends(last: object, *, stream: bool) -> None:
    asked = request(text_input="a b", stream=stream)
    running = generation(asked)
    assert running.advance()
    asked.sender.cancelled = True
    assert not running.advance()
    assert sent(asked)[-1] == (last, FINAL)


class Turns:
    """A stand-in for a Generation: records each of its `count` turns in `told`; the last can fail."""

    def __init__(self, name: str, count: int, told: list[str], *, fails: bool = False) -> None:
        self.name, self.count, self.told, self.fails, self.due = name, count, told, fails, 0.0
        self.over = threading.Event()

    def advance(self) -> bool:
        self.told.append(self.name)
        self.count -= 1
        if self.count:
            return True
        self.over.set()
        if self.fails:
            raise RuntimeError("the graph failed")
        return False


def scheduled(limit: int, *turns: Turns, awaited: bool = True) -> list[tuple[str, str]]:
    """Submit all together, close when they are done or at once; return the names and errors of those that failed."""
    failed: list[tuple[str, str]] = []
    scheduler = Scheduler(limit, lambda turn, error: failed.append((cast("Any", turn).name, str(error))))
    with scheduler.changed:
        for turn in turns:
            scheduler.submit(cast("Generation", turn))
    assert not awaited or all(turn.over.wait(30) for turn in turns)
    scheduler.close()
    return failed


def test_answers_take_turns_and_the_limit_holds_the_others_back() -> None:
    told: list[str] = []
    assert not scheduled(2, *(Turns(name, 2, told) for name in "abc"))
    assert told == ["a", "b", "a", "b", "c", "c"]


def test_a_failure_ends_one_answer_alone() -> None:
    told: list[str] = []
    failed = scheduled(2, Turns("bad", 1, told, fails=True), Turns("good", 2, told))
    assert failed == [("bad", "the graph failed")]
    assert told == ["bad", "good", "good"]


def test_what_is_unfinished_fails_when_the_model_is_unloaded() -> None:
    endless, waiting = Turns("endless", -1, []), Turns("waiting", 1, [])
    assert scheduled(1, endless, waiting, awaited=False) == [
        ("endless", "the model is being unloaded"),
        ("waiting", "the model is being unloaded"),
    ]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TritonPythonModel]:
    monkeypatch.setattr(pb_utils, "model_dir", str(tmp_path))
    monkeypatch.setenv("TRITONREPO_LLM_ENGINE", "script")
    monkeypatch.setenv("TRITONREPO_SCRIPT_TOKEN_MS", "0")
    (tmp_path / "model.json").write_text('{"model": "m", "dtype": "auto"}', "utf-8")
    found = TritonPythonModel()
    found.initialize(told(decoupled=True))
    yield found
    found.finalize()


def told(*, decoupled: bool) -> dict[str, str]:
    output = {"name": "text_output", "data_type": "TYPE_STRING"}
    config = {"output": [output], "model_transaction_policy": {"decoupled": decoupled}}
    return {"model_config": json.dumps(config), "model_name": "llm", "model_instance_kind": "MODEL"}


def test_one_bad_request_fails_alone(model: TritonPythonModel) -> None:
    good = request(text_input="a", exclude_input_in_output=True, sampling_parameters='{"max_tokens": 1}')
    bad = request(text_input="a", sampling_parameters='{"n": 2}')
    adapter = request(text_input="a", sampling_parameters='{"lora_name": "x"}')
    model.execute([bad, good, adapter])
    assert sent(adapter) == [("LoRA feature is not enabled.", FINAL)]
    ((message, flags),) = sent(bad)
    assert str(message).startswith("Error generating stream: Was trying to create `TritonSamplingParams`")
    assert flags == FINAL
    assert good.sender.ended.wait(30)
    assert sent(good) == [({"text_output": [b"a "]}, FINAL)]


def test_the_log_names_what_has_no_meaning_here(model: TritonPythonModel) -> None:  # noqa: ARG001
    assert "[vllm] engine arguments without effect on this stand-in: dtype" in pb_utils.lines


def test_a_model_that_is_not_decoupled_is_refused() -> None:
    with pytest.raises(ValueError, match="must be configured to use decoupled model transaction policy"):
        TritonPythonModel().initialize(told(decoupled=False))


def test_an_unknown_engine_is_told(model: TritonPythonModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITONREPO_LLM_ENGINE", "gpu")
    with pytest.raises(ValueError, match="TRITONREPO_LLM_ENGINE must be ort, script or vllm, not 'gpu'"):
        model.initialize(told(decoupled=True))


def test_a_pace_of_no_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITONREPO_SCRIPT_TOKEN_MS", "fast")
    with pytest.raises(ValueError, match="TRITONREPO_SCRIPT_TOKEN_MS must be a number of milliseconds, not 'fast'"):
        ScriptEngine(None)


def test_a_config_is_completed_to_the_contract_and_what_it_has_is_kept() -> None:
    own = {"name": "text_input", "data_type": "TYPE_STRING", "dims": [-1]}
    given = pb_utils.ModelConfig(json.dumps({"max_batch_size": 0, "input": [own], "output": []}))
    config = TritonPythonModel.auto_complete_config(given).as_dict()
    assert [tensor["name"] for tensor in config["input"]] == [
        "text_input",
        "image",
        "stream",
        "sampling_parameters",
        "exclude_input_in_output",
        "return_finish_reason",
        "return_cumulative_logprob",
        "return_logprobs",
        "return_num_input_tokens",
        "return_num_output_tokens",
        "embedding_request",
    ]
    assert config["input"][0] == own
    assert len(config["output"]) == 6
    assert config["model_transaction_policy"] == {"decoupled": True}


def test_a_prompt_read_in_parts_is_the_prompt_read_at_once(smollm2_graph: Path) -> None:
    engine = OrtEngine(str(smollm2_graph), 64)
    assert (engine.context_length, engine.eos_token_ids) == (64, frozenset({2}))
    ids, state = engine.begin("The capital of France is")
    logits = engine.feed(state, ids)
    _, parts = engine.begin("")
    engine.feed(parts, ids[:2])
    assert np.allclose(engine.feed(parts, ids[2:]), logits, atol=1e-2)
    assert engine.decode(state, [int(logits.argmax())], skip_special=True) == " Paris"


def test_weights_that_are_not_here_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="has no local weights for model 'org/llm'"):
        find_weights("org/llm")
    monkeypatch.setenv("TRITONREPO_LOCAL_MODELS", json.dumps({"org/llm": str(tmp_path)}))
    with pytest.raises(ValueError, match=r"lack model\.onnx, tokenizer\.json, generation\.json in "):
        find_weights("org/llm")
    monkeypatch.setenv("TRITONREPO_LOCAL_MODELS", "[]")
    with pytest.raises(ValueError, match=r"must be a JSON object of model → directory, not \[\]"):
        find_weights("org/llm")


def test_a_length_beyond_the_graphs_is_refused() -> None:
    assert (checked_length(None, 8), checked_length(4, 8)) == (8, 4)
    with pytest.raises(ValueError, match=r"User-specified max_model_len \(9\) is greater than the derived"):
        checked_length(9, 8)
