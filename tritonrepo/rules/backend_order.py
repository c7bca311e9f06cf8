"""In which order the backends check: what they are given, what they import and complete, and as their instances start.

Source: python_backend, src/python_be.cc, ModelState; src/stub_launcher.cc, Launch; src/pb_stub.cc, Init, StubSetup,
AutoCompleteModelConfig, Initialize. vllm_backend, src/model.py. Form of a step: see `order`.
"""

from __future__ import annotations

Step = str | tuple[str, ...]

BACKEND: tuple[Step, ...] = (
    "backend-library-not-found",  # a name that no image has may be an image's own, so it comes last of what the core says
    "python-force-cpu-value",
    "onnx-model-file-missing",
    "vllm-decoupled-false",
    "vllm-max-batch-size",
    "model-file-missing",
)

IMPORT: tuple[Step, ...] = (
    "execution-env-missing",
    "execution-env-not-activated",
    ("python-model-file-missing-hang", "python-model-file-missing"),
    "python-filename-extension",
    "python-filename-import",
    "python-model-file-is-directory",
    "python-syntax-error",
    "python-no-class",
)

COMPLETION: tuple[Step, ...] = (
    "python-autocomplete-signature",
    (
        "python-autocomplete-raises",
        "python-autocomplete-property",
        "python-autocomplete-dtype",
        "python-autocomplete-dims",
        "python-autocomplete-optional",
        "python-autocomplete-max-batch",
        "python-autocomplete-scheduler",
        "python-autocomplete-decoupled",
    ),
    "python-autocomplete-return",
)

INSTANCE: tuple[Step, ...] = (
    "python-initialize-signature",
    "python-initialize-raises",
    "python-tensor-not-in-config",
    "vllm-text-output-missing",
    "vllm-not-decoupled",
    "vllm-model-json-missing",
    "vllm-model-json-syntax",
    "vllm-model-json-not-object",
    "vllm-parallel-size-not-int",
    "vllm-kind-gpu-multi-gpu",
    "vllm-enable-lora-type",
    "vllm-lora-file-missing",
    "vllm-lora-file-shape",
    ("vllm-unknown-engine-arg", "vllm-removed-engine-arg", "vllm-engine-arg-too-new"),
    "vllm-model-key-missing",
)
