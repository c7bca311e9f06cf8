"""The generator that gets a server of its own: of a stack or a repository, and what is wrong with serving it so."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tritonrepo.deploy.endpoints import service
from tritonrepo.deploy.generators import Generator, generators
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, closest, either, fatal
from tritonrepo.flows.deployed import Source
from tritonrepo.llm.config import read
from tritonrepo.llm.serving import Wrong
from tritonrepo.llm.table import known_config
from tritonrepo.spec.part import Places
from tritonrepo.spec.source import Hub
from tritonrepo.spec.stack import Stack

NOTHING = "deploy-generator"
ENDPOINT = "deploy-endpoint"


class Chosen(NamedTuple):
    """A generator, and the places of its keys in the stack; none for a repository."""

    one: Generator
    places: Places

    def at(self, key: str) -> Span:
        """Return the place of an engine argument, or of what it belongs to."""
        return self.places.get(f"args.{key}", self.places.get("args", self.places.get("", Span(self.one.where))))


def chosen(source: Source, model: str) -> Chosen:
    """Return the generator that is served: the only one, or the one that is named; raise Stop if it cannot be told."""
    found = {each.one.name: each for each in all_of(source)}
    names = either([f"`--model {name}`" for name in found])
    if model and model not in found:
        message = f'"{model}" is not a generator' if found else "the models have no generator among them"
        raise fatal(NOTHING, source.where, message, closest(model, list(found)) if found else HINT)
    if model or len(found) == 1:
        return found[model or next(iter(found))]
    if not found:
        raise _nothing(source)
    raise fatal(NOTHING, source.where, f"{len(found)} models are generators", f"Name one of them: {names}.")


HINT = "Use a stack with a model of role generator, or a repository with a model for the vLLM backend."


def _nothing(source: Source) -> Stop:
    """Return the Stop for models without a generator, or with one whose engine arguments cannot be read."""
    unread = [name for name, model in source.found.models.items() if model.backend == "vllm"]
    if unread:
        message = f'the engine arguments of "{unread[0]}" cannot be read'
        return fatal(
            NOTHING, source.where, message, f"`{shlex.join(['tritonrepo', 'validate', source.where])}` says why."
        )
    message = "the models have no generator among them, so a server of its own would have nothing to serve"
    return fatal(NOTHING, source.where, message, HINT)


def all_of(source: Source) -> Iterator[Chosen]:
    """Yield the generators that run in Triton, and those whose endpoint a stack names."""
    models = source.stack.models if source.stack is not None else {}
    for one in generators(source.found):
        model = models.get(one.name)
        yield Chosen(replace(one, where=f"{source.where.rstrip('/')}/{one.where}"), getattr(model, "places", {}))
    if source.stack is not None:
        yield from _endpoints(source.stack)


def _endpoints(stack: Stack) -> Iterator[Chosen]:
    for name, model in stack.models.items():
        if getattr(model, "engine", "") == "openai":
            yield Chosen(_endpoint(name, model), model.places)


def _endpoint(name: str, model: Any) -> Generator:  # noqa: ANN401  the dataclass of a part
    endpoint, source = model.endpoint, model.source
    hub = getattr(model.weights, "path", "") or (source.id if isinstance(source, Hub) else "")
    config = known_config(hub or endpoint.model)
    return Generator(
        name=name,
        served=endpoint.model,
        source=hub or endpoint.model,
        where=name,
        revision=(source.revision or "") if isinstance(source, Hub) else "",
        arguments=model.args,
        facts=read(config) if config is not None else None,
        url=endpoint.url,
        key=getattr(endpoint.api_key, "env", "") or "",
    )


def refused(given: Chosen, rule: str, message: str, hint: str, key: str = "") -> Stop:
    """Return the Stop for a generator that cannot be served, at one of its engine arguments or at its own place."""
    return Stop([Diagnostic(rule, Severity.FATAL, given.at(key), message, hint)])


def judged(given: Chosen, wrong: Sequence[Wrong]) -> tuple[Diagnostic, ...]:
    """Return warnings about engine arguments; raise Stop with all that the server certainly does not take."""
    said = [
        Diagnostic(
            "deploy-engine-argument" if each.certain else "deploy-vllm-version",
            Severity.FATAL if each.certain else Severity.WARNING,
            given.at(each.key),
            each.message,
            each.hint,
        )
        for each in wrong
    ]
    if refused := [each for each in said if each.severity is Severity.FATAL]:
        raise Stop(refused)
    return tuple(said)


def unreachable(given: Chosen, choices: Choices) -> Iterator[Diagnostic]:
    """Yield what a container cannot read: paths that no claim holds."""
    held = [path.rstrip("/") for _, path in choices.kube.volumes]
    for path in given.one.paths:
        if not any(f"{path}/".startswith(f"{each}/") for each in held):
            message = f"the generator reads {path}, which the container does not have"
            hint = f"Add the claim that holds it, as in `--volume CLAIM:{path}`."
            yield Diagnostic(
                "deploy-path", Severity.WARNING, given.places.get("", Span(given.one.where)), message, hint
            )


def misdirected(given: Chosen, name: str, namespace: str, port: int) -> Iterator[Diagnostic]:
    """Yield a warning if the stack's endpoint is not the Service that is written."""
    if not given.one.url:
        return
    hosts = {name} | ({f"{name}.{namespace}", f"{name}.{namespace}.svc"} if namespace else set())
    hosts |= {f"{name}.{namespace}.svc.cluster.local"} if namespace else set()
    found = urlsplit(given.one.url)
    if (
        found.hostname in hosts
        and found.scheme == "http"
        and (found.port or 80) == port
        and found.path.rstrip("/") == "/v1"
    ):
        return
    message = f"the stack calls {given.one.url}, but this server answers at http://{name}:{port}/v1"
    hint = f"Set its url to `http://{name}:{port}/v1`; from another namespace, `http://{name}.NAMESPACE:{port}/v1`."
    yield Diagnostic(ENDPOINT, Severity.WARNING, given.places.get("endpoint", Span(given.one.where)), message, hint)


def doubled(given: Chosen, name: str, stack: str) -> Iterator[Diagnostic]:
    """Yield a warning if Triton, which calls this server, has a Service of the same name in its own manifests."""
    if given.one.url and name == stack:
        message = f'the Service of this server has the name of the stack, "{name}", as that of Triton has'
        hint = "Rename the stack. Or name the server with `--name NAME` and change the url of the endpoint."
        yield Diagnostic(ENDPOINT, Severity.WARNING, given.places.get("endpoint", Span(given.one.where)), message, hint)


def service_name(one: Generator) -> str:
    """Return the name of the Service that the stack's endpoint calls, "" if it names no host of a cluster."""
    return service(urlsplit(one.url).hostname or "")
