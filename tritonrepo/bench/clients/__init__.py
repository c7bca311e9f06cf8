"""Clients of a load: what is sent in each protocol, and when what arrived."""

from __future__ import annotations

from collections.abc import Callable

from tritonrepo.bench.asking import Client
from tritonrepo.bench.clients.openai import OpenAIClient
from tritonrepo.bench.clients.triton_generate import GenerateClient
from tritonrepo.bench.clients.triton_grpc import GrpcClient
from tritonrepo.bench.load import Sampling
from tritonrepo.bench.target import Protocol, Target


def client(
    target: Target, sampling: Sampling, timeout_s: float, tokenizer: Callable[[str], int] | None = None
) -> Client:
    """Return a client of a target; each request may take `timeout_s`, and the tokenizer counts if no server does.

    Entering it raises Stop if the server cannot be reached, or does not serve the model in a way that it can be asked.
    """
    if target.protocol is Protocol.GRPC:
        return GrpcClient(target, sampling, timeout_s, tokenizer)
    if target.protocol is Protocol.GENERATE:
        return GenerateClient(target, sampling, timeout_s, tokenizer)
    return OpenAIClient(target, sampling, timeout_s, tokenizer)
