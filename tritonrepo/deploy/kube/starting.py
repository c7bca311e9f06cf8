"""What a container with Triton is started with: its arguments and environment, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.deploy.environment import KEYS, MOUNTS
from tritonrepo.deploy.kube.serving import Serving
from tritonrepo.deploy.kube.workload import Ending
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.service import CACHE, MEASURED, SCRATCH, Service

KEY_FILE = "google.json"
OPTIONAL = {"AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"}
"""Keys that a Secret need not have."""

SECRETS = "/run/secrets/bucket"


def arguments(service: Service) -> Iterator[object]:
    """Yield the words of the command. Source: server, src/command_line_parser.cc, of r24.01 to r26.07."""
    yield "tritonserver"
    models = service.reads.models.replace("$", "$$")  # Kubernetes would replace $(NAME), and takes $$ for $
    yield f"--model-repository={models}"
    yield from _control(service)
    if service.complete:
        why = "Every config is complete, so the server serves what was reviewed, and starts several times faster."
        yield noted("--disable-auto-complete-config", why)
    yield from (noted(option, MEASURED) for option in service.measured)
    yield f"--exit-timeout-secs={Ending('').requests}"


def _control(service: Service) -> Iterator[object]:
    mode, seconds = service.control
    if mode == "none":
        why = "Models are loaded once. A new revision is another URI, and a rollout that replaces the pods one by one."
        yield noted("--model-control-mode=none", why)
        why = "A pod is ready when all of its models are, and ends if one does not load: the rollout stops there."
        yield noted("--strict-readiness=true", why)
        yield "--exit-on-error=true"
        return
    if mode == "poll":
        why = f"The server looks for changes every {seconds} s, so that it serves what tritonrepo push writes."
        yield noted("--model-control-mode=poll", why, "Whoever can write to the repository can run code here.")
        yield f"--repository-poll-secs={seconds}"
    else:
        why = "Models change only when a client asks each pod for it at /v2/repository. All are loaded at the start."
        yield noted("--model-control-mode=explicit", why)
        yield noted("--load-model=*", "No other --load-model may be added.")
    why = "While a new version loads, the server stays ready, and a model that does not load does not end it."
    yield noted("--strict-readiness=false", why, "A push needs both. The readiness probe asks the models instead.")
    yield "--exit-on-error=false"


def environment(serving: Serving) -> Iterator[object]:
    """Yield the variables of the container, each once; those with values that are secret are in the Secret."""
    service, seen = serving.service, set[str]()
    for name, value in _variables(serving):
        if name not in seen:
            seen.add(name)
            yield value
    for name, why in service.variables.items():
        if name not in seen:
            yield noted(secret(name, serving.secret), why)


def _variables(serving: Serving) -> Iterator[tuple[str, object]]:
    service = serving.service
    if service.engines:
        why = "Libraries keep their caches in the user's home, which does not exist in Triton's images."
        yield "HOME", noted({"name": "HOME", "value": CACHE}, why)
        yield "HF_HOME", {"name": "HF_HOME", "value": f"{CACHE}/huggingface"}
        yield "VLLM_CACHE_ROOT", {"name": "VLLM_CACHE_ROOT", "value": f"{CACHE}/vllm"}
    else:
        why = "The user's home does not exist in Triton's images."
        yield "HOME", noted({"name": "HOME", "value": "/tmp"}, why)  # noqa: S108  in the container
    if service.hub:
        why = f"Token of the Hugging Face Hub, if it needs one for {', '.join(service.hub)}."
        yield "HF_TOKEN", noted(secret("HF_TOKEN", serving.secret, optional=True), why)
    scheme = service.reads.scheme
    if scheme in MOUNTS:
        why = "Where models from the bucket are copied to."
        yield MOUNTS[scheme], noted({"name": MOUNTS[scheme], "value": SCRATCH}, why)
    yield from ((name, value) for name, value in _keys(serving, scheme))


def _keys(serving: Serving, scheme: str) -> Iterator[tuple[str, object]]:
    """Yield the credentials of a bucket: the keys of a Secret, or none for the role of a service account."""
    account = serving.wanted.account
    if scheme == "s3":
        for each in KEYS["s3"]:
            if account and each.name != "AWS_DEFAULT_REGION":
                continue
            yield each.name, noted(secret(each.name, serving.secret, optional=each.name in OPTIONAL), each.asked)
    elif scheme == "gs" and not account:
        name, path = "GOOGLE_APPLICATION_CREDENTIALS", f"{SECRETS}/{KEY_FILE}"
        yield name, noted({"name": name, "value": path}, "The key file of a service account of Google Cloud.")


def secret(name: str, of: str, *, optional: bool = False) -> dict[str, object]:
    """Return a variable with the value of the key of the same name in a Secret."""
    key = {"name": of, "key": name, "optional": True if optional else None}
    return {"name": name, "valueFrom": {"secretKeyRef": key}}
