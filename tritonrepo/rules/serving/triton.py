"""Options of tritonserver in manifests: the repository, the control mode, and the models that it loads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Severity, closest, nearest
from tritonrepo.manifests.objects import Manifests, Object, find
from tritonrepo.manifests.servers import KINDS, Family, Server, servers
from tritonrepo.packaged import facts
from tritonrepo.releases import NVIDIA
from tritonrepo.rules.registry import Finding, manifest_rule

REPOSITORY = ("model-repository", "model-store")
LOCAL = ("emptyDir", "hostPath", "configMap", "secret", "image", "projected")
"""Kinds of volumes that are on the node: reading their files costs little."""


def options() -> Sequence[str]:
    """Return the options of tritonserver, without dashes."""
    found: Sequence[str] = facts("tritonserver_options")["options"]
    return found


def triton(of: Object) -> Iterator[Server]:
    """Yield the servers of an object that are Triton and are started."""
    yield from (each for each in servers(of) if each.family is Family.TRITON and each.starts)


def mode(each: Server) -> str:
    """Return the model control mode of a server."""
    return each.value("model-control-mode") or "none"


@manifest_rule("triton-option-unknown", Severity.ERROR, *KINDS)
def triton_option_unknown(of: Object, _: Manifests) -> Iterator[Finding]:
    """Every option must be one of tritonserver's."""
    known = options()
    for each in triton(of):
        for option in each.arguments:
            shortened = any(name.startswith(option.name) for name in known)  # getopt_long takes a unique start
            if not shortened and (option.name.replace("_", "-") in known or nearest(option.name, known, 0.8)):
                message = f"tritonserver has no option --{option.name}, so it ends with its usage"
                yield Finding(option.at, message, hint=closest(option.name, known))


@manifest_rule("triton-repository-missing", Severity.ERROR, *KINDS)
def triton_repository_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """Triton must be told where its model repository is."""
    for each in triton(of):
        if each.argument(*REPOSITORY) is None:
            reason = "--model-repository must be specified"
            yield Finding(
                each.at,
                f"{each} starts tritonserver without a model repository, so it ends at once",
                hint="Add --model-repository, with the path of a mounted volume or the URI of a bucket.",
                reason=reason,
            )


@manifest_rule("triton-repository-not-mounted", Severity.ERROR, *KINDS)
def triton_repository_not_mounted(of: Object, _: Manifests) -> Iterator[Finding]:
    """The path of the model repository must be in a mounted volume."""
    for each in triton(of):
        if each.image.name != NVIDIA or of.kind.endswith(("ServingRuntime", "InferenceService")):
            continue  # an own image may hold the models; KServe mounts them itself
        for option in each.arguments:
            path = option.value or ""
            if option.name in REPOSITORY and path.startswith("/") and not each.volume(path)[0]:
                message = f"no volume is mounted at {path}, and the image has no models there"
                yield Finding(option.at, message, hint=f"Mount a volume with the model repository at {path}.")


@manifest_rule("load-all-not-alone", Severity.ERROR, *KINDS)
def load_all_not_alone(of: Object, _: Manifests) -> Iterator[Finding]:
    """--load-model=* must be the only --load-model."""
    for each in triton(of):
        named = [option for option in each.arguments if option.name == "load-model"]
        if mode(each) == "explicit" and len({option.value for option in named}) > 1:
            for option in named:
                if option.value == "*":
                    reason = "Wildcard model name '*' must be the ONLY startup model if specified at all."
                    hint = "Remove the other --load-model, since * loads every model, or remove this one."
                    yield Finding(option.at, "--load-model=* cannot be combined with others", hint=hint, reason=reason)


@manifest_rule("explicit-without-models", Severity.WARNING, *KINDS)
def explicit_without_models(of: Object, _: Manifests) -> Iterator[Finding]:
    """A server in explicit mode should name the models to load."""
    for each in triton(of):
        option = each.argument("model-control-mode")
        if option and mode(each) == "explicit" and each.argument("load-model") is None:
            message = "in explicit mode without --load-model, a pod serves no model until a client asks it to load one"
            hint = "Add --load-model=*, or --load-model=NAME for each model; every restart starts empty otherwise."
            yield Finding(option.at, message, hint=hint)


@manifest_rule("poll-in-production", Severity.WARNING, *KINDS)
def poll_in_production(of: Object, _: Manifests) -> Iterator[Finding]:
    """A server should not poll its repository for changes in production."""
    for each in triton(of):
        option = each.argument("model-control-mode")
        pushed = all(each.value(name) == "false" for name in ("strict-readiness", "exit-on-error"))
        if option and mode(each) == "poll" and not pushed:
            message = "Triton polls the repository: it can load a model that is half written, and a Python model that"
            message += " hangs stops all further updates"
            hint = "Use --model-control-mode=none. Or update models only with `tritonrepo push`, which shows a server"
            more = "nothing half-written, and add --strict-readiness=false and --exit-on-error=false."
            yield Finding(option.at, message, hint=f"{hint} {more}")


@manifest_rule("poll-reads-bucket", Severity.INFO, *KINDS)
def poll_reads_bucket(of: Object, _: Manifests) -> Iterator[Finding]:
    """Each poll asks a bucket for every object of the repository."""
    for each in triton(of):
        option = each.argument("repository-poll-secs") or each.argument("model-control-mode")
        path = each.value(*REPOSITORY)
        if option and mode(each) == "poll" and path and (kind := _remote(each, path)):
            seconds = each.value("repository-poll-secs") or "15"
            message = f"every {seconds} seconds, each pod asks {kind} for the time of every file of the repository"
            yield Finding(option.at, message, hint="Poll less often, or use --model-control-mode=explicit.")


def _remote(each: Server, path: str) -> str:
    """Return what a poll asks that is not on the node; "" if it is on the node, or inside the image."""
    if "://" in path:
        return "the bucket"
    mount, volume = each.volume(path)
    local = volume is not None and any(find(volume, kind) is not None for kind in LOCAL)
    return f"the volume behind {mount}" if mount and not local else ""


@manifest_rule("one-model-stops-server", Severity.INFO, *KINDS)
def one_model_stops_server(of: Object, _: Manifests) -> Iterator[Finding]:
    """A server that is updated in place ends if a model does not load, unless it is told otherwise."""
    for each in triton(of):
        option = each.argument("model-control-mode")
        if option and mode(each) in {"poll", "explicit"} and each.value("exit-on-error").lower() not in FALSE:
            message = "a model that does not load ends the server when a pod starts, and with it all other models"
            hint = "Add --exit-on-error=false and --strict-readiness=false if models are pushed to running servers,"
            yield Finding(option.at, message, hint=f"{hint} and let readiness ask for the models that must be there.")


FALSE = {"false", "0", "off"}
