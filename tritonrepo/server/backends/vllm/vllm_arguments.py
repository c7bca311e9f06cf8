"""Reads model.json: which of vLLM's engine arguments the stand-in honours, which have no effect, which it rejects.

Source of the names: vLLM 0.2.3 to 0.27.1, vllm/engine/arg_utils.py, AsyncEngineArgs. Source of the checks and their
words: vllm_backend, src/model.py, _init_engine_args, _validate_device_config and _setup_lora.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

Default = TypeVar("Default", bound=int | None)

# vLLM's own default is 256 and more; every sequence here has its own key-value cache in the server's memory.
DEFAULT_MAX_NUM_SEQS = 16

# Patterns of names. How work is distributed, stored or observed does not change the answers of one CPU process.
NO_MEANING = """
    dtype load_format *revision download_dir ignore_patterns hf_token hf_config_path config_format model_impl
    model_loader_extra_config model_weights generation_config served_model_name trust_remote_code tokenizer_mode
    tokenizer_pool_* *_load_strategy safetensors_* pt_load_map_location max_parallel_loading_workers use_tqdm_on_load
    gpu_memory_utilization swap_space block_size *num_gpu_blocks* cpu_offload_* offload_* kv_* calculate_kv_scales
    watermark mamba_* *mamba* *replayssm* enable_prefix_caching prefix_* enable_sleep_mode enable_cumem_allocator
    *parallel_size* data_parallel_* enable_*_parallel distributed_* *_use_ray ray_workers_* nnodes node_rank master_*
    numa_* device device_ids worker_* all2all_backend *dbo* ubatch_size *eplb* expert_placement_strategy
    num_redundant_experts enable_elastic_ep enable_ep_weight_filter disable_custom_all_reduce *_dp_* dcp_* cp_*
    *fault_tolerance* *_distributed_timeout_seconds ec_transfer_config weight_transfer_config
    enforce_eager *capture* cuda_graph_* cudagraph_* compilation_config optimization_level performance_mode attention_*
    override_attention_dtype disable_cascade_attn disable_sliding_window *flashinfer* moe_backend kernel_config
    linear_backend ir_op_priority *_prefill_backend jit_monitor_* enable_bf16x3_router_gemm use_fp64_gumbel
    override_neuron_config additional_config
    max_num_batched_tokens max_num_scheduled_tokens enable_chunked_prefill *partial_prefills long_prefill_* schedul*
    prefill_schedule_interval num_scheduler_steps num_lookahead_slots preemption_mode async_scheduling max_paddings
    disable_async_output_proc multi_step_stream_outputs use_v2_block_manager disable_hybrid_kv_cache_manager
    disable_log_* enable_log* max_log_len aggregate_engine_logging show_hidden_metrics_for_version otlp_*
    collect_detailed_traces *_metrics enable_layerwise_nvtx_tracing profiler_config fail_on_environ_validation
    shutdown_timeout renderer_num_workers
    *mm_* image_* *image_processor* media_io_kwargs allowed_* language_model_only video_* interleave_mm_strings
    enable_multimodal_* io_processor_plugin
    guided_decoding_* structured_outputs_config *reasoning* enable_return_routed_experts
    max_lora* max_loras max_cpu_loras *_loras *_lora lora_* long_lora_* enable_lora_bias enable_mixed_moe_lora_format
    max_prompt_adapter* allow_deprecated_quantization
""".split()  # noqa: SIM905  two hundred quoted names would hide what they say

# Patterns of names that would change the answers: allowed only with a value that has no effect.
REFUSED = {
    "enable_prompt_adapter": "prompt adapters",
    "enable_prompt_embeds": "prompt embeddings",
    "quantization*": "another quantization than that of the local weights",
    "qlora_adapter_name_or_path": "LoRA adapters",
    "spec_*": "speculative decoding",
    "*speculative*": "speculative decoding",
    "disable_*_spec_decoding": "speculative decoding",
    "ngram_prompt_lookup_*": "speculative decoding",
    "typical_acceptance_*": "speculative decoding",
    "diffusion_config": "diffusion models",
    "rope_*": "another rotary embedding than the graph's",
    "hf_overrides": "another configuration than the graph's",
    "model_class_overrides": "another model class",
    "override_generation_config": "other sampling defaults",
    "logits_processor*": "logits processors",
    "logprobs_mode": "another kind of log probabilities than raw_logprobs",
    "task": "anything but text generation",
    "runner": "anything but text generation",
    "convert": "anything but text generation",
    "*pooler_config": "pooling",
    "skip_tokenizer_init": "prompts without a tokenizer",
    "tokens_only": "prompts without a tokenizer",
    "stream_interval": "responses of several tokens",
}
ASK_FOR_NOTHING: tuple[object, ...]
ASK_FOR_NOTHING = (None, False, "", "false", "False", "auto", "none", "generate", "raw_logprobs", 1, {}, [])


class EngineArguments(NamedTuple):
    """The arguments that the stand-in honours; `max_model_len` None means the graph's own context length.

    `adapters` are the names in multi_lora.json; None if LoRA is not enabled.
    """

    model: str
    max_model_len: int | None
    max_num_seqs: int
    max_logprobs: int
    seed: int | None
    without_meaning: tuple[str, ...]
    adapters: tuple[str, ...] | None = None


def read_file(directory: str, instance_kind: str) -> dict[str, Any]:
    """Return model.json of the version directory; raise ValueError or TypeError for what the real backend rejects."""
    path = Path(directory, "model.json")
    if not path.is_file():
        raise ValueError(f"'model.json' containing vllm engine args must be provided in '{directory}'")
    with path.open(encoding="utf-8") as file:
        given = json.load(file)
    if not isinstance(given, dict):
        raise TypeError(f"model.json must hold a JSON object of vLLM's engine arguments, not a {type(given).__name__}")
    check_device(given, instance_kind)
    return given


def read_arguments(directory: str, instance_kind: str) -> EngineArguments:
    """Return the engine arguments of the version directory; raise ValueError or TypeError if one is wrong."""
    given = read_file(directory, instance_kind)
    adapters = read_adapters(given, Path(directory, "multi_lora.json"))
    without_meaning = tuple(sorted(name for name in given if not is_honoured(name, given)))
    model = given.get("model")
    if not isinstance(model, str) or not model:
        raise ValueError(
            'model.json lacks "model": set it to the name of a Hugging Face Hub model or the directory of the weights'
        )
    return EngineArguments(
        model,
        whole_number(given, "max_model_len", None),
        whole_number(given, "max_num_seqs", DEFAULT_MAX_NUM_SEQS),
        whole_number(given, "max_logprobs", 20, least=0),
        whole_number(given, "seed", None, least=0),
        without_meaning,
        adapters,
    )


def is_honoured(name: str, given: dict[str, Any]) -> bool:
    """Return whether an argument is honoured (True) or has no effect (False); raise ValueError if it is rejected."""
    if name in ("model", "max_model_len", "max_num_seqs", "max_logprobs", "seed"):
        return True
    if name == "tokenizer":
        if given[name] in (None, given.get("model")):
            return True
        raise ValueError(
            f"engine argument 'tokenizer' is {given[name]!r}, but this stand-in uses the tokenizer of 'model'"
        )
    for pattern, what in REFUSED.items():
        if fnmatchcase(name, pattern):
            if any(given[name] == value for value in ASK_FOR_NOTHING):
                return False
            raise ValueError(
                f"engine argument '{name}' asks for {what}, which this CPU stand-in for vLLM does not support"
            )
    if any(fnmatchcase(name, pattern) for pattern in NO_MEANING):
        return False
    raise ValueError(
        f"AsyncEngineArgs.__init__() got an unexpected keyword argument '{name}' "
        "(vLLM has no such engine argument, or this stand-in does not know it)"
    )


def check_device(given: dict[str, Any], instance_kind: str) -> None:
    """Reject several GPUs on a KIND_GPU instance, and sizes that are not integers, as the real backend does."""
    sizes = [int(given.get(name, 1)) for name in ("tensor_parallel_size", "pipeline_parallel_size")]
    if sizes[0] * sizes[1] > 1 and instance_kind == "GPU":
        raise ValueError(
            "KIND_GPU is currently for single-GPU models, please specify KIND_MODEL in the model's config.pbtxt for "
            "multi-GPU models"
        )


def read_adapters(given: dict[str, Any], path: Path) -> tuple[str, ...] | None:
    """Return the names of the LoRA adapters, None if LoRA is not enabled; their weights are not loaded."""
    if str(given.get("enable_lora")).lower() != "true":
        return None
    if not path.is_file():
        raise ValueError(f"Triton backend cannot find {path}.")
    with path.open(encoding="utf-8") as file:
        listed = json.load(file)
    if not isinstance(listed, dict):
        raise TypeError(f"'{type(listed).__name__}' object has no attribute 'keys'")
    return tuple(listed)


def whole_number(given: dict[str, Any], name: str, default: Default, least: int = 1) -> int | Default:
    """Return an integer argument, or `default` if it is missing or null."""
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"engine argument '{name}' must be an integer of at least {least}, not {value!r}")
    return value
