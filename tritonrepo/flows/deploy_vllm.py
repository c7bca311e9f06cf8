"""The pipeline of `deploy vllm`: a generator becomes a plan for the manifests that serve it by vLLM on Kubernetes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tritonrepo.deploy.generators import Generator
from tritonrepo.deploy.kube.workload import named, of_stack
from tritonrepo.deploy.room import Room
from tritonrepo.deploy.serving import files, nodes
from tritonrepo.deploy.serving import vllm as servers
from tritonrepo.deploy.serving.vllm import Image, Named
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.diagnostics import Diagnostic, Severity, Span, counted, fatal
from tritonrepo.flows import deployment
from tritonrepo.flows.deploy import apart
from tritonrepo.flows.deployed import source
from tritonrepo.flows.deployment import Deployment, plan_files
from tritonrepo.flows.generating import Chosen, chosen, doubled, judged, misdirected, refused, service_name, unreachable
from tritonrepo.flows.gpu_room import gpus_of, misfits, new_enough
from tritonrepo.flows.paths import reading
from tritonrepo.flows.validate import Aim, declared
from tritonrepo.flows.workspace import Workspace
from tritonrepo.llm.serving import VERSION, around, line, order, serves, versions
from tritonrepo.releases import Release
from tritonrepo.tree import Tree

UNSAFE = "vllm"
"""A Service of this name gives all pods of its namespace VLLM_PORT=tcp://…, which vLLM refuses (vllm/envs.py)."""


SEVERAL = "0.11.1"
"""The first version whose engine goes over several nodes by itself, among those that were read."""


class VllmOptions(NamedTuple):
    """What the user decides: the generator, the version of vLLM, the rest.

    `repository` is the directory that a stack is built into.
    """

    model: str = ""
    version: str = ""
    choices: Choices = Choices()
    repository: Path = Path("model_repository")


DEFAULTS = VllmOptions()


@reading()
def plan_vllm(  # noqa: PLR0913  as many as the command has options
    where: Path | str | Sequence[Path | str],
    out: Path | str,
    work: Workspace,
    wanted: VllmOptions = DEFAULTS,
    aim: Aim = declared,
    *,
    overwrite: bool = False,
) -> Deployment:
    """Return the plan that writes manifests of a vLLM server for a generator of a stack, a directory or a URI.

    Nothing is written. Raise Stop if vLLM cannot serve it with its engine arguments.

    Args:
        where: A stack file or several, its directory, a directory of models, or the URI of a bucket.
        out: Where the files are to be written.
        work: The environment, and the receiver of progress.
        wanted: What the user decides about the server.
        aim: What makes the target, whose release decides about the version of vLLM.
        overwrite: Whether to replace files that somebody has changed since they were written.
    """
    out = deployment.named(out)
    found = source(where, wanted.repository, work, aim)
    apart(out, found)
    given = chosen(found, wanted.model)
    image = _image(wanted.version, found.target.release, given.one)
    warnings = (*judged(given, line(given.one.arguments, image.version).wrong), *_unread(image))
    names = Named(_name(given.one, wanted.choices), of_stack(found.name))
    _loadable(given)
    choices = wanted.choices
    room = gpus_of(given.one, servers.engine(given.one, image.version), found.target, choices)
    new_enough(given, room)
    warnings = (*warnings, *misfits(given, room, certain=bool(choices.kube.product)))
    if not choices.again:
        again = shlex.join(["tritonrepo", "deploy", "vllm", found.where, "-o", str(out)])
        choices = choices._replace(again=again)
    if given.one.url:
        choices = choices._replace(keyless=choices.keyless or not given.one.key)
    tree = _files(given, names, image, room, choices)
    about = (
        *warnings,
        *unreachable(given, choices),
        *misdirected(given, names.name, choices.kube.namespace, servers.PORT),
        *doubled(given, *names),
    )
    return plan_files(names.name, tree, out, about, overwrite=overwrite)


def _image(asked: str, release: Release, one: Generator) -> Image:
    """Return the version of vLLM: the one that is asked for, or that of the release, or the newest that is known."""
    known = versions()
    if asked:
        if not VERSION.fullmatch(asked) or order(asked) < order(known[0]):
            message = f'"{asked}" is not a version of vLLM whose options are known'
            raise fatal("deploy-vllm-unknown", asked, message, f"Name one from {known[0]} to {known[-1]}.")
        return Image(asked, "The version that --vllm names.")
    if one.url or release.vllm is None or order(release.vllm) < order(known[0]):
        return Image(known[-1], "The newest version whose options are known.")
    why = f"The version in Triton {release.name}, for which the engine arguments are checked."
    return Image(release.vllm, why)


def _unread(image: Image) -> Iterator[Diagnostic]:
    near = around(image.version)
    if near != (image.version,):
        message = f"the options of vLLM {image.version} were not read; those of {' and '.join(near)} are taken for them"
        hint = f"Use `--vllm {near[-1]}` to be certain."
        yield Diagnostic("deploy-vllm-version", Severity.WARNING, Span("--vllm"), message, hint)


def _name(one: Generator, choices: Choices) -> str:
    """Return the name of the objects: the user's, the host of the endpoint, or the generator's."""
    if choices.name == UNSAFE:
        message = 'a Service named "vllm" gives other pods the variable VLLM_PORT, which vLLM refuses'
        raise fatal("deploy-service-name", choices.name, message, "Choose another name, such as llm.")
    name = choices.name or named(service_name(one) or one.name, "llm")
    return f"{name}-server" if name == UNSAFE else name


def _loadable(given: Chosen) -> None:
    """Raise Stop if the words of the command line would not be what they are meant to be."""
    one = given.one
    if not one.source:
        message = "the generator names no model, so vLLM would have nothing to load"
        raise refused(given, "deploy-generator", message, "Set model in model.json.")
    if one.source.startswith("-"):
        message = f'"{one.source}" would be an option of vLLM, not a model'
        raise refused(given, "deploy-generator", message, "Name a model of the Hub, or an absolute path.")
    if any(name.startswith("-") for name in one.adapters):
        message = "the name of an adapter begins with a dash, so vLLM would take it for an option"
        raise refused(given, "deploy-generator", message, "Choose another name.")


def _files(given: Chosen, names: Named, image: Image, room: Room, choices: Choices) -> Tree:
    one = given.one
    pods = servers.spread(one, choices.per_node)
    made = servers.workload(one, names, image, room, choices)
    keys = servers.keys(one, choices)
    if pods.nodes == 1:
        return files.of_one_pod(one, made, choices, keys)
    if not (serves("nnodes", image.version) and serves("headless", image.version)):
        many = f"{counted(one.gpus, 'GPU')} are more than the {choices.per_node} of a node"
        message = f"{many}, and vLLM {image.version} goes over several nodes only with Ray"
        hint = f"Use vLLM {SEVERAL} or later with --vllm, or fewer GPUs."
        raise refused(given, "deploy-nodes", message, hint, "tensor_parallel_size")
    return nodes.of_several_pods(one, nodes.on_nodes(made, pods.nodes), pods.nodes, choices, keys)
