"""What another service on a port is, if it does not respond as Triton's HTTP port does.

Sources: Triton's docs/user_guide/metrics.md (names begin with `nv_`); KServe's v2 protocol (server metadata); OpenAI's
API, list models, whose `owned_by` is "vllm" on a vLLM server (vllm, entrypoints/openai/protocol.py, ModelCard).
"""

from __future__ import annotations

from tritonrepo.diagnostics import Stop, some
from tritonrepo.plain import inline
from tritonrepo.server.client import Client
from tritonrepo.server.wire import parsed

OURS = "model_repository"
"""The extension that every Triton server has (docs/protocol/extension_model_repository.md)."""

MOST = 3
"""How many names of models are quoted."""

LONGEST = 60


def recognized(client: Client) -> str:
    """Return what a service is, as in "the metrics port of a Triton server"; empty if it is not known."""
    if "\nnv_" in f"\n{_said(client, '/metrics')}":
        return "the metrics port of a Triton server"
    about = parsed(_said(client, "/v2"))
    if about and OURS not in str(about.get("extensions")):
        return f'a server of the KServe protocol that is not Triton: "{_short(about.get("name"))}"'
    models = parsed(_said(client, "/v1/models")).get("data")
    if isinstance(models, list) and models and all(isinstance(model, dict) for model in models):
        names = some([_short(model.get("id")) for model in models], MOST)
        owner = "vllm" if "vllm" in {model.get("owned_by") for model in models} else ""
        return f"{'vLLM' if owner else 'a server'} with OpenAI's API, which serves {names}"
    name = _name(client)
    return f'another web server: "{name}"' if name else ""


def _said(client: Client, path: str) -> str:
    try:
        return client.peek(path)[1]
    except Stop:
        return ""


def _name(client: Client) -> str:
    try:
        return _short(client.peek("/")[0])
    except Stop:
        return ""


def _short(text: object) -> str:
    return inline(str(text))[:LONGEST] if text else ""
