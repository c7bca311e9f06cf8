"""The pipeline of `deploy nim`: a generator becomes a plan for the manifests that serve it by NIM on Kubernetes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo.deploy.kube.workload import named, of_stack
from tritonrepo.deploy.room import Room
from tritonrepo.deploy.serving import files, nim, operator
from tritonrepo.deploy.serving.nim import Nim
from tritonrepo.deploy.serving.vllm import Named
from tritonrepo.deploy.serving.wanted import Choices, holds
from tritonrepo.diagnostics import Diagnostic, Severity, Span, counted, fatal
from tritonrepo.flows import deployment
from tritonrepo.flows.deploy import apart
from tritonrepo.flows.deployed import source
from tritonrepo.flows.deployment import Deployment, plan_files
from tritonrepo.flows.generating import Chosen, chosen, doubled, judged, misdirected, refused, service_name, unreachable
from tritonrepo.flows.gpu_room import gpus_of, misfits
from tritonrepo.flows.paths import reading
from tritonrepo.flows.validate import Aim, declared
from tritonrepo.flows.workspace import Workspace
from tritonrepo.llm.serving import line, versions
from tritonrepo.tree import Tree

IMAGE = "deploy-nim-image"
UNSAFE = ("nim", "vllm")
"""Names of Services whose variables, such as NIM_SERVER_PORT of nim-server, pods take for settings of their own."""

LICENSE = "https://docs.nvidia.com/ai-enterprise"


class NimOptions(NamedTuple):
    """What the user decides: the image, the generator, the profile, whether NVIDIA's operator makes the pods, the rest.

    `repository` is the directory that a stack is built into.
    """

    image: str
    model: str = ""
    profile: str = ""
    operated: bool = False
    choices: Choices = Choices()
    repository: Path = Path("model_repository")


@reading()
def plan_nim(  # noqa: PLR0913  as many as the command has options
    where: Path | str | Sequence[Path | str],
    out: Path | str,
    work: Workspace,
    wanted: NimOptions,
    aim: Aim = declared,
    *,
    overwrite: bool = False,
) -> Deployment:
    """Return the plan that writes manifests of a NIM for a generator of a stack, a directory or a URI.

    Nothing is written. Raise Stop if the image names no version, or if NIM cannot serve the generator.

    Args:
        where: A stack file or several, its directory, a directory of models, or the URI of a bucket.
        out: Where the files are to be written.
        work: The environment, and the receiver of progress.
        wanted: What the user decides about the server.
        aim: What makes the target.
        overwrite: Whether to replace files that somebody has changed since they were written.
    """
    out = deployment.named(out)
    image = _image(wanted.image)
    found = source(where, wanted.repository, work, aim)
    apart(out, found)
    given = chosen(found, wanted.model)
    warnings = judged(given, line(given.one.arguments, versions()[-1]).wrong) if image.engines else ()
    _fits(given, wanted.choices)
    room = gpus_of(given.one, nim.engine(given.one), found.target, wanted.choices)
    names = Named(_name(given, wanted.choices), of_stack(found.name))
    choices = wanted.choices
    if not choices.again:
        words = ["tritonrepo", "deploy", "nim", found.where, "--image", wanted.image, "-o", str(out)]
        choices = choices._replace(again=shlex.join(words))
    if not image.keyless:
        choices = choices.pulling(nim.registry(names.name))
    tree = _files(given, names, image, room, wanted._replace(choices=choices))
    about = (
        *warnings,
        *misfits(given, room, certain=False),
        *_doubts(given, image, wanted.profile),
        *unreachable(given, choices),
        *misdirected(given, names.name, choices.kube.namespace, nim.PORT),
        *doubled(given, *names),
    )
    return plan_files(names.name, tree, out, about, overwrite=overwrite)


def _image(text: str) -> Nim:
    found = nim.nim(text)
    if found is None:
        message = "the image names no version, so every pull could start another one"
        hint = "Name it as in `nvcr.io/nim/meta/llama-3.1-8b-instruct:1.12.0`; latest names no version."
        raise fatal(IMAGE, text, message, hint)
    return found


def _fits(given: Chosen, choices: Choices) -> None:
    one = given.one
    if one.gpus > choices.per_node:
        message = f"{counted(one.gpus, 'GPU')} are more than the {choices.per_node} of a node"
        hint = "`tritonrepo deploy vllm` writes an engine on several nodes. For larger nodes, set --gpus-per-node."
        raise refused(given, "deploy-nodes", message, hint, "tensor_parallel_size")


def _name(given: Chosen, choices: Choices) -> str:
    name = choices.name or named(service_name(given.one) or given.one.name, "llm")
    if name.partition("-")[0] in UNSAFE:
        if choices.name:
            message = (
                f'a Service named "{name}" gives other pods variables that they take for settings of a NIM or vLLM'
            )
            raise fatal("deploy-service-name", name, message, "Choose another name, such as llm.")
        return f"llm-{name}"
    return name


def _files(given: Chosen, names: Named, image: Nim, room: Room, wanted: NimOptions) -> Tree:
    one, choices = given.one, wanted.choices
    made = nim.workload(one, names, image, wanted.profile, choices)
    made = replace(made, needs=made.needs._replace(holds=holds(room)))
    if wanted.operated:
        return operator.of_operator(one, operator.operated(made), image, wanted.profile, choices)
    return files.of_one_pod(one, made, choices, nim.keys(image, choices))


def _doubts(given: Chosen, image: Nim, profile: str) -> Iterator[Diagnostic]:
    one = given.one
    if lost := nim.ignored(one, image):
        names = ", ".join(lost)
        message = (
            f"NIM {image.tag} takes no {names}: its profile decides"
            if set(lost) <= {*nim.OF_PROFILE}
            else (f"NIM {image.tag} has no setting for {names} of the generator")
        )
        hint = "Name a profile with --profile, from list-model-profiles in the container, or use NIM 2.0 or later."
        if not profile:
            yield _doubt("deploy-nim-argument", given.at(lost[0]), message, hint)
    if one.adapters and not nim.peft(one):
        message = "NIM loads LoRA adapters from one directory, by the names of its subdirectories"
        hint = "Put them into one directory, each with the name that requests give, and name these paths in the stack."
        yield _doubt("deploy-nim-adapters", given.at(""), message, hint)
    if not image.any_model and one.source and _last(one.source) != _last(image.name):
        message = f"the image serves its own model, {_last(image.name)}, and the generator names {one.source}"
        hint = f"Use the image of that model, or `nvcr.io/nim/nvidia/{nim.ANY_MODEL[0]}:VERSION`, which serves any."
        yield _doubt("deploy-nim-model", given.at(""), message, hint)
    message = "production use of NIM can need a license of NVIDIA AI Enterprise"
    yield _doubt("deploy-nim-license", Span(image.text), message, f"See {LICENSE}, and the terms of this image.")


def _last(text: str) -> str:
    return text.rpartition("/")[2].lower().removeprefix("meta-")


def _doubt(rule: str, at: Span, message: str, hint: str) -> Diagnostic:
    return Diagnostic(rule, Severity.WARNING, at, message, hint)
