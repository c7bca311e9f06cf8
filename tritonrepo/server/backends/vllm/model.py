"""CPU stand-in for Triton's vLLM backend: the same tensors, model.json and streaming.

TRITONREPO_LLM_ENGINE chooses the engine: `ort` (the default; local weights on onnxruntime), `script` (echoes the
prompt) or `vllm` (the real one, in the environment of the Python that TRITONREPO_VLLM_PYTHON names). Source of the
behaviour: vllm_backend, src/model.py, 24.10 to 26.01.
"""

from __future__ import annotations

import json
import os

import triton_python_backend_utils as pb_utils
import vllm_request
from vllm_arguments import EngineArguments, read_arguments, read_file
from vllm_generation import Engine, Generation
from vllm_ort import OrtEngine, listed
from vllm_process import VllmProcess
from vllm_sampling import LoraRefused, read_sampling
from vllm_scheduler import Scheduler
from vllm_script import ScriptEngine


class TritonPythonModel:
    """One instance of a model that vLLM would serve."""

    @staticmethod
    def auto_complete_config(config: pb_utils.ModelConfig) -> pb_utils.ModelConfig:
        """Complete the configuration to the backend's contract."""
        vllm_request.complete(config)
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Read model.json and start the engine."""
        config, self.name = json.loads(args["model_config"]), args["model_name"]
        pb_utils.get_output_config_by_name(config, "text_output")["data_type"]  # the real backend also fails here
        if not pb_utils.using_decoupled_model_transaction_policy(config):
            raise ValueError("vLLM Triton backend must be configured to use decoupled model transaction policy")
        self.vllm = None
        if os.environ.get("TRITONREPO_LLM_ENGINE") == "vllm":
            self.vllm = start_vllm(pb_utils.get_model_dir(), args["model_instance_kind"])
            return
        self.arguments = read_arguments(pb_utils.get_model_dir(), args["model_instance_kind"])
        self.engine = start_engine(self.arguments)
        self.scheduler = Scheduler(self.arguments.max_num_seqs, fail)
        name = type(self.engine).__name__
        pb_utils.Logger.log_info(f"[vllm] CPU stand-in for vLLM: {name}, one sequence per step, no continuous batching")
        if self.arguments.without_meaning:
            listed = ", ".join(self.arguments.without_meaning)
            pb_utils.Logger.log_info(f"[vllm] engine arguments without effect on this stand-in: {listed}")
        if self.arguments.adapters:
            named = ", ".join(self.arguments.adapters)
            pb_utils.Logger.log_info(f"[vllm] LoRA adapters that this stand-in does not load: {named}")

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> None:
        """Accept the requests; each is answered through its own response sender."""
        for request in requests:
            answer = vllm_request.Answer(request, self.name)
            try:
                if self.vllm:
                    self.vllm.submit(answer, answer.read())
                    continue
                given = read_sampling(answer.read(), self.arguments.max_logprobs, self.arguments.adapters)
                self.scheduler.submit(Generation(self.engine, given, answer, self.arguments.seed))
            except Exception as error:
                report(answer, error)

    def finalize(self) -> None:
        """Stop the engine; unfinished requests fail."""
        if self.vllm:
            self.vllm.close()
        else:
            self.scheduler.close()


def start_vllm(directory: str, instance_kind: str) -> VllmProcess:
    """Return the real vLLM for a version directory, once it is ready."""
    given = read_file(directory, instance_kind)
    weights, python = listed().get(str(given.get("model"))) or "", os.environ.get("TRITONREPO_VLLM_PYTHON") or ""
    if not python:
        raise ValueError("TRITONREPO_VLLM_PYTHON must be the Python interpreter of vLLM's environment")
    started = VllmProcess(python, os.path.join(directory, "model.json"), weights, report)
    pb_utils.Logger.log_info(f"[vllm] vLLM {started.version} on the CPU")
    if started.left_out:
        pb_utils.Logger.log_info(f"[vllm] engine arguments left out on this machine: {', '.join(started.left_out)}")
    return started


def start_engine(arguments: EngineArguments) -> Engine:
    """Return the engine that TRITONREPO_LLM_ENGINE names."""
    kind = os.environ.get("TRITONREPO_LLM_ENGINE") or "ort"
    if kind == "script":
        return ScriptEngine(arguments.max_model_len)
    if kind == "ort":
        return OrtEngine(arguments.model, arguments.max_model_len)
    raise ValueError(f"TRITONREPO_LLM_ENGINE must be ort, script or vllm, not '{kind}'")


def fail(generation: Generation, error: Exception) -> None:
    """Send the error of a sequence that could not continue, if its client can still be answered."""
    try:
        report(generation.answer, error)
    except Exception as second:  # the scheduler's thread must go on with the other sequences
        pb_utils.Logger.log_error(f"[vllm] the error could not be sent: {second}")


def report(answer: vllm_request.Answer, error: Exception) -> None:
    """Answer a request with its error, in the real backend's words."""
    message = str(error) if isinstance(error, LoraRefused) else f"Error generating stream: {error}"
    pb_utils.Logger.log_error(f"[vllm] {message}")
    answer.fail(message, pb_utils.TritonError.INTERNAL)
