"""The command line of `vllm serve`: engine arguments as the options of a version."""

from __future__ import annotations

from typing import Any

from tritonrepo.llm.serving import around, line, option, serves, versions
from tritonrepo.packaged import facts

NEWEST = "0.32.0"

WRITTEN: tuple[tuple[str, dict[str, Any], list[str]], ...] = (
    (NEWEST, {"tensor_parallel_size": 2, "max_model_len": -1}, ["--tensor-parallel-size=2", "--max-model-len=-1"]),
    (
        NEWEST,
        {"enable_prefix_caching": False, "enforce_eager": True},
        ["--no-enable-prefix-caching", "--enforce-eager"],
    ),
    (NEWEST, {"hf_overrides": {"a": ["$", 1]}}, ['--hf-overrides={"a": ["$", 1]}']),
    (NEWEST, {"limit_mm_per_prompt": {"image": 2}}, ['--limit-mm-per-prompt={"image": 2}']),
    ("0.8.4", {"limit_mm_per_prompt": {"image": 2, "video": 1}}, ["--limit-mm-per-prompt=image=2,video=1"]),
    (NEWEST, {"logits_processors": ["a:B", "c:D"]}, ["--logits-processors", "a:B", "c:D"]),
    (NEWEST, {"logits_processors": []}, []),
    (NEWEST, {"tokenizer": None}, []),
    (NEWEST, {"hf_token": True}, ["--hf-token"]),
    ("0.5.5", {"enable_prefix_caching": True, "enable_lora": False}, ["--enable-prefix-caching"]),
    ("0.5.5", {"enable_chunked_prefill": False}, ["--enable-chunked-prefill=false"]),
    ("0.6.3.post1", {"disable_log_requests": True}, ["--disable-log-requests"]),
    (NEWEST, {"disable_log_requests": True}, ["--no-enable-log-requests"]),
    (NEWEST, {"override_pooler_config": {"a": 1}}, ['--pooler-config={"a": 1}']),
    (NEWEST, {"max_num_queued_reqs": 8}, ["--max-num-queued-reqs=8"]),
)

REFUSED: tuple[tuple[str, dict[str, Any], str], ...] = (
    (NEWEST, {"max_model_length": 1}, 'no option for "max_model_length" Did you mean "max_model_len"?'),
    (NEWEST, {"swap_space": 4}, 'no option for "swap_space" Use vLLM 0.5.3.post1 to 0.17.1, as in `--vllm 0.17.1`'),
    (NEWEST, {"guided_decoding_backend": "x"}, "Set it in structured_outputs_config instead."),
    (NEWEST, {"task": "embed"}, "Use runner instead."),
    ("0.27.1", {"max_num_queued_reqs": 8}, "Use vLLM 0.32.0 or later, as in `--vllm 0.32.0`, or remove it."),
    (NEWEST, {"enforce_eager": "yes"}, '--enforce-eager of vLLM 0.32.0 cannot be "yes" It takes true or false.'),
    (NEWEST, {"dtype": ["a"]}, '--dtype of vLLM 0.32.0 cannot be ["a"]'),
    (NEWEST, {"dtype": {"a": 1}}, '--dtype of vLLM 0.32.0 cannot be {"a": 1}'),
    (NEWEST, {"gpu_memory_utilization": float("nan")}, "--gpu-memory-utilization of vLLM 0.32.0 cannot be NaN"),
    (NEWEST, {"dtype": True}, "--dtype of vLLM 0.32.0 cannot be true"),
    (NEWEST, {"logits_processors": ["--trust-remote-code"]}, "none is empty or begins with a dash"),
    ("0.8.4", {"limit_mm_per_prompt": {"image": "many"}}, "It takes an object of numbers."),
    ("0.30.0", {"max_num_queued_reqs": 8}, "whether vLLM 0.30.0 has --max-num-queued-reqs is not known"),
)


def test_arguments_become_the_options_of_the_version() -> None:
    for version, arguments, words in WRITTEN:
        found = line(arguments, version)
        assert ([word for each in found.words.values() for word in each], found.wrong) == (words, ()), arguments


def test_what_the_version_does_not_take_is_refused_with_what_to_do() -> None:
    for version, arguments, said in REFUSED:
        (wrong,) = line(arguments, version).wrong
        assert said in f"{wrong.message} {wrong.hint}", arguments
        assert wrong.certain == (version != "0.30.0")


def test_a_version_that_was_not_read_has_what_its_neighbors_have() -> None:
    assert around("0.18.0") == ("0.17.1", "0.19.0")
    assert around("0.99.0") == (versions()[-1],)
    assert [serves("shutdown-timeout", each) for each in ("0.17.1", "0.18.0", "0.19.0", "0.99.0")] == [
        *(False, False, True, True)
    ]
    assert serves("disable-access-log-for-endpoints", "0.16.0")
    assert not serves("disable-access-log-for-endpoints", "0.15.1")
    assert not serves("no-such-option", NEWEST)


def test_arguments_of_the_backend_are_options_too() -> None:
    """The two tables are read from the same sources: an argument without an option is one of these."""
    table = facts("vllm_arguments")
    without = {
        key
        for key, known in table["arguments"].items()
        if known.get("until") is None and option(key, table["versions"][-1])[0] is None
    }
    assert without == {
        *("_api_process_count", "_api_process_rank", "enable_mm_processor_stats", "mamba_config", "model_weights"),
        "tokens_only",
    }
