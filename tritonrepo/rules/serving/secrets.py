"""Tokens and keys that servers need: of the Hugging Face Hub for gated models, and of NGC for NIM."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.manifests.objects import Manifests, Object, items, text
from tritonrepo.manifests.servers import KINDS, Family, Server, servers
from tritonrepo.plain import inline
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.rules.serving.storage import from_hub

GATED = ("meta-llama/", "google/gemma-2", "google/gemma-3", "google/codegemma", "google/paligemma")
"""Models that are only given to accounts which accepted their terms. Source: their pages on the Hugging Face Hub."""

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "VLLM_USE_MODELSCOPE")
"""Source: huggingface_hub, constants.py and utils/_auth.py."""

KEYLESS_SINCE = (2, 0, 10)
"""Source: NVIDIA NIM for LLMs 2.1, prerequisites: images before it need a key of NGC."""

KEYS = ("NGC_API_KEY", "NGC_CLI_API_KEY", "NIM_MODEL_PATH")


@manifest_rule("hub-token-missing", Severity.WARNING, *KINDS)
def hub_token_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """A server should have a token of the Hub to load a gated model."""
    for each in servers(of):
        model = from_hub(each)
        if model.startswith(GATED) and not each.imports and not any(each.variable(name) for name in TOKENS):
            option = each.argument("model")
            at = option.at if option else each.model.at if each.model else each.at
            message = f"{inline(model)} is gated, and {each} has no token of the Hugging Face Hub"
            hint = "Add HF_TOKEN to env, by secretKeyRef, with a token of an account that accepted the model's terms."
            yield Finding(at, message, hint=hint)


def _needs_key(each: Server) -> bool:
    old = each.image.version < KEYLESS_SINCE if each.image.version else each.image.floats
    return each.family is Family.NIM and each.image.name.startswith("nvcr.io/") and old


@manifest_rule("ngc-key-missing", Severity.WARNING, *KINDS)
def ngc_key_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """A NIM before 2.0.10 should have a key of NGC, with which it downloads its model."""
    for each in servers(of):
        if _needs_key(each) and not each.imports and not any(each.variable(name) for name in KEYS):
            message = f"{each} has no NGC_API_KEY, with which a NIM before 2.0.10 downloads its model"
            yield Finding(each.at, message, hint="Add NGC_API_KEY to env, by secretKeyRef.")


@manifest_rule("pull-secret-missing", Severity.WARNING, *KINDS)
def pull_secret_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """A pod should have the secret to pull the image of a NIM before 2.0.10."""
    for each in servers(of):
        own = text(each.pod.node, "spec.serviceAccountName") not in {"", "default"}
        if _needs_key(each) and not own and not items(each.pod.node, "spec.imagePullSecrets"):
            message = f"the registry gives {each.image.text} only to who has a key, and the pod has no imagePullSecrets"
            hint = "Add a secret of type kubernetes.io/dockerconfigjson with the user $oauthtoken; NIMs since 2.0.10"
            yield Finding(each.image.at, message, hint=f"{hint} need none, unless they are of a Production Branch.")
