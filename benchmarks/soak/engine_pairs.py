"""Both sides of an endpoint on Kubernetes: Triton with `engine: openai`, and the vLLM or NIM that answers it.

`engine_matrix` runs these forms with its own. Of each stack, the two sets of manifests have to agree: Triton's URL is a
Service of the engine and leads to its port, the engine has the model under the name that Triton asks for, both have the
key from a Secret, the network policies of both let the requests through, and no two objects have one name. A warning
`deploy-endpoint` stands for a URL that is no Service of the engine, and is expected then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

from tests.test_kube import built
from tritonrepo import api
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.flows.deploy_nim import NimOptions, plan_nim
from tritonrepo.flows.deploy_vllm import VllmOptions, plan_vllm
from tritonrepo.flows.deployment import Deployment, apply_deploy
from tritonrepo.flows.kubernetes import KubeOptions, plan_k8s

URLS = {
    "http://llm:8000/v1": True,
    "http://llm.serving:8000/v1": True,
    "http://llm.serving.svc.cluster.local:8000/v1/": True,
    "http://llm/v1": False,
    "https://llm:8000/v1": False,
    "http://llm:8000": False,
    "https://api.example.com/v1": False,
    "http://10.0.0.5:8000/v1": False,
    "http://[fd00::1]:8000/v1": False,
}
"""Addresses, and whether the engine that is written answers there."""

TRITON = "llm"
"""The name of a stack whose Service is the one that some of the addresses name."""

NAMES = ("remote", TRITON)
KEYS: Mapping[str, dict[str, Any]] = {
    "keyless": {},
    "key": {"api_key": {"env": "LLM_API_KEY"}},
    "headers": {"api_key": {"env": "LLM_API_KEY"}, "headers": {"X-Project": {"env": "PROJECT"}}},
}
MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "house 'blend' $(x) {{y}}")
SYSTEMS = {
    "vllm": "",
    "nim 1": "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.12.0",
    "nim 2": "nvcr.io/nim/nvidia/model-free-nim:2.1.6",
}
NAMESPACE = "serving"
BUCKET = "s3://models/prod"
UNTOLD = "deploy-endpoint"


class Pair(NamedTuple):
    """A stack's name, URL, model and key, the engine that serves it, and the plans of both sides."""

    stack: str
    url: str
    model: str
    key: str
    system: str
    triton: Deployment
    engine: Deployment

    def __str__(self) -> str:
        """Return what tells it from the others."""
        return f"{self.system} of {self.stack}, {self.url}, {self.model}, {self.key}"


def pairs(place: Path) -> Iterator[Pair]:
    """Yield all pairs."""
    work = api.Workspace()
    kube = Wanted(namespace=NAMESPACE)
    rows = [
        row for number, row in enumerate(product(NAMES, URLS, MODELS, KEYS)) if row[0] == NAMES[0] or number % 5 == 0
    ]
    for number, (name, url, model, key) in enumerate(rows):
        stack = written(place / str(number), name, url, model, KEYS[key])
        made = stack.parent / "models"
        api.apply_build(api.plan_build(api.load([stack], work), made))
        triton = plan_k8s(stack, stack.parent / "triton", work, KubeOptions(kube, BUCKET, repository=made))
        for system, image in SYSTEMS.items():
            out, choices = stack.parent / system, Choices(kube._replace(replicas=1))
            engine = (
                plan_nim(stack, out, work, NimOptions(image, choices=choices, repository=made))
                if image
                else plan_vllm(stack, out, work, VllmOptions(choices=choices, repository=made))
            )
            yield Pair(name, url, model, key, system, triton, engine)


def written(place: Path, name: str, url: str, model: str, key: Mapping[str, Any]) -> Path:
    """Write a stack with a generator at an endpoint."""
    endpoint = {"url": url, "model": model, **key}
    generator = {"role": "generator", "engine": "openai", "endpoint": endpoint, "args": {"max_model_len": 4096}}
    place.mkdir(parents=True)
    said = {"name": name, "target": {"release": "26.07", "images": ["py3"], "gpus": 0}, "models": {"chat": generator}}
    (place / "tritonrepo.yaml").write_text(yaml.safe_dump(said), "utf-8")
    return place / "tritonrepo.yaml"


def disagreed(pair: Pair) -> Iterator[str]:
    """Yield in what the two sides do not agree."""
    sides = []
    for plan in (pair.triton, pair.engine):
        apply_deploy(plan)
        sides.append(list(built(plan.out / "overlays" / "prod")))
    told = UNTOLD in {each.rule for each in (*pair.engine.warnings, *pair.triton.warnings)}
    if told == (URLS[pair.url] and pair.stack != TRITON):
        yield f"{UNTOLD} is {'' if told else 'not '}told"
    triton, engine = sides
    both = {(each["kind"], each["metadata"]["name"]) for each in triton} & {
        (each["kind"], each["metadata"]["name"]) for each in engine
    }
    if both and not told:
        yield f"both sides have {sorted(both)}"
    (caller,), (server,) = (deployments(side) for side in sides)
    if not told:
        yield from addressed(pair, engine, server)
    yield from named(pair, server)
    yield from secret(pair, caller, server)
    yield from let_through(pair, (triton, engine), (caller, server))


def deployments(side: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the templates of pods."""
    return [each["spec"]["template"] for each in side if each["kind"] == "Deployment"]


def container(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the only container of a pod."""
    (found,) = template["spec"]["containers"]
    return dict(found)


def port_of(template: Mapping[str, Any]) -> int:
    """Return the port at which an engine's pod answers."""
    (found,) = (each["containerPort"] for each in container(template)["ports"] if each["name"] == "http")
    return int(found)


def addressed(pair: Pair, engine: Sequence[Mapping[str, Any]], server: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the URL does not lead to the engine."""
    url = urlsplit(pair.url)
    host, _, rest = str(url.hostname).partition(".")
    if rest not in {"", NAMESPACE, f"{NAMESPACE}.svc", f"{NAMESPACE}.svc.cluster.local"}:
        yield f"{url.hostname} is no name of a Service"
    service = next((each for each in engine if each["kind"] == "Service" and each["metadata"]["name"] == host), None)
    if service is None:
        yield f"no Service has the name {host}"
        return
    ports = [each["targetPort"] for each in service["spec"]["ports"] if each["port"] == (url.port or 80)]
    names = {each["name"]: each["containerPort"] for each in container(server)["ports"]}
    if [names.get(each, each) for each in ports] != [port_of(server)]:
        yield f"port {url.port} of the Service leads to {ports}"
    labels = server["metadata"]["labels"].items()
    if not service["spec"]["selector"].items() <= labels:
        yield "the Service selects other pods"


def named(pair: Pair, server: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the engine does not know the model by the name that Triton sends."""
    said = container(server)
    values = [word.partition("=")[2] for word in said.get("args", ()) if word.startswith("--served-model-name=")]
    values += [each["value"] for each in said["env"] if each["name"] == "NIM_SERVED_MODEL_NAME"]
    known = [value.replace("$$", "$") for value in values]
    if pair.model not in known:
        yield f"the engine's model is {known}, not {pair.model}"


def secret(pair: Pair, caller: Mapping[str, Any], server: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a side has no key, or one that the other does not know."""
    wanted = {
        each["env"] for each in (KEYS[pair.key].get("api_key"), *KEYS[pair.key].get("headers", {}).values()) if each
    }
    given = references(caller)
    if missing := {name for name in wanted if given.get(name) != (pair.stack, name, False)}:
        yield f"Triton has no {sorted(missing)} from its Secret: {given}"
    keyed = references(server).get("VLLM_API_KEY")
    if pair.system == "vllm" and (keyed is not None) != ("api_key" in KEYS[pair.key]):
        yield f"the engine's key is {keyed}"
    for plan, template in ((pair.triton, caller), (pair.engine, server)):
        text = (plan.out / "secrets.example.yaml").read_text("utf-8") if references(template) else ""
        said = {(each["metadata"]["name"], key) for each in yaml.safe_load_all(text) for key in each["stringData"]}
        if unsaid := {pair_[:2] for pair_ in references(template).values()} - said:
            yield f"secrets.example.yaml lacks {sorted(unsaid)}"


def references(template: Mapping[str, Any]) -> dict[str, tuple[str, str, bool]]:
    """Return the variables of a container that come from a Secret: its name, the key, and whether it can lack."""
    found = {}
    for each in container(template)["env"]:
        if reference := each.get("valueFrom", {}).get("secretKeyRef"):
            found[each["name"]] = (reference["name"], reference["key"], reference.get("optional", False))
    return found


def let_through(
    pair: Pair, sides: Sequence[Sequence[Mapping[str, Any]]], templates: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield which network policy keeps a request of Triton from the engine, or from another endpoint."""
    triton, engine = ([each["spec"] for each in side if each["kind"] == "NetworkPolicy"] for side in sides)
    caller, server = templates
    url = urlsplit(pair.url)
    port = port_of(server) if URLS[pair.url] else (url.port or (443 if url.scheme == "https" else 80))
    if not any(port in ports(rule) for policy in triton for rule in policy["egress"]):
        yield f"Triton's policy lets nothing out to port {port}"
    for policy in engine:
        peers = [peer for rule in policy["ingress"] if port_of(server) in ports(rule) for peer in rule["from"]]
        chosen = [peer["podSelector"]["matchLabels"].items() for peer in peers if "podSelector" in peer]
        if not any(labels <= caller["metadata"]["labels"].items() for labels in chosen):
            yield f"the engine's policy lets no pod of Triton in: {peers}"


def ports(rule: Mapping[str, Any]) -> set[int]:
    """Return the ports of a rule."""
    return {each["port"] for each in rule.get("ports", ())}
