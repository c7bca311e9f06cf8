"""Where servers keep what they download, and whether their user can write there."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.manifests.objects import Manifests, Object, find, place, text
from tritonrepo.manifests.servers import KINDS, Family, Server, servers
from tritonrepo.plain import inline
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.rules.serving.starting import weights
from tritonrepo.spec.nodes import Node
from tritonrepo.tree import amount

ROOT_HOME = "/root"
NIM_CACHE = "/opt/nim/.cache"
CACHES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME")
"""Variables that decide where the Hub's library keeps files. Source: huggingface_hub, constants.py."""


def from_hub(each: Server) -> str:
    """Return the model that vLLM loads from the Hugging Face Hub; "" if it is a path or not known."""
    named, _ = weights(each)
    plain = named.count("/") == 1 and not named.startswith(("/", ".", "$", "~")) and "://" not in named
    return named if each.family is Family.VLLM and plain and "$" not in named else ""


def cache(each: Server) -> str:
    """Return the directory in which a server keeps what it downloads; "" if it is not known."""
    if each.family is Family.NIM:
        return _said(each, "NIM_CACHE_PATH") or NIM_CACHE
    if each.argument("download-dir"):
        return each.value("download-dir")
    return next((value for name in CACHES if (value := _said(each, name))), f"{ROOT_HOME}/.cache/huggingface")


def _said(each: Server, name: str) -> str:
    found = each.variable(name)
    return text(found, "value") if found is not None else ""


@manifest_rule("weights-not-kept", Severity.WARNING, *KINDS)
def weights_not_kept(of: Object, _: Manifests) -> Iterator[Finding]:
    """What a server downloads should be kept for its next start."""
    for each in servers(of) if not of.kind.endswith(("ServingRuntime", "InferenceService")) else ():
        model, where = from_hub(each), cache(each)
        local = _said(each, "NIM_MODEL_PATH").startswith("/") or each.imports
        if local or each.volume(where)[0] or _below(each, where) or not (model or each.family is Family.NIM):
            continue
        size = weights(each)[1]
        what = f"{inline(model)}{f' ({amount(size)})' if size else ''}" if model else "its model"
        message = f"each start of the container downloads {what}: no volume is mounted at {inline(where)}"
        at = each.model.at if each.model else each.at
        option = each.argument("model")
        yield Finding(option.at if option else at, message, hint=f"Mount a persistent volume at {inline(where)}.")


def _below(each: Server, where: str) -> bool:
    """Return whether a volume is mounted in the directory, such as at its `hub`."""
    return any(mount.startswith(f"{where.rstrip('/')}/") for mount in each.mounts)


@manifest_rule("home-not-writable", Severity.WARNING, *KINDS)
def home_not_writable(of: Object, _: Manifests) -> Iterator[Finding]:
    """A server that does not run as root should have a home that it can write to."""
    for each in servers(of):
        found = _context(each, "runAsUser"), _context(each, "runAsNonRoot")
        user, other = (text(node, key) for node, key in zip(found, ("runAsUser", "runAsNonRoot"), strict=True))
        limited = (user not in {"", "0"} or other == "true") and bool(from_hub(each))
        if limited and not any(each.variable(name) for name in CACHES) and not each.imports:
            who = f"user {user}" if user else "another user than root"
            message = f"the container runs as {who}, who cannot write to the home of the image, {ROOT_HOME}"
            node, key = (found[0], "runAsUser") if user else (found[1], "runAsNonRoot")
            hint = "Set HOME and HF_HOME to directories in a volume, and fsGroup so that this user can write there."
            yield Finding(place(node, key) if node is not None else each.at, message, hint=hint)


def _context(each: Server, key: str) -> Node | None:
    for node in (find(each.node, "securityContext"), find(each.pod.node, "spec.securityContext")):
        if node is not None and text(node, key):
            return node
    return None


@manifest_rule("runs-as-root", Severity.INFO, *KINDS)
def runs_as_root(of: Object, _: Manifests) -> Iterator[Finding]:
    """A container without securityContext runs as the user of its image, often root."""
    for each in servers(of):
        if find(each.node, "securityContext") is None and find(each.pod.node, "spec.securityContext") is None:
            message = f"{each} has no securityContext, so it runs as the user of its image, with all its rights"
            hint = "Add runAsNonRoot, runAsUser and fsGroup, allowPrivilegeEscalation: false, and drop capabilities."
            yield Finding(each.at, message, hint=hint)
