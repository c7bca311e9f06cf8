"""Checks of what serves in Kubernetes manifests: containers with Triton, vLLM or NIM, and what asks them."""

from __future__ import annotations

from tritonrepo.rules.serving import (
    beside,
    gpus,
    images,
    memory,
    network,
    nim,
    probes,
    queries,
    secrets,
    starting,
    storage,
    triton,
    vllm,
)

MODULES = (images, triton, vllm, probes, starting, gpus, memory, storage, secrets, network, nim, queries, beside)
