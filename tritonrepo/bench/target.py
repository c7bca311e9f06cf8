"""What a load is sent to: a model of a server, and the protocol in which it is asked."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tritonrepo.server.endpoint import Endpoint


class Protocol(StrEnum):
    """How a model is asked."""

    GRPC = "triton-grpc"
    GENERATE = "triton-generate"
    CHAT = "openai-chat"
    COMPLETIONS = "openai-completions"
    EMBEDDINGS = "openai-embeddings"
    RERANK = "openai-rerank"

    @property
    def of_triton(self) -> bool:
        """Whether Triton itself is asked, and not a server with OpenAI's API."""
        return self in {Protocol.GRPC, Protocol.GENERATE}


class Target(NamedTuple):
    """A model to ask; `text` is how the user named it, `path` the one of the URL that is posted to, "" for gRPC."""

    text: str
    protocol: Protocol
    endpoint: Endpoint
    model: str
    path: str = ""
